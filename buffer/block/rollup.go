package block

import (
	"math"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// The tiers above Raw: what is kept of readings for which there is no room any
// more.
const (
	Quarter Tier = 1 // of an hour
	Hour    Tier = 2
)

// Width is how long the buckets of a tier are; 0 for Raw.
func (t Tier) Width() time.Duration {
	switch t {
	case Quarter:
		return 15 * time.Minute
	case Hour:
		return time.Hour
	}
	return 0
}

// Rollup is what a coarser tier keeps of consecutive batches of one source with
// one schema: for each bucket of wall time how the polls went, and for each series
// how many readings there were, their sum, the lowest, highest and last of them,
// and what a counter rose by. All of it is about these batches alone: a bucket
// that others have a share in is in several rollups.
type Rollup struct {
	Source  string
	Batches uint32             // how many there were
	T0, T1  collectors.Stamp   // of the first and the last
	Schema  *collectors.Schema // nil where none of them had values
	Buckets []Bucket
	Lines   []Line // as the schema has the series
}

// Bucket is a stretch of wall time in which there was a batch.
type Bucket struct {
	Start int64            // wall time, Unix ms: a multiple of the tier's width
	Last  collectors.Stamp // of its last batch
	Polls [4]uint32        // how many had each result
	Full  uint32           // how many had values
	Why   string           // of the last that did not go well
}

// Line is one series of a rollup.
type Line struct {
	First   collectors.Value // of all readings
	FirstAt collectors.Stamp
	Cells   []Cell // one for each bucket
	Fallen  []Reading
}

// Reading is a value and when it was read.
type Reading struct {
	At collectors.Stamp
	V  collectors.Value
}

// Cell is one series in one bucket. Sum, Min and Max are of gauges and states; a
// state's sum is of its numbers, so that a mean of 0 and 1 is a share of time.
// Rise is what a counter rose by from each reading to the next, the last one
// before the bucket included. Where it fell, which may be a reset or a wrap, it
// adds nothing, and both readings stay, in Line.Fallen.
type Cell struct {
	Count         uint32
	Last          collectors.Value
	LastAt        collectors.Stamp
	Sum, Min, Max float64
	Rise          uint64
}

// Roller makes a rollup out of batches, or out of finer rollups, which it is given
// in order.
type Roller struct {
	Rollup
	width  int64
	offset int64
	last   []Reading // of each series
}

// NewRoller begins a rollup; offset is that of the blocks.
func NewRoller(source string, tier Tier, offset int64) *Roller {
	return &Roller{Rollup: Rollup{Source: source}, width: tier.Width().Milliseconds(), offset: offset}
}

// begin makes room for the series of a schema.
func (r *Roller) begin(s *collectors.Schema) {
	if s == nil || r.Schema != nil {
		return
	}
	r.Schema, r.Lines, r.last = s, make([]Line, len(s.Series)), make([]Reading, len(s.Series))
	cells := make([]Cell, len(s.Series)*len(r.Buckets))
	for i := range r.Lines {
		r.Lines[i].Cells = cells[i*len(r.Buckets) : (i+1)*len(r.Buckets) : (i+1)*len(r.Buckets)]
	}
}

// bucket returns the bucket of a wall time, which is the last one or a new one.
func (r *Roller) bucket(wall int64) *Bucket {
	start := wall - floorMod(wall, r.width)
	if n := len(r.Buckets); n == 0 || r.Buckets[n-1].Start != start {
		r.Buckets = append(r.Buckets, Bucket{Start: start})
		for i := range r.Lines {
			r.Lines[i].Cells = append(r.Lines[i].Cells, Cell{})
		}
	}
	return &r.Buckets[len(r.Buckets)-1]
}

func floorMod(a, b int64) int64 { return ((a % b) + b) % b }

// Add takes a batch in.
func (r *Roller) Add(x *collectors.Batch) {
	r.span(x.At, x.At, 1)
	r.begin(x.Schema)
	b := r.bucket(int64(x.At) + r.offset)
	b.Last = x.At
	b.Polls[x.Outcome.Result]++
	if x.Outcome.Result != collectors.OK {
		b.Why = x.Outcome.Why
	}
	if len(x.Values) == 0 {
		return
	}
	b.Full++
	for i, v := range x.Values {
		if v.Missing() {
			continue
		}
		l, kind := &r.Lines[i], r.Schema.Series[i].Kind
		c := &l.Cells[len(l.Cells)-1]
		r.follow(i, c, Reading{x.At, v})
		c.take(kind, v)
		c.LastAt = x.At
		r.last[i] = Reading{x.At, v}
	}
}

// span widens what the rollup is about.
func (r *Roller) span(t0, t1 collectors.Stamp, batches uint32) {
	if r.Batches == 0 {
		r.T0 = t0
	}
	r.T1 = t1
	r.Batches += batches
}

// follow adds to a cell what lies between a series' last reading and the next.
func (r *Roller) follow(i int, c *Cell, next Reading) {
	l, last := &r.Lines[i], r.last[i]
	switch {
	case last.V.Missing():
		l.First, l.FirstAt = next.V, next.At
	case r.Schema.Series[i].Kind != collectors.Counter:
	case next.V.Counter() >= last.V.Counter():
		c.Rise += next.V.Counter() - last.V.Counter()
	default:
		l.keep(last)
		l.keep(next)
	}
}

// keep keeps a reading beside a fall, once.
func (l *Line) keep(x Reading) {
	if n := len(l.Fallen); n == 0 || l.Fallen[n-1].At < x.At {
		l.Fallen = append(l.Fallen, x)
	}
}

// take adds a value to a cell.
func (c *Cell) take(kind collectors.Kind, v collectors.Value) {
	if f, ok := v.Float(kind); ok && kind != collectors.Counter {
		c.add(&Cell{Count: 1, Sum: f, Min: f, Max: f})
	} else {
		c.Count++
	}
	c.Last = v
}

// add adds a cell's count, sum and bounds.
func (c *Cell) add(o *Cell) {
	if c.Count == 0 {
		c.Min, c.Max = o.Min, o.Max
	}
	c.Min, c.Max = min(c.Min, o.Min), max(c.Max, o.Max)
	c.Sum = sum(c.Sum, o.Sum)
	c.Count += o.Count
}

// sum adds as decimals do where both are some: 0.1 and 0.2 are 0.3, in whatever
// order a third is added.
func sum(a, b float64) float64 {
	s := a + b
	scale := max(scaleOf(a), scaleOf(b))
	if scale < len(pow10) {
		if n := math.Round(s * pow10[scale]); math.Abs(n) < 1<<53 {
			return n / pow10[scale]
		}
	}
	return s
}

// scaleOf is how many decimals a number has, len(pow10) for too many.
func scaleOf(f float64) int {
	for s := range pow10 {
		if n := math.Round(f * pow10[s]); math.Abs(n) < 1<<53 && n/pow10[s] == f {
			return s
		}
	}
	return len(pow10)
}

// Merge takes a finer rollup in.
func (r *Roller) Merge(o *Rollup) {
	r.span(o.T0, o.T1, o.Batches)
	r.begin(o.Schema)
	began := make([]bool, len(o.Lines))
	for j := range o.Buckets {
		from := &o.Buckets[j]
		b := r.bucket(from.Start)
		b.Last = from.Last
		b.Full += from.Full
		for k, n := range from.Polls {
			b.Polls[k] += n
		}
		if from.Why != "" {
			b.Why = from.Why
		}
		for i := range o.Lines {
			x := &o.Lines[i].Cells[j]
			if x.Count == 0 {
				continue
			}
			l := &r.Lines[i]
			c := &l.Cells[len(l.Cells)-1]
			if !began[i] {
				began[i] = true
				r.follow(i, c, Reading{o.Lines[i].FirstAt, o.Lines[i].First})
			}
			c.add(x)
			c.Rise += x.Rise
			c.Last, c.LastAt = x.Last, x.LastAt
			r.last[i] = Reading{x.LastAt, x.Last}
		}
	}
	for i := range o.Lines {
		for _, x := range o.Lines[i].Fallen {
			r.Lines[i].keep(x)
		}
	}
}

// readings counts what a rollup holds: the cells with a reading, and those that
// stay.
func (r *Rollup) readings() (n int) {
	for i := range r.Lines {
		for j := range r.Lines[i].Cells {
			if r.Lines[i].Cells[j].Count > 0 {
				n++
			}
		}
		n += len(r.Lines[i].Fallen)
	}
	return n
}
