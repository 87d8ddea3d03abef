package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// disk is a block device of its own for what is measured, so that what is written
// to it can be told from what others write. It is a file of ext4 on a loop device.
type disk struct {
	mount string
	loop  string // such as /dev/loop0; empty: there is none
	why   error  // why not
}

func newDisk(ctx context.Context, dir string) (*disk, error) {
	mount, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return nil, err
	}
	d := &disk{mount: mount}
	image := mount + ".img"
	run := func(name string, args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
		}
		return strings.TrimSpace(string(out)), nil
	}
	if os.Geteuid() != 0 {
		d.why = fmt.Errorf("this is not root")
		return d, nil
	}
	if _, err := run("truncate", "-s", "4G", image); err != nil {
		d.why = err
		return d, nil
	}
	if _, err := run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image); err != nil {
		d.why = err
		return d, nil
	}
	loop, err := run("losetup", "-f", "--show", image)
	if err != nil {
		d.why = err
		return d, nil
	}
	if _, err := run("mount", loop, mount); err != nil {
		d.why = err
		_, _ = run("losetup", "-d", loop)
		return d, nil
	}
	d.loop = loop
	return d, nil
}

// close takes the disk away with all that is on it.
func (d *disk) close() {
	if d.loop != "" {
		_ = exec.Command("umount", d.mount).Run()
		_ = exec.Command("losetup", "-d", d.loop).Run()
	}
	_ = os.RemoveAll(d.mount)
	_ = os.Remove(d.mount + ".img")
}

// deviceStat is what a block device was given to do.
type deviceStat struct{ Written, Flushes float64 }

// stat reads the device's counts; zero where there is none.
func (d *disk) stat() (s deviceStat, err error) {
	if d.loop == "" {
		return s, nil
	}
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(d.loop), "stat"))
	if err != nil {
		return s, err
	}
	const sectorsWritten, flushes, sector = 6, 15, 512 // Documentation/block/stat of the kernel
	f := strings.Fields(string(b))
	if len(f) <= flushes {
		return s, fmt.Errorf("the statistics of %s have %d fields: no count of flushes", d.loop, len(f))
	}
	if s.Written, err = strconv.ParseFloat(f[sectorsWritten], 64); err != nil {
		return s, err
	}
	s.Written *= sector
	s.Flushes, err = strconv.ParseFloat(f[flushes], 64)
	return s, err
}
