package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// ErrNotOpen is what every method returns of a Store that is nil or closed: while
// the disk fails there may be none.
var ErrNotOpen = errors.New("the database is not open")

// Errno returns the number by which the disk, or the kernel for it, refused; 0
// where an error has none.
func Errno(err error) syscall.Errno {
	var no syscall.Errno
	var se sqlite3.Error
	switch {
	case errors.As(err, &se) && se.Code == sqlite3.ErrFull:
		return syscall.ENOSPC
	case errors.As(err, &se) && se.SystemErrno != 0 && se.SystemErrno != syscall.ENOENT:
		return se.SystemErrno
	case errors.As(err, &no):
		return no
	case errors.As(err, &se) && se.Code == sqlite3.ErrReadonly:
		return syscall.EROFS
	case errors.As(err, &se) && (se.Code == sqlite3.ErrIoErr || se.Code == sqlite3.ErrCantOpen), errors.Is(err, io.ErrShortWrite):
		return syscall.EIO
	}
	return 0
}

// refused finds out why SQLite could not open one of its files, of which it says
// only that it is not there: a file of that folder is made.
func refused(path string, err error) error {
	var se sqlite3.Error
	if !errors.As(err, &se) || se.Code != sqlite3.ErrCantOpen || se.SystemErrno != syscall.ENOENT {
		return err
	}
	name := path + ".try"
	f, ferr := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if ferr != nil {
		return fmt.Errorf("%w: %w", err, ferr)
	}
	_, werr := f.Write(make([]byte, pageSize))
	if werr = errors.Join(werr, f.Close(), os.Remove(name)); werr != nil {
		return fmt.Errorf("%w: %w", err, werr)
	}
	return err
}

// Doubtful tells whether an error that says damage may be the disk's: SQLite calls a
// page malformed that the disk did not read.
func Doubtful(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se)
}

// Readable reads the files of a database that is closed, for no longer than most.
// err is the disk's error; none tells that not even the first page can be read.
func Readable(path string, most time.Duration) (none bool, err error) {
	end := time.Now().Add(most)
	buf := make([]byte, 1<<20)
	for _, name := range []string{path, path + "-wal"} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return name == path, err
		}
		defer f.Close()
		for at, n := int64(0), pageSize; time.Now().Before(end); at, n = at+int64(n), len(buf) {
			if _, err := f.ReadAt(buf[:n], at); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return at == 0, err
			}
		}
	}
	return false, nil
}

// Check looks through the whole database for damage, for no longer than most; what
// it has not found by then it has not found.
func (s *Store) Check(most time.Duration) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	ctx, cancel := context.WithTimeout(context.Background(), most) // it only reads
	defer cancel()
	var found string
	err := s.r.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil && found != "ok":
		return fmt.Errorf("%w: %s", ErrDamaged, found)
	}
	return err
}

// Disk tells whether an error is the disk's: it may pass, and nothing about the
// database, its rights or the settings has to change for that.
func Disk(err error) bool {
	switch Errno(err) {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EREMOTEIO, syscall.ENODEV, syscall.ENXIO,
		syscall.ETIMEDOUT, syscall.ESTALE, syscall.ENOTCONN, syscall.ECONNABORTED, syscall.ESHUTDOWN, syscall.ENOMEM, syscall.EINTR,
		syscall.ENFILE, syscall.EMFILE, syscall.EFBIG:
		return true
	}
	return errors.Is(err, ErrNotOpen)
}

// errReader is why a log could not be copied whole.
var errReader = errors.New("a reader is in the way")

// Secure copies the whole log into the database and flushes that. A flush of the
// log that failed may have left pages in it that are on no disk although they can
// be read; after this nothing depends on them.
func (s *Store) Secure() error {
	var busy, log, copied int64
	err := s.write(func(db *sql.DB) error {
		return db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &copied)
	})
	if err == nil && busy != 0 {
		err = errReader
	}
	if err != nil {
		return fmt.Errorf("copying the whole log into the database: %w", err)
	}
	return nil
}

// ReadBack checks that block seq is what was kept under its name. One that is not
// here is fine: it may have gone since.
func (t *Tx) ReadBack(seq int64) error {
	var id, head, body []byte
	err := t.queryRow("SELECT id, head, body FROM block WHERE seq=?", seq).Scan(&id, &head, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading block %d back: %w", seq, err)
	}
	x, err := block.Parse(append(head, body...))
	if err != nil {
		return fmt.Errorf("block %d: %w: %w", seq, ErrDamaged, err)
	}
	if want, ok := block.IDFrom(id); !ok || want != x.ID {
		return fmt.Errorf("block %d is not the one of its name: %w", seq, ErrDamaged)
	}
	return nil
}

// LastGiven returns the highest block number that was ever given, 0 for none.
func (t *Tx) LastGiven() (n int64, err error) {
	err = t.queryRow("SELECT coalesce(max(seq),0) FROM sqlite_sequence WHERE name='block'").Scan(&n)
	return n, err
}

// GiveFrom has the next block's number be higher than n.
func (t *Tx) GiveFrom(n int64) error {
	for _, q := range []string{"INSERT INTO sqlite_sequence(name, seq) SELECT 'block', 0 WHERE NOT EXISTS(SELECT 1 FROM sqlite_sequence WHERE name='block')",
		"UPDATE sqlite_sequence SET seq=max(seq, ?1) WHERE name='block' AND ?1>0"} {
		if _, err := t.exec(q, n); err != nil {
			return fmt.Errorf("counting blocks from %d: %w", n, err)
		}
	}
	return nil
}
