package faulttest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Ext4Whole is what ext4 itself cannot bear torn, in octets: it checks the sum of its
// superblock before it replays the journal. It is where drives that tear at 512
// octets would need a person, whatever stands on the file system.
const Ext4Whole = 4096

// FormatExt4 returns the image of an empty ext4 file system. dir is for a
// temporary file.
func FormatExt4(dir string, size int64) ([]byte, error) {
	path := filepath.Join(dir, "format.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(path)
	if err := os.Truncate(path, size); err != nil {
		return nil, err
	}
	// Nothing is left to be done at the first mount: it would be noise among the writes.
	if err := run("mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4", "-N", "8192", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// CheckExt4 tells whether e2fsck finds nothing to repair in an image, once its
// journal was replayed.
func CheckExt4(dir string, image []byte) error {
	path := filepath.Join(dir, "check.img")
	defer os.Remove(path)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		return err
	}
	return run("e2fsck", "-f", "-n", path)
}

// Volume is an ext4 file system on a disk, through a loop device.
type Volume struct {
	Path string // of the disk as a file
	Dir  string // where it is mounted
}

// Mount mounts the volume; the journal is replayed. The error says so when the
// disk lost its power meanwhile.
func (v *Volume) Mount() error {
	// Not by package os, whose poller would ask the disk's server, which is in this
	// process, in a way that keeps the server from running.
	disk, err := unix.Open(v.Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the disk: %w", err)
	}
	defer unix.Close(disk) // the loop device keeps it open
	loop, err := attach(disk)
	if err != nil {
		return fmt.Errorf("attaching a loop device: %w", err)
	}
	defer loop.Close() // it frees itself when it is unmounted, or was not mounted
	// A process of its own: see the package comment.
	return run("mount", "-i", "-t", "ext4", "-o", "noatime", loop.Name(), v.Dir)
}

// attach gives a file a free loop device, which detaches itself with its last use.
func attach(disk int) (*os.File, error) {
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	config := unix.LoopConfig{Fd: uint32(disk), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	for range 100 { // another process may be quicker
		n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, errors.New("others took every free one")
}

// Unmount unmounts the volume, whose disk may be without power.
func (v *Volume) Unmount() error { return run("umount", "-i", v.Dir) }

// run runs a program of the system.
func run(name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/sbin", name) // which not every PATH has
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
