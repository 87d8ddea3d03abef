// Package statefile keeps the small files in which collectors remember things over
// restarts of the box: read within bounds, and replaced whole. After a power cut a
// file is the new one or the one before.
package statefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrTooLarge is of a file of more than the octets that were asked for.
var ErrTooLarge = errors.New("it is too large")

// Read reads a file of at most so many octets. The error is or wraps fs.ErrNotExist
// where there is none.
func Read(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		return nil, ErrTooLarge
	}
	return b, err
}

// Replace puts a whole file in the place of path, durably; only its owner can read it.
// It belongs to whom its folder belongs to. Two at the same time are for the caller to
// prevent, or to bear: one of them may then fail or leave a damaged file.
func Replace(path string, data []byte) (err error) {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // whatever else lies there is not written to
	if err != nil {
		return err
	}
	OwnLikeFolder(f)
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp) // the error before says more
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("flushing the folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// OwnLikeFolder gives a file to whom its folder belongs: what root writes by command is
// for the daemon to read, which is not root. Where this is not allowed it is not
// needed.
func OwnLikeFolder(f *os.File) {
	info, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil || os.Geteuid() != 0 {
		return
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(s.Uid), int(s.Gid))
	}
}
