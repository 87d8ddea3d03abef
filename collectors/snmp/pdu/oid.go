package pdu

import (
	"bytes"
	"strconv"
)

// Object identifiers are kept as they travel: the content octets of their BER
// encoding, each sub-identifier in base 128, the first two arcs in one. Prefix and
// equality are then those of the bytes, and only order needs a look at where the
// sub-identifiers begin.

// maxArcs is how long an object identifier may be (RFC 2578, 3.5).
const maxArcs = 128

// AppendOID appends the encoding of a dotted identifier, with or without a dot
// before it. ok is false, and dst as it was, where s is none.
func AppendOID(dst []byte, s string) (_ []byte, ok bool) {
	start := len(dst)
	i := 0
	if s != "" && s[0] == '.' {
		i = 1
	}
	first := uint64(0)
	for arc := 0; ; arc++ {
		n, digits := uint64(0), 0
		for ; i < len(s) && s[i] != '.'; i++ {
			c := s[i] - '0'
			if c > 9 || digits == 10 {
				return dst[:start], false
			}
			n = n*10 + uint64(c)
			digits++
		}
		if digits == 0 || n > 1<<32-1 || arc == maxArcs {
			return dst[:start], false
		}
		switch {
		case arc == 0:
			if n > 2 {
				return dst[:start], false
			}
			first = n * 40
		case arc == 1 && (first < 80 && n > 39 || first+n > 1<<32-1):
			return dst[:start], false
		case arc == 1:
			dst = AppendArc(dst, first+n)
		default:
			dst = AppendArc(dst, n)
		}
		if i == len(s) {
			return dst, arc > 0
		}
		i++
	}
}

// MustOID gives the encoding of a dotted identifier that stands in the program. It
// panics where s is none.
func MustOID(s string) []byte {
	b, ok := AppendOID(nil, s)
	if !ok {
		panic("pdu: " + s + " is no object identifier")
	}
	return b
}

// AppendArc appends one sub-identifier, other than the first two of an identifier.
func AppendArc(dst []byte, n uint64) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	shift := 0
	for n>>shift > 0x7f {
		shift += 7
	}
	for ; shift > 0; shift -= 7 {
		dst = append(dst, byte(n>>shift)|0x80)
	}
	return append(dst, byte(n)&0x7f)
}

// ReadArc splits the first sub-identifier off b. A b that is no whole encoding
// gives some number, never a panic.
func ReadArc(b []byte) (n uint64, rest []byte) {
	for i, c := range b {
		n = n<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return n, b[i+1:]
		}
	}
	return n, nil
}

// AppendDotted appends the dotted form, without a dot before it.
func AppendDotted(dst, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	n, rest := ReadArc(b)
	first := min(n/40, 2)
	dst = strconv.AppendUint(dst, first, 10)
	dst = append(dst, '.')
	dst = strconv.AppendUint(dst, n-first*40, 10)
	if len(rest) == 0 {
		return dst
	}
	return AppendIndex(append(dst, '.'), rest)
}

// AppendIndex appends the dotted form of what stands behind a column: there the
// first sub-identifier is one like the others.
func AppendIndex(dst, b []byte) []byte {
	for i := 0; len(b) > 0; i++ {
		var n uint64
		if n, b = ReadArc(b); i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, n, 10)
	}
	return dst
}

// Below tells whether oid stands behind root and what of it comes after.
func Below(oid, root []byte) (index []byte, ok bool) {
	if len(oid) <= len(root) || !bytes.HasPrefix(oid, root) {
		return nil, false
	}
	return oid[len(root):], true
}

// Compare orders identifiers, or the ends of two that begin alike. The order of
// their bytes will not do: 16384 is 81 80 00 and 16383 is ff 7f.
func Compare(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	if i == n {
		return len(a) - len(b)
	}
	// The first difference lies in one sub-identifier of each; the longer one is
	// the greater.
	for la, lb := i, i; ; la, lb = la+1, lb+1 {
		endA := la >= len(a) || a[la] < 0x80
		endB := lb >= len(b) || b[lb] < 0x80
		switch {
		case endA && endB:
			return int(a[i]) - int(b[i])
		case endA:
			return -1
		case endB:
			return 1
		}
	}
}
