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

// disk is a block device of its own for the probe's data, so that what is written
// to it can be told from what others write.
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
	if _, err := run("truncate", "-s", "1G", image); err != nil {
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

func (d *disk) close() {
	if d.loop == "" {
		return
	}
	_ = exec.Command("umount", d.mount).Run()
	_ = exec.Command("losetup", "-d", d.loop).Run()
}

// written is how many octets the device was given to write.
func (d *disk) written() (float64, error) {
	if d.loop == "" {
		return 0, nil
	}
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(d.loop), "stat"))
	if err != nil {
		return 0, err
	}
	const sectorsWritten, sector = 6, 512
	f := strings.Fields(string(b))
	n, err := strconv.ParseFloat(f[sectorsWritten], 64)
	return n * sector, err
}
