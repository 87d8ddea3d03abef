package buffer

import (
	"os"

	"golang.org/x/sys/unix"
)

// fdatasync flushes a file's bytes; its size did not change, so that the file
// system's own records may wait.
func fdatasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
