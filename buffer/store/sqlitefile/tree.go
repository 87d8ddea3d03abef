package sqlitefile

import (
	"errors"
	"fmt"
)

// maxDepth is deeper than any tree of real pages is.
const maxDepth = 20

// Tables returns the first page of each table, if the list of them is whole.
func (f *File) Tables() (map[string]uint32, error) {
	out := map[string]uint32{}
	err := f.Leaves(1, func(p Page) error {
		for i := range p.Cells {
			b, err := f.Payload(&p.Cells[i], 1<<16)
			if err != nil {
				return err
			}
			v, err := Record(b)
			if err != nil {
				return err
			}
			if len(v) != 5 || !v[0].Text() || !v[1].Text() || !v[3].Int() {
				return fmt.Errorf("%w: the list of tables", ErrDamaged)
			}
			if string(v[0].Bytes) == "table" {
				out[string(v[1].Bytes)] = uint32(v[3].Integer())
			}
		}
		return nil
	})
	return out, err
}

// Leaves calls g for every leaf of a table, in order of the rowids. It fails where
// anything is missing or out of order: what it passed over would be taken for
// deleted. The page is valid until g returns.
func (f *File) Leaves(root uint32, g func(Page) error) error {
	w := walk{f: f, seen: map[uint32]bool{}, leaf: g}
	return w.page(root, 0)
}

type walk struct {
	f    *File
	seen map[uint32]bool
	leaf func(Page) error
	any  bool
	last int64 // the rowid before
}

func (w *walk) page(n uint32, depth int) error {
	if w.seen[n] || depth > maxDepth {
		return fmt.Errorf("%w: page %d is in its tree twice", ErrDamaged, n)
	}
	w.seen[n] = true
	b := make([]byte, w.f.pageSize) // a page's cells are of use while those below are read
	if err := w.f.read(n, b); err != nil {
		return err
	}
	p, err := w.f.parse(n, b)
	if err != nil {
		return err
	}
	if p.Broken > 0 {
		return fmt.Errorf("%w: %d cells of page %d", ErrDamaged, p.Broken, n)
	}
	switch p.Kind {
	case TableLeaf:
		for i := range p.Cells {
			if w.any && p.Cells[i].Rowid <= w.last {
				return fmt.Errorf("%w: page %d is not in order", ErrDamaged, n)
			}
			w.any, w.last = true, p.Cells[i].Rowid
		}
		return w.leaf(p)
	case TableInterior:
		for i := range p.Cells {
			if err := w.page(p.Cells[i].Child, depth+1); err != nil {
				return err
			}
			if w.any && w.last > p.Cells[i].Rowid {
				return fmt.Errorf("%w: page %d is not in order", ErrDamaged, n)
			}
		}
		return w.page(p.Last, depth+1)
	}
	return errors.Join(ErrDamaged, fmt.Errorf("page %d is none of a table", n))
}
