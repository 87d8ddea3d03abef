package buffer_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/buffer"
)

// Where no budget is set it is half of what is free, counting what the database
// takes; a file that is there already is not made smaller than it is.
func TestBudgetByDefault(t *testing.T) {
	dir := t.TempDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	free := int64(fs.Bavail) * fs.Bsize
	cfg := config(filepath.Join(dir, "not", "there", "yet"))
	if cfg.Budget != 0 {
		t.Fatalf("a budget of %d is set", cfg.Budget)
	}
	st, err := open(t, cfg, buffer.Options{NoSync: true, Manual: true}).Stats()
	if err != nil {
		t.Fatal(err)
	}
	// Others use this disk meanwhile.
	if want := min(free/2, 2<<30); st.Budget < want*9/10 || st.Budget > 2<<30 || st.Budget > want*11/10 {
		t.Errorf("a budget of %d with %d free", st.Budget, free)
	}
}

func TestBudgetOnASmallDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("siteprobe-test", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	budget := func() int64 {
		t.Helper()
		b := open(t, config(dir), buffer.Options{NoSync: true, Manual: true})
		defer b.Close()
		st, err := b.Stats()
		if err != nil || st.Trouble != "" {
			t.Fatalf("%+v %v", st, err)
		}
		return st.Budget
	}
	if got := budget(); got < 7<<20 || got > 8<<20 {
		t.Errorf("%d of 16 MiB", got)
	}
	b := open(t, config(dir), buffer.Options{NoSync: true, Manual: true})
	s := counters("device/sw", 2000)
	var n noise = 1
	for range 150 { // about 2.5 MB
		b.Add(n.batch(s))
	}
	flush(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := budget(); got < 7<<20 || got > 8<<20 {
		t.Errorf("%d of 16 MiB, of which the database takes a part", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "others"), make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir, "buffer.db"))
	if err != nil {
		t.Fatal(err)
	}
	if got := budget(); got < fi.Size() || got > fi.Size()+1<<20 {
		t.Errorf("%d, of a file of %d on a disk that is nearly full", got, fi.Size())
	}
}
