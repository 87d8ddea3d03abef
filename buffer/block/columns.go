package block

import (
	"math/bits"
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
)

// metric is what was learned of the values of one metric, over all series and
// sources of a block.
type metric struct {
	gaps    bit     // a series has readings that are missing
	flat    [3]bit  // it stays as it begins; by: whether the series beside does
	missing [4]bit  // by: this series' reading before was missing, that of the series beside is
	same    [3]bit  // a series begins as the one before did; by the series beside
	first   numbers // a series' first value
	step    numbers // the others, each against its prediction
	mode    [8]bit
	scale   [8]bit
	text    texts

	began uint64 // the first value of the series before
}

// numbers is what was learned of the size of numbers.
type numbers struct {
	zero [3][3]bit      // by: the number before (none yet, zero, not zero), the number beside
	sign [3]bit         // by: the sign of the number before
	near [8]bit         // size in bits, against that of the number before; or that it is far from it
	size [64]bit        // size in bits, where there was none before or it is far
	top  [maxTop][8]bit // the bits below the leading one, by size
}

// maxTop: larger numbers share what is learned of their highest bits.
const maxTop = 40

// far is the symbol in place of a distance of -3 to 3, plus 3.
const far = 7

// tree8 codes a symbol of eight bits.
type tree8 [256]bit

func (c *coder) octet(t *tree8, v uint32) uint32 {
	m := uint32(1)
	for i := 7; i >= 0; i-- {
		m = m<<1 | c.bit(&t[m], v>>i&1)
	}
	return m & 255
}

// small codes a number below 8.
func (c *coder) small(t *[8]bit, v uint32) uint32 {
	m := uint32(1)
	for i := 2; i >= 0; i-- {
		m = m<<1 | c.bit(&t[m], v>>i&1)
	}
	return m & 7
}

// The states of a number, for what is coded beside and after it.
const (
	none   = 0
	still  = 1 // zero: the value is what was predicted
	moving = 2
)

// trace is what is remembered of a series' numbers.
type trace struct {
	state uint8
	size  int   // bits of the last one that was not zero
	sign  uint8 // 0: none yet; 1: above zero; 2: below
}

// number codes v, modulo 2^64. beside is the state of the number beside it.
func (c *coder) number(k *numbers, t *trace, beside uint8, v uint64) uint64 {
	if c.bit(&k.zero[t.state][beside], flag(v != 0)) == 0 {
		t.state = still
		return 0
	}
	t.state = moving
	negative := c.bit(&k.sign[t.sign], flag(int64(v) < 0)) != 0
	t.sign = 1
	if negative {
		t.sign, v = 2, -v
	}
	n := c.size(k, t.size, bits.Len64(v))
	t.size = n
	v = c.mantissa(&k.top[min(n, maxTop)-1], v, n-1)
	if negative {
		v = -v
	}
	return v
}

// size codes a number's size in bits, 1 to 64; before is that of the number before, 0
// for none.
func (c *coder) size(k *numbers, before, n int) int {
	if before != 0 {
		d := uint32(far)
		if n-before >= -3 && n-before <= 3 {
			d = uint32(n - before + 3)
		}
		if d = c.small(&k.near, d); d != far {
			return min(max(before+int(d)-3, 1), 64) // else it is a damaged block
		}
	}
	m := uint32(1)
	for i := 5; i >= 0; i-- {
		m = m<<1 | c.bit(&k.size[m], uint32(n-1)>>i&1)
	}
	return int(m&63) + 1
}

// mantissa codes what is below the leading bit: the highest three bits by what is
// known of them, the others as they are.
func (c *coder) mantissa(top *[8]bit, v uint64, low int) uint64 {
	m, known := uint32(1), min(low, 3)
	for range known {
		low--
		m = m<<1 | c.bit(&top[m], uint32(v>>low)&1)
	}
	rest := uint64(0)
	if low > 0 {
		rest = c.raw(v&(1<<low-1), low)
	}
	if !c.decoding {
		return v
	}
	return uint64(m)<<low | rest
}

func flag(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// lane is the values of one series, as integers.
type lane struct {
	v       []uint64
	missing []bool  // then v repeats the value before
	state   []uint8 // of the numbers that they were coded as
	flat    uint8   // still: they all are, but for the first; moving: they are not
}

func (l *lane) resize(n int) {
	l.v, l.missing, l.state = slices.Grow(l.v[:0], n)[:n], slices.Grow(l.missing[:0], n)[:n], slices.Grow(l.state[:0], n)[:n]
	clear(l.state)
	l.flat = none
}

// look tells whether any value is missing, and whether the others are alike.
func (l *lane) look() (gaps, flat bool) {
	flat = true
	last, began := uint64(0), false
	for i, v := range l.v {
		if l.missing[i] {
			gaps = true
			continue
		}
		flat = flat && (!began || v == last)
		last, began = v, true
	}
	return gaps, flat
}

// The ways in which a value is predicted from those before it in its series, and
// from the series one or two places before it, which is mostly another column of
// the same row.
const (
	byLast  = 0 // it stays as it is
	bySlope = 1 // it goes on as it did
	byRatio = 2 // it rises with the series beside, as much more or less as it did so far
	byOther = 3 // the same, with the one before that
	nModes  = 4
)

// foresee predicts values one by one: pred is the next one's, then took says what
// it was.
type foresee struct {
	mode      int
	other     *lane
	last      uint64
	slope     uint64
	own, with uint64 // what this series and the other have risen by so far
}

func newForesee(mode int, beside, beyond *lane) foresee {
	f := foresee{mode: mode}
	switch mode {
	case byRatio:
		f.other = beside
	case byOther:
		f.other = beyond
	}
	return f
}

// pred predicts value i; there was one before it.
func (f *foresee) pred(i int) uint64 {
	switch {
	case f.mode == bySlope:
		return f.last + f.slope
	case f.other != nil && i > 0 && f.with > 0:
		hi, lo := bits.Mul64(f.other.v[i]-f.other.v[i-1], f.own)
		if hi < f.with {
			q, _ := bits.Div64(hi, lo, f.with)
			return f.last + q
		}
	}
	return f.last
}

func (f *foresee) took(i int, v uint64, began bool) {
	if began {
		f.slope = v - f.last
		if f.other != nil && i > 0 {
			own, with := v-f.last, f.other.v[i]-f.other.v[i-1]
			if own < 1<<48 && with < 1<<48 && f.own < 1<<60 && f.with < 1<<60 { // neither fell
				f.own += own
				f.with += with
			}
		}
	}
	f.last = v
}

// choose returns the mode that takes the fewest bits, about.
func choose(x, beside, beyond *lane) int {
	best, least := byLast, 1<<60
	for mode := range nModes {
		if mode == byRatio && beside == nil || mode == byOther && beyond == nil {
			continue
		}
		f, sum, began := newForesee(mode, beside, beyond), 4*mode, false
		for i, v := range x.v {
			if x.missing[i] {
				continue
			}
			if began {
				sum += cost(v - f.pred(i))
			}
			f.took(i, v, began)
			began = true
		}
		if sum < least {
			best, least = mode, sum
		}
		if least == 0 {
			break // it never changes
		}
	}
	return best
}

// cost is about how many bits a number takes.
func cost(v uint64) int {
	if int64(v) < 0 {
		v = -v
	}
	n := bits.Len64(v)
	if n > 0 {
		n += 2
	}
	return n
}

// fewest is how many values a series must have for a choice of its mode to pay.
const fewest = 4

// lane codes a series' values; beside and beyond are those coded before it in the
// same section, nil where there are none.
func (c *coder) lane(m *metric, x, beside, beyond *lane) {
	var gaps, flat bool
	mode, next := byLast, uint8(none)
	if len(x.v) >= fewest {
		if beside != nil {
			next = beside.flat
		}
		if !c.decoding {
			gaps, flat = x.look()
		}
		gaps = c.bit(&m.gaps, flag(gaps)) != 0
		if flat = c.bit(&m.flat[next], flag(!flat)) == 0; !flat {
			if !c.decoding {
				mode = choose(x, beside, beyond)
			}
			mode = int(c.small(&m.mode, uint32(mode)))
			if mode == byRatio && beside == nil || mode == byOther && beyond == nil {
				mode = byLast // a damaged block
			}
		}
	} else {
		gaps = true
	}
	x.flat = moving
	if flat {
		x.flat = still
	}
	f, t, began := newForesee(mode, beside, beyond), trace{}, false
	was := uint32(0)
	for i := range x.v {
		next, nextMissing := uint8(none), uint32(0)
		if beside != nil {
			next, nextMissing = beside.state[i], flag(beside.missing[i])
		}
		if gaps {
			was = c.bit(&m.missing[2*was+nextMissing], flag(x.missing[i]))
		}
		switch x.missing[i] = was != 0; {
		case x.missing[i]:
			x.v[i], x.state[i] = f.last, none
			continue
		case !began:
			x.v[i] = c.begin(m, next, x.v[i])
			x.state[i] = moving
			if x.v[i] == 0 {
				x.state[i] = still
			}
		case flat:
			x.v[i], x.state[i] = f.last, still
			continue
		default:
			p := f.pred(i)
			x.v[i] = p + c.number(&m.step, &t, next, x.v[i]-p)
			x.state[i] = t.state
		}
		f.took(i, x.v[i], began)
		began = true
	}
}

// begin codes a series' first value: as that of the series before, or for itself.
func (c *coder) begin(m *metric, beside uint8, v uint64) uint64 {
	if c.bit(&m.same[beside], flag(v != m.began)) == 0 {
		return m.began
	}
	m.began = c.number(&m.first, &trace{}, beside, v)
	return m.began
}

// texts is what was learned of a column of texts: those that there were, by number,
// and the letters of new ones.
type texts struct {
	same    [2]bit
	word    numbers
	letters tree8
	known   map[string]uint64
	list    []string
}

// string codes a text; began tells whether the series has one before.
func (c *coder) string(k *texts, last string, began bool, s string) string {
	if c.bit(&k.same[flag(began)], flag(s != last)) == 0 {
		return last
	}
	if k.known == nil {
		k.known = map[string]uint64{}
	}
	i, ok := k.known[s]
	if !ok {
		i = uint64(len(k.list))
	}
	i = c.number(&k.word, &trace{}, none, i)
	if i < uint64(len(k.list)) {
		return k.list[i]
	}
	n := int(c.raw(uint64(len(s)), 8))
	b := make([]byte, n)
	copy(b, s)
	for j := range b {
		b[j] = byte(c.octet(&k.letters, uint32(b[j])))
	}
	s = string(b)
	k.known[s] = uint64(len(k.list))
	k.list = append(k.list, s)
	return s
}

const _ = uint(255 - collectors.MaxText) // a text's length fits eight bits
