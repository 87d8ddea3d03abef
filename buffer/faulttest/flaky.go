// # The flaky file system
//
// [Flaky] is a folder seen through FUSE in which the n-th operation
// fails, once or from then on until it is healed. It shows what the buffer makes of
// each single answer that a disk may give it, where the tests of a full or a
// read-only file system show the few that the kernel gives of itself.
//
//	buffer.Buffer > SQLite > FUSE > Flaky > a folder, best of all on tmpfs
//
// Every file is open for direct I/O, so that every read and write of the buffer is
// one here and their order is the same in each run; only the -shm file, which SQLite
// maps, is not. Reads of that file never fail here: they are page faults, and one
// that fails is a signal which ends the process, whatever the process does.
package faulttest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Op is a kind of operation of a file system.
type Op string

// The operations that may fail.
const (
	OpOpen     Op = "open"
	OpCreate   Op = "create"
	OpMkdir    Op = "mkdir"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "fsync"
	OpTruncate Op = "truncate"
	OpAllocate Op = "allocate"
	OpRename   Op = "rename"
	OpUnlink   Op = "unlink"
)

// Kind is what a disk may answer instead of doing as it is told.
type Kind string

// The kinds of faults.
const (
	NoSpace  Kind = "ENOSPC"
	IOError  Kind = "EIO"
	ReadOnly Kind = "EROFS"
	Short    Kind = "short write" // half of it is written; the rest meets ENOSPC
)

// Kinds lists them all.
func Kinds() []Kind { return []Kind{NoSpace, IOError, ReadOnly, Short} }

// Fits tells whether an operation can fail in that way. Delayed allocation makes a
// flush find out that the disk is full.
func (k Kind) Fits(op Op) bool {
	switch k {
	case NoSpace:
		return op == OpCreate || op == OpMkdir || op == OpWrite || op == OpSync || op == OpTruncate || op == OpAllocate || op == OpRename
	case ReadOnly:
		return op != OpRead && op != OpSync
	case Short:
		return op == OpWrite
	}
	return true
}

func (k Kind) errno() syscall.Errno {
	switch k {
	case IOError:
		return syscall.EIO
	case ReadOnly:
		return syscall.EROFS
	}
	return syscall.ENOSPC
}

// Fault says which operation fails, and how.
type Fault struct {
	At    int // counted from 0 since [Flaky.Arm]; the first from there on that can fail so
	Kind  Kind
	Stays bool // from then on all that can, until Heal
}

// Flaky is a mounted file system that fails on request; Close unmounts it.
type Flaky struct {
	server *fuse.Server

	mu    sync.Mutex
	fault *Fault
	ops   []Op // since Arm
	hits  int
	first string
	rest  bool // a short write was made: what follows finds no room
}

// MountFlaky shows the folder backing at the folder dir. It needs root and
// /dev/fuse.
func MountFlaky(backing, dir string) (*Flaky, error) {
	f := &Flaky{}
	root := &flakyNode{LoopbackNode: &fs.LoopbackNode{RootData: &fs.LoopbackRoot{Path: backing}}, f: f}
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{
		FsName: "flaky", Name: "flaky", DirectMountStrict: true, MaxWrite: 512 << 10,
	}})
	if err != nil {
		return nil, fmt.Errorf("mounting the flaky file system: %w", err)
	}
	f.server = server
	return f, nil
}

// Close unmounts the file system.
func (f *Flaky) Close() error { return f.server.Unmount() }

// Arm counts operations from 0 and has one of them fail; nil only counts.
func (f *Flaky) Arm(fault *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.ops, f.hits, f.first, f.rest = fault, nil, 0, "", false
}

// Heal ends all faults.
func (f *Flaky) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.rest = nil, false
}

// Ops returns the operations since Arm.
func (f *Flaky) Ops() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Op(nil), f.ops...)
}

// Hits returns how many operations failed since Arm, and what the first was.
func (f *Flaky) Hits() (hits int, first string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits, f.first
}

// due counts an operation and tells whether and how it is to fail. grows says that
// it takes room: a disk that stays full lets the rest pass.
func (f *Flaky) due(op Op, file string, grows bool) Kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.ops)
	f.ops = append(f.ops, op)
	x := f.fault
	if x == nil || n < x.At {
		return ""
	}
	k := x.Kind
	if f.hits > 0 { // this is not the first
		if k == Short {
			k = NoSpace
		}
		if !x.Stays && !f.rest || k == NoSpace && !grows {
			return ""
		}
		f.rest = false
	}
	if !k.Fits(op) {
		return ""
	}
	f.hits++
	f.rest = k == Short
	if f.hits == 1 {
		f.first = string(op) + " " + file
	}
	return k
}

// fail is due for operations that cannot be done by half.
func (f *Flaky) fail(op Op, file string, grows bool) syscall.Errno {
	if k := f.due(op, file, grows); k != "" {
		return k.errno()
	}
	return 0
}

// full tells whether the disk is to look full.
func (f *Flaky) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault != nil && f.hits > 0 && (f.fault.Kind == NoSpace || f.fault.Kind == Short)
}

// flakyNode is a file or folder; what it does not say the folder behind does.
type flakyNode struct {
	*fs.LoopbackNode
	f *Flaky
}

// WrapChild makes nodes of the folder behind nodes of this one.
func (n *flakyNode) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &flakyNode{LoopbackNode: ops.(*fs.LoopbackNode), f: n.f}
}

func (n *flakyNode) name() string { return n.Path(nil) }

// mapped tells whether SQLite maps the file into memory.
func mapped(name string) bool { return strings.HasSuffix(name, "-shm") }

func openFlags(name string) uint32 {
	if mapped(name) {
		return 0
	}
	return fuse.FOPEN_DIRECT_IO
}

func (n *flakyNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	writes := flags&(syscall.O_WRONLY|syscall.O_RDWR|syscall.O_TRUNC) != 0
	op := OpOpen
	if !writes { // a read-only file system lets it pass
		op = OpRead
	}
	if no := n.f.fail(op, n.name(), false); no != 0 {
		return nil, 0, no
	}
	h, _, no := n.LoopbackNode.Open(ctx, flags)
	return h, openFlags(n.name()), no
}

func (n *flakyNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if no := n.f.fail(OpCreate, name, true); no != 0 {
		return nil, nil, 0, no
	}
	inode, h, _, no := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, h, openFlags(name), no
}

func (n *flakyNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if no := n.f.fail(OpMkdir, name, true); no != 0 {
		return nil, no
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *flakyNode) Unlink(ctx context.Context, name string) syscall.Errno {
	if no := n.f.fail(OpUnlink, name, false); no != 0 {
		return no
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

func (n *flakyNode) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if no := n.f.fail(OpRename, name, false); no != 0 {
		return no
	}
	target, ok := to.(*flakyNode)
	if !ok {
		return syscall.EXDEV
	}
	return n.LoopbackNode.Rename(ctx, name, target.LoopbackNode, newName, flags)
}

func (n *flakyNode) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		var st unix.Stat_t
		grows := unix.Stat(n.behind(), &st) == nil && int64(size) > st.Size
		if no := n.f.fail(OpTruncate, n.name(), grows); no != 0 {
			return no
		}
	}
	return n.LoopbackNode.Setattr(ctx, h, in, out)
}

func (n *flakyNode) behind() string { return n.RootData.Path + "/" + n.name() }

func (n *flakyNode) Read(ctx context.Context, h fs.FileHandle, to []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if !mapped(n.name()) {
		if no := n.f.fail(OpRead, n.name(), false); no != 0 {
			return nil, no
		}
	}
	return h.(fs.FileReader).Read(ctx, to, off)
}

func (n *flakyNode) Write(ctx context.Context, h fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	var st unix.Stat_t
	grows := unix.Stat(n.behind(), &st) == nil && off+int64(len(data)) > st.Size
	if mapped(n.name()) && len(data) > 1 { // the kernel writes pages back, whenever it likes
		return h.(fs.FileWriter).Write(ctx, data, off)
	}
	switch k := n.f.due(OpWrite, n.name(), grows); {
	case k == Short && len(data) > 1:
		data = data[:len(data)/2]
	case k != "":
		return 0, k.errno()
	}
	return h.(fs.FileWriter).Write(ctx, data, off)
}

func (n *flakyNode) Fsync(ctx context.Context, h fs.FileHandle, flags uint32) syscall.Errno {
	if no := n.f.fail(OpSync, n.name(), false); no != 0 {
		return no
	}
	return h.(fs.FileFsyncer).Fsync(ctx, flags)
}

func (n *flakyNode) Allocate(ctx context.Context, h fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if no := n.f.fail(OpAllocate, n.name(), true); no != 0 {
		return no
	}
	return h.(fs.FileAllocater).Allocate(ctx, off, size, mode)
}

func (n *flakyNode) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	no := n.LoopbackNode.Statfs(ctx, out)
	if n.f.full() {
		out.Bfree, out.Bavail = 0, 0
	}
	return no
}

// flakyDir is an open folder; its flush may fail.
type flakyDir struct {
	fs.FileReaddirenter
	fs.FileReleasedirer
	fs.FileSeekdirer
	sync fs.FileFsyncdirer
	n    *flakyNode
}

func (n *flakyNode) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, fl, no := n.LoopbackNode.OpendirHandle(ctx, flags)
	if no != 0 {
		return nil, 0, no
	}
	d := &flakyDir{n: n}
	var ok [4]bool
	d.FileReaddirenter, ok[0] = h.(fs.FileReaddirenter)
	d.FileReleasedirer, ok[1] = h.(fs.FileReleasedirer)
	d.FileSeekdirer, ok[2] = h.(fs.FileSeekdirer)
	d.sync, ok[3] = h.(fs.FileFsyncdirer)
	if ok != [4]bool{true, true, true, true} {
		return nil, 0, syscall.ENOSYS
	}
	return d, fl, 0
}

func (d *flakyDir) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	if no := d.n.f.fail(OpSync, d.n.name()+"/", false); no != 0 {
		return no
	}
	return d.sync.Fsyncdir(ctx, flags)
}
