package faulttest_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	workerEnv    = "SITEPROBE_FAULT_WORKER" // set in a worker, see worker_test.go
	namespaceEnv = "SITEPROBE_FAULT_SPACE"  // set in the mount namespace
)

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		os.Exit(work(os.Stdin, os.Stdout))
	}
	if os.Geteuid() == 0 && os.Getenv(namespaceEnv) == "" {
		if code, err := again(); err == nil {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

// again runs this program once more, in a mount namespace that ends with it and
// takes its mounts along.
func again() (code int, err error) {
	runtime.LockOSThread() // the signal of death is the thread's
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// requirePower skips the test where no power can be cut, unless everything is
// required to be there.
func requirePower(t *testing.T) {
	t.Helper()
	why := ""
	switch {
	case os.Geteuid() != 0:
		why = "cutting power needs root: it mounts a file system"
	case os.Getenv(namespaceEnv) == "":
		why = "this root may not make a mount namespace"
	}
	for path, hint := range map[string]string{
		"/dev/fuse": "modprobe fuse", "/dev/loop-control": "modprobe loop", "/usr/sbin/mkfs.ext4": "apt-get install e2fsprogs",
	} {
		if _, err := os.Stat(path); err != nil && why == "" {
			why = "no " + path + " (" + hint + ")"
		}
	}
	if why == "" {
		return
	}
	if os.Getenv("SITEPROBE_REQUIRE") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func torture() bool { return os.Getenv("SITEPROBE_TORTURE") != "" }

// seeded returns a source of choices that SITEPROBE_SEED repeats.
func seeded(t *testing.T) (uint64, *rand.Rand) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SITEPROBE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SITEPROBE_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("SITEPROBE_SEED=%d", seed)
	return seed, rand.New(rand.NewPCG(seed, 0))
}
