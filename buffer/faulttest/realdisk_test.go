package faulttest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// ioDisk is a real file system of its own; what happens to it is what an
// administrator or a drive would do.
type ioDisk struct {
	t   *testing.T
	dir string
	dev string // the loop device, empty for tmpfs
}

// command runs a program of the system, which has to work.
func (d *ioDisk) command(args ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// unmount leaves nothing behind, whatever state the disk is in.
func (d *ioDisk) unmount() { _ = exec.Command("umount", "-l", d.dir).Run() }

func newTmpfs(t *testing.T, size string) *ioDisk {
	t.Helper()
	needRoot(t)
	d := &ioDisk{t: t, dir: t.TempDir()}
	d.command("mount", "-t", "tmpfs", "-o", "size="+size, "siteprobe-test", d.dir)
	t.Cleanup(d.unmount)
	return d
}

// newExt4 makes an ext4 in a file, on a loop device that frees itself.
func newExt4(t *testing.T, size int64) *ioDisk {
	t.Helper()
	needRoot(t, "/dev/loop-control")
	d := &ioDisk{t: t, dir: t.TempDir()}
	image := filepath.Join(scratch(t), "disk")
	f, err := os.Create(image)
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	d.command("mkfs.ext4", "-q", "-m", "0", image)
	d.dev = d.command("losetup", "--find", "--show", image)
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", d.dev).Run() })
	d.mount()
	t.Cleanup(d.unmount)
	return d
}

// mount mounts an ext4; after an error it is to become read-only, as on most boxes.
func (d *ioDisk) mount() {
	d.t.Helper()
	d.command("mount", "-t", "ext4", "-o", "errors=remount-ro", d.dev, d.dir)
}

// fill leaves about free octets free.
func (d *ioDisk) fill(free int64) {
	d.t.Helper()
	f, err := os.Create(filepath.Join(d.dir, "others"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(chunk)
	}
	fi, err := f.Stat()
	if err == nil {
		err = f.Truncate(max(fi.Size()-free, 0))
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *ioDisk) free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, "others")); err != nil {
		d.t.Fatal(err)
	}
}

// live is a cycle whose buffer commits and recovers by itself.
func (d *ioDisk) live() *ioCycle {
	d.t.Helper()
	codec, err := block.NewCodec()
	if err != nil {
		d.t.Fatal(err)
	}
	c := newCycle(codec, filepath.Join(d.dir, "data"))
	c.config = func() buffer.Config {
		cfg := buffer.DefaultConfig()
		cfg.Path, cfg.Commit = filepath.Join(c.dir, "buffer.db"), 50*time.Millisecond
		cfg.Budget = 256 << 20 // it is the disk's end that is looked at
		return cfg
	}
	c.manual = false
	if err := c.open(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.b.Close() })
	return c
}

// until collects and sends until the buffer is as wanted.
func (d *ioDisk) until(c *ioCycle, what string, is func(buffer.Stats) bool) buffer.Stats {
	d.t.Helper()
	begun := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); <-tick.C {
		st, _ := c.b.Stats() // it says what it knows also while the database is not open
		if is(st) {
			d.t.Logf("%s after %v: trouble %q, hint %q, dropped %d", what, time.Since(begun).Round(time.Millisecond), st.Trouble, st.Hint, st.Dropped)
			return st
		}
		c.collect(1)
	}
	st, err := c.b.Stats()
	d.t.Fatalf("not %s within a minute: %+v %v", what, st, err)
	return st
}

// flood adds much at once.
func (c *ioCycle) flood() {
	s := c.schema[2]
	x := collectors.Batch{Source: s.Source, Schema: s}
	for range s.Series {
		x.Values = append(x.Values, c.value())
	}
	c.add(x)
}

func (c *ioCycle) dropped() int64 {
	st, _ := c.b.Stats() // it says what it knows also while the database is not open
	return st.Dropped
}

func well(st buffer.Stats) bool { return st.Trouble == "" }

// called tells whether trouble is called so.
func called(word string) func(buffer.Stats) bool {
	return func(st buffer.Stats) bool { return strings.Contains(st.Trouble, word) }
}

// finish drains the buffer and checks it against the ledger: what was added is
// stored once, or in a gap that says why.
func (d *ioDisk) finish(c *ioCycle, since buffer.Stats) {
	d.t.Helper()
	if err := c.b.Flush(); err != nil {
		d.t.Fatal(err)
	}
	for {
		if err := c.b.Flush(); err != nil {
			d.t.Fatal(err)
		}
		c.send(true)
		c.account()
		if st, err := c.b.Stats(); err != nil {
			d.t.Fatal(err)
		} else if st.Pending.Blocks == 0 {
			break
		}
	}
	a, err := c.b.Account(buffer.Everything)
	if err != nil {
		d.t.Fatal(err)
	}
	gone := uint64(0)
	for _, l := range a.Lines {
		for _, g := range l.Gaps {
			if g.Reason != buffer.ReasonDisk || g.T0 == 0 {
				d.t.Errorf("a gap without a reason or times: %+v", g)
			}
			gone += g.End - g.First
		}
	}
	wrong, missing := []string{}, uint64(0)
	for _, w := range c.check() {
		if strings.HasPrefix(w, "added once, stored 0 times") {
			missing++
			continue
		}
		wrong = append(wrong, w)
	}
	for _, w := range wrong[:min(len(wrong), 5)] {
		d.t.Errorf("%.300s", w)
	}
	st, _ := c.b.Stats()
	d.t.Logf("%d batches added, %d stored, %d in gaps; the longest Add took %v", len(c.added), len(c.hub.stored), gone, c.slow)
	if missing != gone {
		d.t.Errorf("%d batches are missing, gaps name %d", missing, gone)
	}
	if (gone > 0) != (st.Dropped > 0) {
		d.t.Errorf("%d batches are in gaps, %d readings are counted as dropped", gone, st.Dropped)
	}
}

// A disk that others fill: the buffer says so, collects, and goes on when there is
// room. More comes meanwhile than memory has room for, so that gaps have to tell.
func TestDiskFull(t *testing.T) {
	for name, disk := range map[string]func(t *testing.T) *ioDisk{
		"tmpfs": func(t *testing.T) *ioDisk { return newTmpfs(t, "24m") },
		"ext4":  func(t *testing.T) *ioDisk { return newExt4(t, 32<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			d := disk(t)
			c := d.live()
			d.until(c, "something is stored", func(st buffer.Stats) bool { return st.Written > 5000 })
			d.fill(0)
			st := d.until(c, "full", called("the disk is full"))
			if !strings.Contains(st.Hint, "free space on "+c.dir) {
				t.Errorf("hint: %s", st.Hint)
			}
			c.listen()
			for c.dropped() == 0 {
				c.flood()
			}
			st = d.until(c, "memory is full", func(buffer.Stats) bool { return true })
			d.free()
			d.finish(c, d.until(c, "well", well))
		})
	}
}

// A box that starts with a full or a read-only disk collects, and goes on by itself.
func TestStartOnADiskThatFails(t *testing.T) {
	t.Run("full", func(t *testing.T) {
		d := newTmpfs(t, "4m")
		d.fill(0)
		c := d.live()
		d.until(c, "full", called("the disk is full"))
		c.listen()
		d.free()
		d.finish(c, d.until(c, "well", well))
	})
	t.Run("read-only", func(t *testing.T) {
		d := newExt4(t, 32<<20)
		c := d.live()
		d.until(c, "something is stored", func(st buffer.Stats) bool { return st.Written > 5000 })
		d.finish(c, buffer.Stats{})
		if err := c.b.Close(); err != nil {
			t.Fatal(err)
		}
		d.command("mount", "-o", "remount,ro", d.dir)
		if err := c.open(); err != nil {
			t.Fatal(err)
		}
		d.until(c, "read-only", called("the file system is read-only"))
		c.listen()
		d.command("mount", "-o", "remount,rw", d.dir)
		d.finish(c, d.until(c, "well", well))
	})
}

// A file system that finds an error makes itself read-only, beneath open files.
// Somebody repairs it, unmounts and mounts, and the buffer, which holds nothing
// open, goes on.
func TestFileSystemGivesUp(t *testing.T) {
	d := newExt4(t, 32<<20)
	c := d.live()
	d.until(c, "something is stored", func(st buffer.Stats) bool { return st.Written > 5000 })
	trigger := "/sys/fs/ext4/" + filepath.Base(d.dev) + "/trigger_fs_error"
	if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	d.until(c, "read-only", called("the file system is read-only"))
	c.listen()
	d.until(c, "unmounted", func(buffer.Stats) bool { // busy while the buffer tries
		return exec.Command("umount", d.dir).Run() == nil
	})
	d.until(c, "without its disk", called("the database is gone")) // and none begins beneath it
	if out, err := exec.Command("e2fsck", "-fy", d.dev).CombinedOutput(); err != nil {
		t.Logf("e2fsck: %v: %s", err, out) // it says by its code that it has repaired something
	}
	d.mount()
	d.finish(c, d.until(c, "well", well))
}

// On a disk that is nearly full the buffer goes on in the room that it has: what was
// delivered gives way, and nobody has to be told.
func TestDiskNearlyFull(t *testing.T) {
	d := newTmpfs(t, "64m")
	c := d.live()
	round := func() buffer.Stats {
		for range 20 {
			c.flood()
		}
		if err := c.b.Flush(); err != nil {
			t.Fatal(err)
		}
		c.send(true)
		st, err := c.b.Stats()
		if err != nil || st.Trouble != "" {
			t.Fatalf("%+v %v", st, err)
		}
		return st
	}
	var st buffer.Stats
	for st.File < 6<<20 { // the log reaches its length meanwhile
		st = round()
	}
	d.fill(2 << 20)
	was, written := st.File, st.WrittenBytes
	for st.WrittenBytes < written+8<<20 {
		st = round()
	}
	if st.File > was+256<<10 {
		t.Errorf("the file grew from %d to %d", was, st.File)
	}
	t.Logf("%d octets written into a file of %d", st.WrittenBytes-written, st.File)
	d.free()
	d.finish(c, st)
}
