package conventions

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnitExposure holds the units' exposure at 1.3 of 10, as systemd-analyze
// counts it. Unhardened daemons have above 9.
func TestUnitExposure(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here: it is part of Debian's package systemd")
	}
	units, err := filepath.Glob("../*.service")
	if err != nil || len(units) == 0 {
		t.Fatalf("no units: %v", err)
	}
	for _, unit := range units {
		t.Run(filepath.Base(unit), func(t *testing.T) {
			out, err := exec.Command(analyze, "--no-pager", "--threshold=13", "security", "--offline=true", unit).CombinedOutput()
			if err != nil {
				t.Errorf("%v, what weighs in:\n%s", err, out)
			}
		})
	}
}

// TestSockets holds that systemd can read the socket units, and that each is for the
// daemon and bears the name of a section of the site file.
func TestSockets(t *testing.T) {
	units, err := filepath.Glob("../*.socket")
	if err != nil || len(units) == 0 {
		t.Fatalf("no socket units: %v", err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(unit), "siteprobe-"), ".socket")
		for _, want := range []string{"\nFileDescriptorName=" + name + "\n", "\nService=siteprobe.service\n", "\nWantedBy=sockets.target\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no line %q", unit, strings.TrimSpace(want))
			}
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here: it is part of Debian's package systemd")
	}
	// The program that a unit starts need not be installed here.
	dir := t.TempDir()
	service := "[Service]\nExecStart=/bin/true\n"
	if err := os.WriteFile(filepath.Join(dir, "siteprobe.service"), []byte(service), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(analyze, "verify", "--man=no", to)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), filepath.Base(unit)) {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}
