package faulttest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// fileName is the disk's name in the folder that Serve mounts.
const fileName = "disk"

// Serve mounts the disk as a file in a folder and returns its path, and what ends
// it. It needs root. The process that serves must not wait for what is on the disk.
func (d *Disk) Serve(dir string) (path string, end func() error, err error) {
	forever := 1000 * time.Hour
	opt := &fs.Options{
		MountOptions: fuse.MountOptions{FsName: "powercut", Name: "powercut", DisableXAttrs: true},
		EntryTimeout: &forever, AttrTimeout: &forever,
	}
	// Mounted here and not by the library, whose way leaves the descriptor open in
	// every process that is started: then the kernel would not learn that nobody
	// serves the disk any more, and those who wait for it would for ever.
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("opening /dev/fuse: %w", err)
	}
	err = unix.Mount("powercut", dir, "fuse.powercut", unix.MS_NOSUID|unix.MS_NODEV,
		fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	if err != nil {
		unix.Close(fd)
		return "", nil, fmt.Errorf("mounting the disk: %w", err)
	}
	srv, err := fuse.NewServer(fs.NewNodeFS(&folder{disk: d}, opt), fmt.Sprintf("/dev/fd/%d", fd), &opt.MountOptions)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("serving the disk: %w", err), unix.Unmount(dir, unix.MNT_DETACH))
	}
	go srv.Serve() // it ends with the mount
	end = func() error {
		if err := unix.Unmount(dir, 0); err != nil {
			return fmt.Errorf("unmounting the disk: %w", err)
		}
		srv.Wait()
		return nil
	}
	return filepath.Join(dir, fileName), end, nil
}

// folder has the disk as its only file.
type folder struct {
	fs.Inode
	disk *Disk
}

var _ fs.NodeOnAdder = (*folder)(nil)

func (f *folder) OnAdd(ctx context.Context) {
	f.AddChild(fileName, f.NewPersistentInode(ctx, &node{disk: f.disk}, fs.StableAttr{Mode: fuse.S_IFREG}), false)
}

type node struct {
	fs.Inode
	disk *Disk
}

var (
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
)

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = fuse.S_IFREG|0o600, uint64(n.disk.Size())
	return 0
}

// Open gives a handle past the kernel's page cache, which would outlive the cut.
func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return &file{n.disk.Open()}, fuse.FOPEN_DIRECT_IO, 0
}

type file struct{ h *Handle }

var (
	_ fs.FileReader  = (*file)(nil)
	_ fs.FileWriter  = (*file)(nil)
	_ fs.FileFsyncer = (*file)(nil)
)

func (f *file) Read(_ context.Context, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := f.h.ReadAt(p, off)
	return fuse.ReadResultData(p[:n]), fs.ToErrno(err)
}

func (f *file) Write(_ context.Context, p []byte, off int64) (uint32, syscall.Errno) {
	n, err := f.h.WriteAt(p, off)
	return uint32(n), fs.ToErrno(err)
}

func (f *file) Fsync(context.Context, uint32) syscall.Errno { return fs.ToErrno(f.h.Sync()) }
