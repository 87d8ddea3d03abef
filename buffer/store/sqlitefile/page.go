package sqlitefile

import (
	"encoding/binary"
	"fmt"
)

// Kind is what a page of a b-tree is.
type Kind byte

// The kinds. Only leaves of tables hold rows of a table with rowids; those of
// indexes and of tables without rowid lie in both kinds of index pages.
const (
	IndexInterior Kind = 0x02
	TableInterior Kind = 0x05
	IndexLeaf     Kind = 0x0A
	TableLeaf     Kind = 0x0D
)

// Page is a page of a b-tree.
type Page struct {
	Number uint32
	Kind   Kind
	Cells  []Cell
	Last   uint32 // interior: the child behind all cells
	Broken int    // cells that cannot be read; they are not in Cells
}

// Cell is one entry of a page. It is valid until another page is read.
type Cell struct {
	Child    uint32 // of an interior page
	Rowid    int64  // of a table
	size     uint64 // of the whole payload
	local    []byte // the part of it that lies here
	overflow uint32 // the page with the next part
}

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// varint reads SQLite's variable-length integer; n is 0 where b ends before it.
func varint(b []byte) (x uint64, n int) {
	for n = range min(len(b), 9) {
		if n == 8 {
			return x<<8 | uint64(b[8]), 9
		}
		x = x<<7 | uint64(b[n]&0x7f)
		if b[n] < 0x80 {
			return x, n + 1
		}
	}
	return 0, 0
}

// Read returns a page of a b-tree; the error is of the disk, or [ErrDamaged] for
// every other page. The page is valid until another one is read.
func (f *File) Read(n uint32) (Page, error) {
	if err := f.read(n, f.page); err != nil {
		return Page{}, err
	}
	return f.parse(n, f.page)
}

func (f *File) parse(n uint32, b []byte) (Page, error) {
	p := Page{Number: n}
	at := 0
	if n == 1 {
		at = 100 // behind the file's header
	}
	p.Kind = Kind(b[at])
	head := 8
	switch p.Kind {
	case TableInterior, IndexInterior:
		head = 12
		p.Last = be32(b[at+8:])
	case TableLeaf, IndexLeaf:
	default:
		return p, fmt.Errorf("%w: page %d is none of a tree", ErrDamaged, n)
	}
	count := int(binary.BigEndian.Uint16(b[at+3:]))
	list := at + head
	if list+2*count > len(b) {
		return p, fmt.Errorf("%w: page %d has %d cells", ErrDamaged, n, count)
	}
	// Cells do not overlap, so together they are no longer than the page. Without this
	// a page could name the same chain two thousand times.
	room := len(b) - list - 2*count
	for i := range count {
		from := int(binary.BigEndian.Uint16(b[list+2*i:]))
		if from < list+2*count || from >= len(b) {
			p.Broken++
			continue
		}
		c, n := parseCell(p.Kind, b[from:], len(b))
		if room -= n; n == 0 || room < 0 {
			p.Broken++
			continue
		}
		p.Cells = append(p.Cells, c)
	}
	return p, nil
}

// parseCell reads a cell that begins b; u is the page's size. It returns how long
// the cell is, 0 if it cannot be read.
func parseCell(k Kind, b []byte, u int) (c Cell, n int) {
	whole := len(b)
	if k == TableInterior || k == IndexInterior {
		if len(b) < 4 {
			return c, 0
		}
		c.Child, b = be32(b), b[4:]
	}
	if k != TableInterior {
		x, n := varint(b)
		if n == 0 {
			return c, 0
		}
		c.size, b = x, b[n:]
	}
	if k == TableInterior || k == TableLeaf {
		x, n := varint(b)
		if n == 0 {
			return c, 0
		}
		c.Rowid, b = int64(x), b[n:]
	}
	if k == TableInterior {
		return c, whole - len(b)
	}
	here := localPart(k, c.size, u)
	if here > len(b) {
		return c, 0
	}
	c.local = b[:here]
	if uint64(here) < c.size {
		if len(b) < here+4 {
			return c, 0
		}
		c.overflow = be32(b[here:])
		here += 4
	}
	return c, whole - len(b) + here
}

// localPart is how much of a payload lies in its page.
func localPart(k Kind, size uint64, u int) int {
	most := u - 35
	if k != TableLeaf {
		most = (u-12)*64/255 - 23
	}
	if size <= uint64(most) {
		return int(size)
	}
	least := (u-12)*32/255 - 23
	here := least + int((size-uint64(least))%uint64(u-4))
	if here > most {
		return least
	}
	return here
}
