package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store/sqlitefile"
	"github.com/siteprobe/siteprobe/collectors"
)

// Wreck is a database that was set aside: a survey finds what in it may still be of
// use, wherever it lies; every block and schema is checked against its own checksum
// or name when it is taken out. It is for one goroutine.
type Wreck struct {
	f       *sqlitefile.File
	files   []*os.File
	codec   *block.Codec
	blocks  []Found
	schemas map[block.ID][]Found
	pending []int64 // sorted; nil where it is not known what was pending
	gaps    []FoundGap
	epochs  []FoundEpoch
	logOnly bool
}

// Found is a row that looks like a block or a schema, and where it lies.
type Found struct {
	seq  int64
	page uint32
	cell uint16
	torn bool
}

// FoundGap is a gap's row; Probe is the number that the wreck had for the probe.
type FoundGap struct {
	Probe int64
	Gap
}

// FoundEpoch is an epoch's row.
type FoundEpoch struct {
	Probe int64
	Epoch
}

// Bounds of what a survey remembers. A hostile file can reach them, no real one does.
const (
	maxFoundBlocks  = 1 << 20
	maxFoundSchemas = 1 << 16
	maxFoundGaps    = 1 << 16
	maxFoundEpochs  = 1 << 14
	maxCopies       = 4 // of one schema
	maxRow          = block.MaxBlock + 1024
)

// OpenWreck opens a database that was set aside, or what there is of it, for
// reading. Nothing of it is changed.
func OpenWreck(path string) (*Wreck, error) {
	codec, err := block.NewCodec()
	if err != nil {
		return nil, err
	}
	w := &Wreck{codec: codec, schemas: map[block.ID][]Found{}}
	var src [2]sqlitefile.Source
	for i, name := range []string{path, path + "-wal"} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("opening what was set aside: %w", err)
		}
		w.files = append(w.files, f)
		st, err := f.Stat()
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("opening what was set aside: %w", err)
		}
		src[i] = sqlitefile.Source{ReaderAt: f, Size: st.Size()}
	}
	w.logOnly = src[0].ReaderAt == nil
	if w.f, err = sqlitefile.Open(src[0], src[1], pageSize); err != nil {
		w.Close()
		return nil, fmt.Errorf("opening what was set aside: %w", err)
	}
	return w, nil
}

// Close closes the files.
func (w *Wreck) Close() {
	for _, f := range w.files {
		f.Close() // it was read only
	}
}

// Survey reads every page. pace is called between them; its error ends the survey.
func (w *Wreck) Survey(pace func() error) error {
	for n := range w.f.Pages() {
		if err := pace(); err != nil {
			return err
		}
		w.survey(n, false)
	}
	w.f.UseTorn(true)
	for n := range w.f.Torn() {
		if err := pace(); err != nil {
			return err
		}
		w.survey(n, true)
	}
	w.f.UseTorn(false)
	slices.SortFunc(w.blocks, func(a, b Found) int {
		switch {
		case a.seq > b.seq:
			return -1
		case a.seq < b.seq:
			return 1
		}
		return 0
	})
	w.pending = w.wasPending()
	return nil
}

func (w *Wreck) survey(n uint32, torn bool) {
	p, err := w.f.Read(n)
	if err != nil {
		return // not a page with rows, or one that the disk does not give
	}
	for i := range p.Cells {
		c := &p.Cells[i]
		at := Found{seq: c.Rowid, page: n, cell: uint16(i), torn: torn}
		switch types := c.Types(); {
		case p.Kind == sqlitefile.TableLeaf && isBlock(types):
			if len(w.blocks) < maxFoundBlocks {
				w.blocks = append(w.blocks, at)
			}
		case p.Kind == sqlitefile.TableLeaf && isSchema(types):
			w.foundSchema(c, at)
		case (p.Kind == sqlitefile.IndexLeaf || p.Kind == sqlitefile.IndexInterior) && isGap(types):
			w.foundGap(c)
		case (p.Kind == sqlitefile.IndexLeaf || p.Kind == sqlitefile.IndexInterior) && isEpoch(types):
			w.foundEpoch(c)
		}
	}
}

// The shapes of our tables' rows, of every version. A rowid that has a name is null
// in the row.

func isBlock(t []sqlitefile.Type) bool {
	return len(t) >= 11 && t[0].Null() && t[2].Blob() && t[2].Len() == 16 && ints(t[3:9]) && headAt(t) > 0
}

// headAt is the column with the head, before that with the body; 0: there is none.
// Upgrades put columns before and behind them.
func headAt(t []sqlitefile.Type) int {
	for i := 9; i+1 < len(t); i++ {
		if t[i].Blob() && t[i+1].Blob() {
			return i
		}
	}
	return 0
}

func isSchema(t []sqlitefile.Type) bool {
	return len(t) == 2 && t[0].Blob() && t[0].Len() == 16 && t[1].Blob()
}

func isPending(t []sqlitefile.Type) bool {
	return len(t) == 5 && t[0].Null() && ints(t[1:2]) && t[2].Blob() && ints(t[3:])
}

func isGap(t []sqlitefile.Type) bool {
	return len(t) == 8 && ints(t[:2]) && t[2].Text() && ints(t[3:7]) && t[7].Text()
}

func isEpoch(t []sqlitefile.Type) bool {
	return (len(t) == 7 || len(t) == 10 && ints(t[7:])) && ints(t[:3]) && t[3].Blob() && t[3].Len() == 16 && ints(t[4:5]) && ints(t[6:7])
}

func ints(t []sqlitefile.Type) bool {
	return !slices.ContainsFunc(t, func(t sqlitefile.Type) bool { return !t.Int() })
}

func (w *Wreck) foundSchema(c *sqlitefile.Cell, at Found) {
	v, err := w.record(c, collectors.MaxSchema+64)
	if err != nil {
		return
	}
	id, ok := block.IDFrom(v[0].Bytes)
	if copies := w.schemas[id]; ok && len(copies) < maxCopies && (copies != nil || len(w.schemas) < maxFoundSchemas) {
		w.schemas[id] = append(copies, at)
	}
}

func (w *Wreck) foundGap(c *sqlitefile.Cell) {
	v, err := w.record(c, 1024)
	if err != nil || len(w.gaps) >= maxFoundGaps {
		return
	}
	g := FoundGap{v[0].Integer(), Gap{Epoch: uint64(v[1].Integer()), Source: string(v[2].Bytes),
		Range: block.Range{First: uint64(v[3].Integer()), End: uint64(v[3].Integer() + v[4].Integer())},
		T0:    v[5].Integer(), T1: v[6].Integer(), Reason: string(v[7].Bytes)}}
	if g.plausible() {
		w.gaps = append(w.gaps, g)
	}
}

func (w *Wreck) foundEpoch(c *sqlitefile.Cell) {
	v, err := w.record(c, 256)
	if err != nil || len(w.epochs) >= maxFoundEpochs {
		return
	}
	e := FoundEpoch{v[0].Integer(), Epoch{ID: uint64(v[1].Integer()), Prev: uint64(v[2].Integer()), Start: v[4].Integer(), Sure: true, End: End(v[6].Integer())}}
	if len(v) == 10 {
		e.N, e.At, e.Sure = uint64(v[7].Integer()), collectors.Stamp(v[8].Integer()), v[9].Integer() != 0
	}
	copy(e.Boot[:], v[3].Bytes)
	w.epochs = append(w.epochs, e)
}

func (w *Wreck) record(c *sqlitefile.Cell, limit int) ([]sqlitefile.Value, error) {
	b, err := w.f.Payload(c, limit)
	if err != nil {
		return nil, err
	}
	return sqlitefile.Record(b)
}

// wasPending returns the numbers of the blocks that were not delivered, nil where
// a part of the table that says so cannot be read.
func (w *Wreck) wasPending() []int64 {
	tables, err := w.f.Tables()
	if err != nil || tables["pending"] == 0 {
		return nil
	}
	out := []int64{}
	err = w.f.Leaves(tables["pending"], func(p sqlitefile.Page) error {
		for i := range p.Cells {
			if len(out) >= maxFoundBlocks || !isPending(p.Cells[i].Types()) {
				return sqlitefile.ErrDamaged
			}
			out = append(out, p.Cells[i].Rowid)
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return out
}

// LogOnly tells that there is but a log: rows in it may go on in pages that are in
// the database still.
func (w *Wreck) LogOnly() bool { return w.logOnly }

// Blocks returns what may be blocks, the newest first.
func (w *Wreck) Blocks() []Found { return w.blocks }

// Gaps and Epochs return the rows that were found. They have no checksum.
func (w *Wreck) Gaps() []FoundGap     { return w.gaps }
func (w *Wreck) Epochs() []FoundEpoch { return w.epochs }

// Pending tells whether a block may be one that was not delivered. Of what was found
// behind the damage in a log nobody knows: the list is of the time before.
func (w *Wreck) Pending(x Found) bool {
	if w.pending == nil || x.torn || w.logOnly {
		return true
	}
	_, found := slices.BinarySearch(w.pending, x.seq)
	return found
}

// Block takes a block out; probe is the number that the wreck had for its probe.
func (w *Wreck) Block(x Found) (b *block.Block, probe int64, err error) {
	v, err := w.row(x, maxRow)
	if err != nil {
		return nil, 0, err
	}
	if !isBlock(typesOf(v)) {
		return nil, 0, ErrDamaged
	}
	head := headAt(typesOf(v))
	b, err = block.Parse(slices.Concat(v[head].Bytes, v[head+1].Bytes))
	return b, v[1].Integer(), err
}

// Schema takes a schema out, nil if no whole copy of it is there.
func (w *Wreck) Schema(id block.ID) []byte {
	for _, x := range w.schemas[id] {
		v, err := w.row(x, collectors.MaxSchema+64)
		if err != nil || !isSchema(typesOf(v)) {
			continue
		}
		if got, _, err := w.codec.DecodeSchema(v[1].Bytes); err == nil && got == id {
			return v[1].Bytes
		}
	}
	return nil
}

func (w *Wreck) row(x Found, limit int) ([]sqlitefile.Value, error) {
	w.f.UseTorn(x.torn)
	defer w.f.UseTorn(false)
	p, err := w.f.Read(x.page)
	if err != nil {
		return nil, err
	}
	if int(x.cell) >= len(p.Cells) {
		return nil, ErrDamaged
	}
	return w.record(&p.Cells[x.cell], limit)
}

func typesOf(v []sqlitefile.Value) []sqlitefile.Type {
	out := make([]sqlitefile.Type, len(v))
	for i := range v {
		out[i] = v[i].Type
	}
	return out
}

// plausible tells whether a gap can be true; its row has no checksum.
func (g *Gap) plausible() bool {
	return g.First < g.End && g.End <= 1<<62 && g.Source != "" && len(g.Source) <= collectors.MaxName && utf8.ValidString(g.Source) &&
		len(g.Reason) <= collectors.MaxText && utf8.ValidString(g.Reason)
}
