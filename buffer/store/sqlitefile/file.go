// Package sqlitefile reads rows out of the file of an SQLite database, page by
// page and without SQLite: for files that SQLite itself can no longer read.
//
// # How it reads
//
// Pages come from the database file, or from the write-ahead log where that holds
// a newer one ([Open] says which count). A page of a b-tree says itself what it is,
// so its rows are found without the pages above it; a row that is longer than its
// page goes on in a chain of overflow pages ([File.Payload]). [Record] splits a
// row into its columns. [File.Tables] and [File.Leaves] walk trees from the root
// as SQLite would, for whoever must know that nothing is missing: they fail at the
// first thing that is wrong.
//
// The file may hold anything. Every offset is checked, chains and trees end
// however they are linked, and memory stays within what the caller allows a row to
// take. What comes out is nevertheless what the file says: rows carry no checksum,
// and pages that are free still hold rows that were deleted.
package sqlitefile

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// Source is a file that is read.
type Source struct {
	io.ReaderAt
	Size int64
}

// File is an open database. It is for one goroutine.
type File struct {
	db, wal  Source
	pageSize int
	frames   map[uint32]int64 // page -> where it lies in the log; of committed transactions
	torn     map[uint32]int64 // the same, of what follows damage in the log
	loose    bool             // whether torn counts
	page     []byte           // the page that was read last
	link     []byte           // the overflow page that was read last
}

// ErrDamaged says that something in the file cannot be true.
var ErrDamaged = errors.New("damaged")

// Open looks at a database and its log, which may be of size 0. The page size is
// the caller's knowledge: the file's header may be gone. Of the log, transactions
// count whose frames have the right salt and checksums up to their commit, as for
// SQLite.
func Open(db, wal Source, pageSize int) (*File, error) {
	if pageSize < 512 || pageSize > 65536 || pageSize&(pageSize-1) != 0 {
		return nil, fmt.Errorf("a page size of %d", pageSize)
	}
	f := &File{db: db, wal: wal, pageSize: pageSize, page: make([]byte, pageSize), link: make([]byte, pageSize)}
	f.frames, f.torn = readLog(wal, pageSize)
	return f, nil
}

// Pages yields the number of every page.
func (f *File) Pages() iter.Seq[uint32] {
	inFile := uint32(min(f.db.Size/int64(f.pageSize), 1<<32-2))
	if f.db.Size%int64(f.pageSize) != 0 {
		inFile++ // cut off within a page: its cells lie at its end, but who knows
	}
	return func(yield func(uint32) bool) {
		for n := uint32(1); n <= inFile; n++ {
			if !yield(n) {
				return
			}
		}
		for _, n := range sorted(f.overlay()) {
			if n > inFile && !yield(n) {
				return
			}
		}
	}
}

func (f *File) overlay() map[uint32]int64 {
	if f.loose {
		return f.torn
	}
	return f.frames
}

// Torn yields the pages of which the log holds a version that SQLite would not
// see, because something before it is damaged. UseTorn chooses whether all else
// sees them.
func (f *File) Torn() iter.Seq[uint32] { return slices.Values(sorted(f.torn)) }

// UseTorn has pages behind damage in the log count, or not.
func (f *File) UseTorn(yes bool) { f.loose = yes }

func sorted(m map[uint32]int64) []uint32 {
	out := make([]uint32, 0, len(m))
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// read fills b with a page. What the file ends before is zero.
func (f *File) read(n uint32, b []byte) error {
	if n == 0 {
		return fmt.Errorf("%w: page 0", ErrDamaged)
	}
	if f.loose {
		if off, ok := f.torn[n]; ok {
			return readFull(f.wal, b, off)
		}
	}
	if off, ok := f.frames[n]; ok {
		return readFull(f.wal, b, off)
	}
	off := int64(n-1) * int64(f.pageSize)
	if off >= f.db.Size {
		return fmt.Errorf("%w: page %d is beyond the file's end", ErrDamaged, n)
	}
	return readFull(f.db, b, off)
}

func readFull(s Source, b []byte, off int64) error {
	n, err := s.ReadAt(b, off)
	if n == len(b) || errors.Is(err, io.EOF) {
		clear(b[n:])
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading at %d: %w", off, err)
}

// Payload returns a row's octets, at most limit: those in its page and those in
// its chain.
func (f *File) Payload(c *Cell, limit int) ([]byte, error) {
	if c.size > uint64(limit) {
		return nil, fmt.Errorf("%w: a row of %d octets (at most %d)", ErrDamaged, c.size, limit)
	}
	out := make([]byte, 0, c.size)
	out = append(out, c.local...)
	next := c.overflow
	// A chain that loops ends too: each page brings the row nearer to its size.
	for uint64(len(out)) < c.size {
		if err := f.read(next, f.link); err != nil {
			return nil, err
		}
		next = be32(f.link)
		out = append(out, f.link[4:][:min(len(f.link)-4, int(c.size)-len(out))]...)
	}
	return out, nil
}
