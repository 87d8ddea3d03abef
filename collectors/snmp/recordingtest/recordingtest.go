// Package recordingtest gives tests recordings of real devices and the program that
// plays them. Both are not part of the repository: the environment variable
// SITEPROBE_SHARED names the folder that has them, and tests are skipped without it.
package recordingtest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/walkfile"
)

// Folder is where the recordings are.
func Folder(t testing.TB) string {
	t.Helper()
	return filepath.Join(shared(t), "snmprec")
}

func shared(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SITEPROBE_SHARED")
	if dir == "" {
		t.Skip("SITEPROBE_SHARED is not set: no recordings")
	}
	return dir
}

// File is the recording of one device. Its name is the community that plays it.
type File struct{ Name, Path string }

// Files are all recordings of devices. What a device says of one VLAN alone (NAME@VLAN)
// is none.
func Files(t testing.TB) (out []File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(Folder(t), "*.snmprec"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d recordings in %s: %v", len(paths), Folder(t), err)
	}
	for _, path := range paths {
		if name := strings.TrimSuffix(filepath.Base(path), ".snmprec"); !strings.Contains(name, "@") {
			out = append(out, File{name, path})
		}
	}
	return out
}

// Variables are what is in a recording.
func (f File) Variables(t testing.TB) []pdu.Varbind {
	t.Helper()
	r, err := os.Open(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	vars, _, err := walkfile.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

// Serve plays all recordings until the test ends, with the manners that the arguments
// say, and returns the address: 127.0.0.1 and a free port.
func Serve(t testing.TB, manners ...string) (address string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "serve")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(shared(t), "tools", "snmprec-serve")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the player: %v\n%s", err, out)
	}
	serve := exec.Command(program, append([]string{"-dir", Folder(t), "-listen", "127.0.0.1:0", "-q"}, manners...)...)
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	serve.Stderr = serve.Stdout
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait() // it was killed
	})
	said := regexp.MustCompile(`^serving \d+ recordings on (\S+)`)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := said.FindStringSubmatch(lines.Text()); m != nil {
			return m[1]
		}
	}
	t.Fatal("the player has not said where it serves")
	return ""
}
