package sitetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// namePrefix begins the name of everything outside of the namespaces: they
	// themselves, their folders. The maker's process id follows, and a number.
	namePrefix = "siteprobe-lab-"
	netnsDir   = "/run/netns"
	// netnsEtc is where `ip netns exec` finds files to put over those of /etc.
	netnsEtc = "/etc/netns"
	sbin     = "/usr/sbin:/sbin" // where daemons are, which not every PATH has
)

// find is exec.LookPath that knows where Debian keeps daemons.
func find(command string) (string, error) {
	path, err := exec.LookPath(command)
	if err == nil {
		return path, nil
	}
	for _, dir := range filepath.SplitList(sbin) {
		if p, e := exec.LookPath(filepath.Join(dir, command)); e == nil {
			return p, nil
		}
	}
	return "", err
}

// netns is one network namespace that has a name.
type netns struct {
	name string
	file *os.File
}

func openNetns(name string) (*netns, error) {
	f, err := os.Open(filepath.Join(netnsDir, name))
	if err != nil {
		return nil, fmt.Errorf("opening a namespace: %w", err)
	}
	return &netns{name: name, file: f}, nil
}

// do calls fn with the calling goroutine in the namespace: the sockets it makes
// and the processes it starts belong there, also afterwards. Goroutines that fn
// starts are outside.
func (n *netns) do(fn func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("opening this thread's namespace: %w", err)
	}
	defer home.Close()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("entering %s: %w", n.name, err)
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			panic("sitetest: cannot leave " + n.name + ": " + err.Error()) // everything after would run in the wrong place
		}
		runtime.UnlockOSThread()
	}()
	return fn()
}

// run runs a command in the namespace to its end.
func (n *netns) run(stdin, command string, args ...string) error {
	path, err := find(command)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.do(cmd.Start); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s in %s: %w\n%s%s", command, strings.Join(args, " "), n.name, err, stdin, out.Bytes())
	}
	return nil
}

// ip runs lines of ip's batch language.
func (n *netns) ip(lines ...string) error {
	return n.run(strings.Join(lines, "\n")+"\n", "ip", "-batch", "-")
}

// nft runs lines of nft's language, all of them or none.
func (n *netns) nft(lines ...string) error {
	return n.run(strings.Join(lines, "\n")+"\n", "nft", "-f", "-")
}

// sysctl writes settings "net/ipv4/ip_forward=1".
func (n *netns) sysctl(settings ...string) error {
	return n.do(func() error {
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("setting %s in %s: %w", s, n.name, err)
			}
		}
		return nil
	})
}

// daemon is a program that runs in a namespace until it is stopped. The kernel
// ends it when this process ends, in whatever way.
type daemon struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
}

// start starts a daemon whose output goes to log.
func (n *netns) start(log io.Writer, command string, args ...string) (*daemon, error) {
	path, err := find(command)
	if err != nil {
		return nil, err
	}
	d := &daemon{cmd: exec.Command(path, args...), exited: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		defer close(d.exited)
		// Pdeathsig is sent when the thread ends that has started the program, so this
		// goroutine keeps its thread as long as the program runs.
		err := n.do(func() error {
			err := d.cmd.Start()
			started <- err
			if err == nil {
				_ = d.cmd.Wait() // how it ended is in the log
			}
			return nil
		})
		if err != nil {
			started <- err
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s in %s: %w", command, n.name, err)
	}
	return d, nil
}

// stop ends the daemon at once and waits for it. A nil daemon is stopped.
func (d *daemon) stop() {
	if d != nil {
		_ = d.cmd.Process.Kill() // an error means that it has ended
		<-d.exited
	}
}

func (d *daemon) signal(s os.Signal) error {
	if err := d.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signalling %s: %w", filepath.Base(d.cmd.Path), err)
	}
	return nil
}

// claim makes the folder of a lab of this process and returns its path; its base
// is a name that no other lab has.
func claim() (string, error) {
	for i := 0; ; i++ {
		dir := filepath.Join(os.TempDir(), namePrefix+strconv.Itoa(os.Getpid())+"-"+strconv.Itoa(i))
		err := os.Mkdir(dir, 0o755)
		if err == nil || !errors.Is(err, os.ErrExist) {
			return dir, err
		}
	}
}

// owner is the process id in a name that claim has made, or in one that begins so.
func owner(name string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	return pid, err == nil && pid > 0
}

// sweep removes what labs have left behind whose process was killed.
func sweep() {
	dead := func(name string) bool {
		pid, ok := owner(name)
		return ok && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	for _, dir := range []string{netnsDir, netnsEtc, os.TempDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			switch {
			case !dead(e.Name()):
			case dir == netnsDir:
				removeNetns(e.Name())
			default:
				_ = os.RemoveAll(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// removeNetns ends the processes in a namespace and removes it. Another test may
// be doing the same, so that errors are of no interest.
func removeNetns(name string) {
	out, _ := exec.Command("ip", "netns", "pids", name).Output()
	for _, field := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = exec.Command("ip", "netns", "del", name).Run()
}
