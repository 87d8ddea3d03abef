package faulttest_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/faulttest"
)

// machine is a disk with its file system.
type machine struct {
	disk *faulttest.Disk
	vol  faulttest.Volume
	t    *testing.T
}

const diskSize = 64 << 20

func newMachine(t *testing.T) *machine {
	t.Helper()
	requirePower(t)
	dir := t.TempDir()
	image, err := faulttest.FormatExt4(dir, diskSize)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, disk: faulttest.NewDisk(image, faulttest.Ext4Whole), vol: faulttest.Volume{Dir: filepath.Join(dir, "volume")}}
	served := filepath.Join(dir, "served")
	for _, p := range []string{served, m.vol.Dir} {
		if err := os.Mkdir(p, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path, end, err := m.disk.Serve(served)
	if err != nil {
		t.Fatal(err)
	}
	m.vol.Path = path
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func (m *machine) mount() {
	m.t.Helper()
	if err := m.vol.Mount(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) unmount() {
	m.t.Helper()
	if err := m.vol.Unmount(); err != nil {
		m.t.Fatal(err)
	}
}

// TestFlushesArrive: what a program flushes on the file system is stable on the
// disk; what it only writes is not.
func TestFlushesArrive(t *testing.T) {
	m := newMachine(t)
	m.mount()
	path := filepath.Join(m.vol.Dir, "file")
	before := m.disk.Stats().Flushes
	sh(t, "printf flushed >"+path+"; sync "+path) // not by this process: it serves the disk
	if n := m.disk.Stats().Flushes - before; n == 0 {
		t.Error("no flush arrived at the disk")
	}
	if n := m.disk.Unflushed(); n != 0 {
		t.Errorf("%d sectors are unflushed after a flush", n)
	}
	sh(t, "printf written >"+path+"2")
	m.disk.Cut(rand.New(rand.NewPCG(1, 1)))
	m.unmount()
	m.disk.PowerOn()
	m.mount()
	if got := sh(t, "cat "+path); got != "flushed" {
		t.Errorf("what was flushed reads %q after the cut", got)
	}
	if got := sh(t, "cat "+path+"2 || true"); got == "written" {
		t.Error("what was never flushed has survived the cut")
	}
	m.unmount()
	if err := faulttest.CheckExt4(t.TempDir(), m.disk.Image()); err != nil {
		t.Error(err)
	}
}

// sh runs a command of the shell and returns what it printed.
func sh(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}
