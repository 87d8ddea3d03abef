package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxAutoBudget is the largest budget that is chosen where none is set.
const maxAutoBudget Bytes = 2 << 30

// autoBudget is the smaller of 2 GiB and half of what is free for the database at
// path, counting what it takes already. It is no less than the file has: a
// database does not shrink, so dropping readings would free nothing for others.
func autoBudget(path string) (Bytes, error) {
	dir := filepath.Dir(path)
	var fs unix.Statfs_t
	err := unix.Statfs(dir, &fs)
	for ; errors.Is(err, unix.ENOENT) && dir != filepath.Dir(dir); err = unix.Statfs(dir, &fs) {
		dir = filepath.Dir(dir) // it will be made
	}
	if err != nil {
		return maxAutoBudget, fmt.Errorf("asking how much of the disk is free: %w", err)
	}
	var file, log Bytes
	if fi, err := os.Stat(path); err == nil {
		file = Bytes(fi.Size())
	}
	if fi, err := os.Stat(path + "-wal"); err == nil {
		log = Bytes(fi.Size())
	}
	half := (Bytes(fs.Bavail)*Bytes(fs.Bsize) + file + log) / 2
	return min(max(half, file, MinBudget), maxAutoBudget), nil
}

// tight tells whether the disk of dir is nearly full; one that does not say is not.
func tight(dir string) bool {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return false
	}
	return int64(fs.Bavail)*fs.Bsize < min(reserve, int64(fs.Blocks)*fs.Bsize/20)
}

// reserve is what has to be free on a disk for the database to grow while there is
// another way: the log's room, and a margin for those who fill the disk.
const reserve = 16 << 20
