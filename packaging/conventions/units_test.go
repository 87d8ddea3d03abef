package conventions

import (
	"os/exec"
	"path/filepath"
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
