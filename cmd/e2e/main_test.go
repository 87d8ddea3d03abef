package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binEnv names the folder of the programs under test; without it they are built.
const binEnv = "SITEPROBE_BIN"

// patience bounds every wait for something that happens within a second or two
// unless it is broken; the machine may be slow.
const patience = 60 * time.Second

func TestMain(m *testing.M) { os.Exit(mainCode(m)) }

func mainCode(m *testing.M) int {
	if os.Getenv(binEnv) == "" {
		dir, err := os.MkdirTemp("", "siteprobe-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "a folder for the programs:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../siteprobe", "../siteprobe-hub").CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "building the programs under test: %v\n%s", err, out)
			return 1
		}
		if err := os.Setenv(binEnv, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// program gives the path of a program under test.
func program(t testing.TB, name string) string {
	t.Helper()
	watchSources(t)
	path, err := filepath.Abs(filepath.Join(os.Getenv(binEnv), name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// watchSources looks at the module's files, so that go test's cache knows that the
// result depends on them: the programs are no imports of this package.
func watchSources(t testing.TB) {
	t.Helper()
	for _, dir := range []string{"../siteprobe", "../siteprobe-hub", "../../collectors", "../../buffer", "../../uplink", "../../provisioning"} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(p, ".go") {
				_, err = os.Stat(p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// requireMosquitto skips the test where there is no mosquitto, unless everything
// is required to be there.
func requireMosquitto(t *testing.T) {
	t.Helper()
	const path = "/usr/sbin/mosquitto"
	if _, err := os.Stat(path); err == nil {
		return
	}
	why := "no " + path + " to test against (apt-get install mosquitto)"
	if os.Getenv("SITEPROBE_REQUIRE") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// eventually polls until cond holds, and fails the test with what is missing.
func eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within %v", what, within)
		case <-tick.C:
		}
	}
}
