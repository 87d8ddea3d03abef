package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// kin is what blocks must have in common to become one (delivery rule 8).
type kin struct {
	epoch   uint64
	boot    [16]byte
	offset  int64
	sure    bool
	class   block.Class
	tier    block.Tier
	pending bool
}

func kinOf(r *store.Row) kin {
	return kin{r.Epoch, r.Boot, r.Offset, r.Sure, r.Class, r.Tier, r.Pending}
}

// head is the head of a block that is made of such ones.
func (k kin) head(probe string, tier block.Tier) block.Head {
	return block.Head{Probe: probe, Epoch: k.epoch, Boot: k.boot, Offset: k.offset, Sure: k.sure, Class: k.class, Tier: tier}
}

// families sorts rows by kin, in the order in which each first appears.
func families(rows []store.Row) (out [][]store.Row) {
	at := map[kin]int{}
	for _, r := range rows {
		k := kinOf(&r)
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}

// rows are the blocks of a family that are to be made anew, and what they become.
type repack struct {
	b     *Buffer
	rows  []store.Row
	head  block.Head // of the outcome
	out   []*block.Block
	wait  []block.Section // for the next block
	size  float64         // that they take, by estimate
	cells float64
}

// sibling returns a repack of the same rows and head, which makes other blocks of them.
func (p *repack) sibling(tier block.Tier) *repack {
	q := &repack{b: p.b, rows: p.rows, head: p.head}
	q.head.Tier = tier
	return q
}

// maxHeld is how many readings are unpacked in memory at a time: 32 octets each.
const maxHeld = 50_000

// sections unpacks the parts of a block whose source is wanted.
func (p *repack) sections(r *store.Row, want func(source string) bool) (out []block.Section, err error) {
	missing := 0
	err = p.b.view(func(tx *store.Tx) error {
		x, err := tx.Block(r.Seq)
		if err != nil {
			return err
		}
		out, missing, err = p.b.codec.Decode(x, p.b.layoutsOf(tx), func(c *block.Cover) bool { return want(c.Source) })
		return err
	})
	if err == nil && missing > 0 {
		p.b.schemaless[r.Seq] = r.ID
		return nil, errUnusable
	}
	if errors.Is(err, block.ErrDamaged) {
		p.b.log.Error("a block cannot be unpacked, and stays as it is", "block", r.ID.String(), "error", err)
		p.b.unusable[r.Seq] = r.ID
		return nil, errUnusable
	}
	if err != nil {
		return nil, fmt.Errorf("unpacking block %d: %w", r.Seq, err)
	}
	return slices.DeleteFunc(out, func(s block.Section) bool { return s.Batches == nil && s.Rollup == nil }), nil
}

// errUnusable says that one of the blocks cannot be unpacked. It is remembered, and
// the others do without it.
var errUnusable = errors.New("a block cannot be unpacked")

// anew has f make blocks anew, without those that cannot be unpacked: one of them
// must not stop the rest.
func (b *Buffer) anew(rows []store.Row, f func([]store.Row) (bool, error)) (done bool, err error) {
	for {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r store.Row) bool { return b.unusable[r.Seq] == r.ID || b.schemaless[r.Seq] == r.ID })
		if len(rows) == 0 {
			return false, nil
		}
		if done, err = f(rows); !errors.Is(err, errUnusable) {
			return done, err
		}
	}
}

// layoutsOf looks schemas up without their labels, which blocks are made anew
// without.
func (b *Buffer) layoutsOf(tx *store.Tx) func(block.ID) *collectors.Schema {
	return func(id block.ID) *collectors.Schema {
		s, err := b.layouts.Schema(id, tx.SchemaBytes)
		if err != nil {
			return nil // reading the block itself meets it, too
		}
		return s
	}
}

// add puts a section into the next block, which is made when it is full.
func (p *repack) add(s block.Section) error {
	cells, over := 0, 40
	if r := s.Rollup; r != nil {
		over += len(r.Source) + 8*len(r.Buckets)
		cells = cellsOf(r)
	} else {
		over += len(s.Batches[0].Source)
		for i := range s.Batches {
			x := &s.Batches[i]
			cells += len(x.Values)
			over += len(x.Outcome.Why) / 8
			for j := range x.Events {
				over += 16 + len(x.Events[j].Text)/2 + 16*len(x.Events[j].Labels)
			}
		}
	}
	more := float64(over) + float64(cells)*p.b.packed
	if p.size+more > fill || p.cells+float64(cells) > maxCells {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.wait = append(p.wait, s)
	p.size += more
	p.cells += float64(cells)
	return nil
}

// cellsOf counts the values that a rollup has to be packed.
func cellsOf(r *block.Rollup) int {
	n := len(r.Buckets) * len(r.Lines)
	for i := range r.Lines {
		n += len(r.Lines[i].Fallen)
	}
	return n
}

// flush makes a block, or several, of what waits.
func (p *repack) flush() error {
	if len(p.wait) == 0 {
		return nil
	}
	blocks, err := encodeSections(p.b.codec, p.head, p.wait)
	if err != nil {
		return err
	}
	if p.cells > 1000 {
		size := 0
		for _, x := range blocks {
			size += len(x.Bytes)
		}
		p.b.packed += (max(0.01, float64(size)/p.cells) - p.b.packed) / 2
	}
	p.out = append(p.out, blocks...)
	p.wait, p.size, p.cells = nil, 0, 0
	return nil
}

// sound tells whether the outcome can be read, and covers exactly what the rows do.
func (p *repack) sound() bool {
	for _, x := range p.out {
		if _, err := block.Parse(x.Bytes); err != nil {
			return false
		}
	}
	before, after := map[string]*block.Ranges{}, map[string]*block.Ranges{}
	push := func(m map[string]*block.Ranges, cs []block.Cover) {
		for i := range cs {
			if m[cs[i].Source] == nil {
				m[cs[i].Source] = &block.Ranges{}
			}
			m[cs[i].Source].Push(cs[i].Range())
		}
	}
	for i := range p.rows {
		push(before, p.rows[i].Cover)
	}
	for _, x := range p.out {
		push(after, x.Cover)
	}
	return maps.EqualFunc(before, after, func(a, b *block.Ranges) bool { return slices.Equal(*a, *b) })
}

// pays tells whether there is something to gain: octets, of which each row and its
// place in the indices takes some, too.
func (p *repack) pays() bool {
	const row = 150
	before, after := 0, 0
	for i := range p.rows {
		before += p.rows[i].Size + row
	}
	for _, x := range p.out {
		after += len(x.Bytes) + row
	}
	return len(p.out) <= len(p.rows) && after < before*19/20
}

// replace puts the outcome in the rows' place, in one transaction, if they are
// still what they were; done tells whether it did. The blocks take the lowest of
// the rows' numbers: they are no news to the sender, and stand where those stood.
func (p *repack) replace(before, after string) (done bool, err error) {
	b := p.b
	if !p.sound() {
		// Two blocks of one batch, say: whatever happened here, they stay.
		b.log.Error("blocks that cannot be made anew stay as they are", "epoch", fmt.Sprintf("%016x", p.head.Epoch), "blocks", len(p.rows))
		return false, nil
	}
	seqs := make([]int64, len(p.rows))
	for i := range p.rows {
		seqs[i] = p.rows[i].Seq
	}
	slices.Sort(seqs)
	b.at(before)
	b.io.Lock()
	defer b.io.Unlock()
	if b.ail.err != nil || b.isLent(p.rows) {
		return false, nil
	}
	err = b.update(func(tx *store.Tx) error {
		for i := range p.rows {
			same, err := tx.Same(&p.rows[i])
			if err != nil {
				return err
			}
			if !same {
				return errChanged
			}
		}
		for _, seq := range seqs {
			if err := tx.Drop(seq); err != nil {
				return err
			}
		}
		for i, x := range p.out {
			if err := tx.PutBlockAt(seqs[i], b.probe, x, p.rows[0].Pending); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errChanged) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("replacing blocks: %w", err)
	}
	b.at(after)
	if p.rows[0].Class == block.Readings {
		size := 0
		for _, x := range p.out {
			size += len(x.Bytes)
		}
		was := 0
		for i := range p.rows {
			was += p.rows[i].Size
		}
		b.measured(p.head.Tier, p.rows[0].Tier, was, size)
	}
	b.logged += incoming(p.out)
	if err := b.checkpoint(); err != nil {
		return true, b.failed(err)
	}
	if !p.rows[0].Pending {
		b.noVictim = false
	}
	return true, nil
}

var errChanged = errors.New("changed meanwhile")

// lending is how long a block that was sent counts as on its way.
const lending = 10 * time.Minute

// Sent notes that a pending block is on its way to the hub: to make it anew just
// then would only have it sent twice.
func (b *Buffer) Sent(seq int64) {
	now := time.Now()
	b.lentMu.Lock()
	defer b.lentMu.Unlock()
	if len(b.lent) >= maxLent {
		maps.DeleteFunc(b.lent, func(_ int64, at time.Time) bool { return now.Sub(at) > lending })
	}
	if len(b.lent) < maxLent {
		b.lent[seq] = now
	}
}

// maxLent bounds how many are remembered; the window has far fewer.
const maxLent = 20_000

func (b *Buffer) isLent(rows []store.Row) bool {
	now := time.Now()
	b.lentMu.Lock()
	defer b.lentMu.Unlock()
	return slices.ContainsFunc(rows, func(r store.Row) bool {
		at, ok := b.lent[r.Seq]
		return ok && r.Pending && now.Sub(at) <= lending
	})
}

// portions cuts sources into groups that are worked on together: at most so many
// readings each, or one source.
func portions(rows []store.Row, most int) (out []map[string]bool) {
	weight := map[string]int{}
	for i := range rows {
		r := &rows[i]
		batches := 0
		for j := range r.Cover {
			batches += int(r.Cover[j].Count)
		}
		for j := range r.Cover {
			weight[r.Cover[j].Source] += r.Readings*int(r.Cover[j].Count)/batches + 1
		}
	}
	sum := 0
	for _, source := range slices.Sorted(maps.Keys(weight)) {
		if sum += weight[source]; len(out) == 0 || sum > most {
			out, sum = append(out, map[string]bool{}), weight[source]
		}
		out[len(out)-1][source] = true
	}
	return out
}

// inOrder sorts sections by their numbers and joins what is consecutive and of one
// schema.
func inOrder(s []block.Section) []block.Section {
	slices.SortFunc(s, func(a, b block.Section) int { return cmp.Compare(a.First, b.First) })
	out := s[:0]
	for _, x := range s {
		if n := len(out); n > 0 {
			l := &out[n-1]
			if l.Rollup == nil && x.Rollup == nil && l.First+uint64(len(l.Batches)) == x.First && compatible(l.Schema, x.Schema) {
				if l.Schema == (block.ID{}) {
					l.Schema = x.Schema
				}
				l.Batches = append(l.Batches, x.Batches...)
				continue
			}
		}
		out = append(out, x)
	}
	return out
}

// compatible tells whether batches of two schemas can stand together: where there are no
// values any schema will do.
func compatible(a, b block.ID) bool { return a == b || a == (block.ID{}) || b == (block.ID{}) }

// numberOf counts the readings of rows.
func numberOf(rows []store.Row) (n int) {
	for i := range rows {
		n += rows[i].Readings
	}
	return n
}

// schemaIn is the schema of a section's values, nil where it has none.
func schemaIn(s *block.Section) *collectors.Schema {
	for i := range s.Batches {
		if x := s.Batches[i].Schema; x != nil {
			return x
		}
	}
	return nil
}
