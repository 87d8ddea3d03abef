package trap

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// The id stays, the boots rise with every start, and a file that cannot be believed
// makes a new engine.
func TestEngineIsKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, engineFile)
	first := OpenEngine(dir, wallClock{}.Now, quiet())
	if len(first.id) != 17 || first.id[0] != 0x80 || first.boots != 1 || len(first.ID()) != 34 {
		t.Fatalf("%x %d", first.id, first.boots)
	}
	for boots := range uint32(3) {
		e := OpenEngine(dir, wallClock{}.Now, quiet())
		if e.ID() != first.ID() || e.boots != boots+2 {
			t.Errorf("%s %d", e.ID(), e.boots)
		}
	}
	for _, bad := range []string{"", "garbage", first.ID(), first.ID() + " x", first.ID() + " -1", "80 5", first.ID() + " 99999999999"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		e := OpenEngine(dir, wallClock{}.Now, quiet())
		if e.ID() == first.ID() || e.boots != 1 {
			t.Errorf("%q: %s %d", bad, e.ID(), e.boots)
		}
		if again := OpenEngine(dir, wallClock{}.Now, quiet()); again.ID() != e.ID() || again.boots != 2 {
			t.Errorf("%q: the new one is not kept", bad)
		}
	}
	// The highest number of boots is the last: RFC 3414, 2.2.2.
	if err := os.WriteFile(path, []byte(first.ID()+" 2147483647\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := OpenEngine(dir, wallClock{}.Now, quiet()); e.ID() == first.ID() || e.boots != 1 {
		t.Errorf("%s %d", e.ID(), e.boots)
	}
	// A folder that cannot be written makes another engine every time: one that may not
	// count its boots must not sign under the id it had.
	var log strings.Builder
	e := OpenEngine(filepath.Join(dir, "gone"), wallClock{}.Now, slog.New(slog.NewTextHandler(&log, nil)))
	if e.boots != 1 || !strings.Contains(log.String(), "engine id for this run") {
		t.Errorf("%d %s", e.boots, log.String())
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	a, b := e.nextSalt(), e.nextSalt()
	if a == b {
		t.Error("a salt is used twice")
	}
}

// A restarted box is the same engine to net-snmp, with one boot more.
func TestEngineAfterRestart(t *testing.T) {
	requireTool(t, "snmptrap")
	dir := t.TempDir()
	creds := credentials()
	creds = append(creds, v3User())
	for i := range 2 {
		r := startOn(t, "127.0.0.1:0", dir, creds)
		out, err := snmptrap(t, append([]string{"-Ci", "-v", "3", "-u", "core", "-l", "authPriv", "-a", "SHA-256", "-A", "authpass1234",
			"-x", "AES", "-X", "privpass1234", r.addr}, linkDown("5")...)...)
		if err != nil {
			t.Errorf("start %d: %v %s", i, err, out)
		}
		r.stop()
	}
}
