package block

// An adaptive binary range coder, as in LZMA (G. N. N. Martin, "Range encoding",
// 1979; the carry handling is Pavlov's): each yes-or-no decision costs what it
// tells, which for an idle port is a thousandth of a bit. What is likely is
// learned while coding, by encoder and decoder alike.

// bit is what is known of one decision: how likely it is to be 0, in 1/65536 and
// xor one half, so that the zero value knows nothing; and how often it was made, up
// to a bound: the first times teach most.
type bit struct {
	odds uint16
	n    uint8
}

// These, and all constants of columns.go and model.go, are part of version 2.
const (
	half     = 1 << 15
	lowest   = 1 << 5 // no decision is certain
	topRange = 1 << 24
)

// settled is how many times a decision was made before it is learned from at the
// lowest rate.
const settled = 28

// learn notes that the decision was y.
func (b *bit) learn(y uint32) {
	if b.n < settled {
		b.n++
	}
	p, rate := uint32(b.odds^half), uint32(rates[b.n])
	if y == 0 {
		p += (65536 - lowest - p) * rate >> 16
	} else {
		p -= (p - lowest) * rate >> 16
	}
	b.odds = uint16(p) ^ half
}

// rates is by how much of the error the n-th decision corrects what is known:
// about 1/(n+1.5), in 1/65536.
var rates = func() (r [settled + 1]uint16) {
	for n := range r {
		r[n] = uint16(2 * 65536 / (2*n + 3))
	}
	return r
}()

// coder is the encoder or the decoder: the value goes in when encoding and comes
// out when decoding, so that one description of the format serves both, and they
// cannot differ.
type coder struct {
	decoding bool
	buf      []byte

	// encoding
	low    uint64
	cache  byte
	behind int // octets that wait for a carry, the cache among them

	// decoding
	code uint32
	pos  int

	span uint32
}

func newEncoder(buf []byte) *coder { return &coder{buf: buf, span: 0xFFFFFFFF, behind: 1} }

func newDecoder(b []byte) *coder {
	c := &coder{decoding: true, buf: b, span: 0xFFFFFFFF}
	for range 4 {
		c.code = c.code<<8 | uint32(c.next())
	}
	return c
}

// next is the next octet; behind the end they are zeros, which the encoder leaves
// out.
func (c *coder) next() byte {
	c.pos++
	if c.pos > len(c.buf) {
		return 0
	}
	return c.buf[c.pos-1]
}

// overrun tells whether more was decoded than there is.
func (c *coder) overrun() bool { return c.decoding && c.pos > len(c.buf)+4 }

func (c *coder) shift() {
	if c.low < 0xFF000000 || c.low >= 1<<32 {
		carry := byte(c.low >> 32)
		x := c.cache
		for ; c.behind > 0; c.behind-- {
			c.buf = append(c.buf, x+carry)
			x = 0xFF
		}
		c.cache = byte(c.low >> 24)
	}
	c.behind++
	c.low = (c.low & 0x00FFFFFF) << 8
}

// bit codes one decision.
func (c *coder) bit(b *bit, y uint32) uint32 {
	bound := (c.span >> 16) * uint32(b.odds^half)
	if c.decoding {
		if c.code < bound {
			y = 0
		} else {
			y = 1
			c.code -= bound
		}
	} else if y != 0 {
		c.low += uint64(bound)
	}
	if y == 0 {
		c.span = bound
	} else {
		c.span -= bound
	}
	b.learn(y)
	for c.span < topRange {
		c.normalise()
	}
	return y
}

func (c *coder) normalise() {
	c.span <<= 8
	if c.decoding {
		c.code = c.code<<8 | uint32(c.next())
	} else {
		c.shift()
	}
}

// raw codes the lowest n bits of v, of which nothing is known.
func (c *coder) raw(v uint64, n int) (out uint64) {
	for n > 0 {
		k := min(n, 16)
		n -= k
		c.span >>= k
		if c.decoding {
			x := min(c.code/c.span, 1<<k-1)
			c.code -= x * c.span
			out = out<<k | uint64(x)
		} else {
			c.low += uint64(uint32(v>>n)&(1<<k-1)) * uint64(c.span)
		}
		for c.span < topRange {
			c.normalise()
		}
	}
	if c.decoding {
		return out
	}
	return v
}

// finish returns what was encoded, behind what was in the buffer at first: from is
// how much that was. The first octet is always zero and left out, and so are zeros
// at the end.
func (c *coder) finish(from int) []byte {
	for range 5 {
		c.shift()
	}
	b := append(c.buf[:from], c.buf[from+1:]...)
	for range 4 {
		if len(b) == from || b[len(b)-1] != 0 {
			break
		}
		b = b[:len(b)-1]
	}
	return b
}
