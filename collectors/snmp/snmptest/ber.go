package snmptest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var errBER = errors.New("malformed message")

type oid []uint32

func parseOID(s string) (oid, error) {
	var o oid
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "."), ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is not an object identifier", s)
		}
		o = append(o, uint32(n))
	}
	if len(o) < 2 || o[0] > 2 || o[0] < 2 && o[1] > 39 {
		return nil, fmt.Errorf("%q is not an object identifier", s)
	}
	return o, nil
}

func (o oid) compare(p oid) int { return slices.Compare(o, p) }

func (o oid) body() []byte {
	b := appendBase128(nil, uint64(o[0])*40+uint64(o[1]))
	for _, n := range o[2:] {
		b = appendBase128(b, uint64(n))
	}
	return b
}

func readOID(b []byte) (oid, error) {
	o := make(oid, 0, len(b)+1)
	var v uint64
	for i, c := range b {
		v = v<<7 | uint64(c&0x7f)
		if v > 1<<33 {
			return nil, errBER
		}
		if c&0x80 != 0 {
			if i == len(b)-1 {
				return nil, errBER
			}
			continue
		}
		if len(o) == 0 {
			first := min(v/40, 2)
			o = append(o, uint32(first))
			v -= first * 40
		}
		o = append(o, uint32(v))
		v = 0
	}
	if len(o) == 0 {
		return nil, errBER
	}
	return o, nil
}

func appendBase128(b []byte, v uint64) []byte {
	shift := 0
	for v>>shift > 0x7f {
		shift += 7
	}
	for ; shift > 0; shift -= 7 {
		b = append(b, byte(v>>shift)|0x80)
	}
	return append(b, byte(v)&0x7f)
}

func appendLength(b []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(b, byte(n))
	case n < 0x100:
		return append(b, 0x81, byte(n))
	}
	return append(b, 0x82, byte(n>>8), byte(n))
}

func appendTLV(b []byte, tag byte, body []byte) []byte {
	return append(appendLength(append(b, tag), len(body)), body...)
}

// appendInt writes the content of an INTEGER in as few octets as it takes.
func appendInt(b []byte, v int64) []byte {
	shift := 0
	for x := v; x > 127 || x < -128; x >>= 8 {
		shift += 8
	}
	for ; shift >= 0; shift -= 8 {
		b = append(b, byte(v>>shift))
	}
	return b
}

// appendUint is appendInt for what has no sign: a leading zero keeps it positive.
func appendUint(b []byte, v uint64) []byte {
	if v > 1<<63-1 {
		b = append(b, 0)
		for shift := 56; shift >= 0; shift -= 8 {
			b = append(b, byte(v>>shift))
		}
		return b
	}
	return appendInt(b, int64(v))
}

func readTLV(b []byte) (tag byte, body, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, errBER
	}
	tag = b[0]
	n := int(b[1])
	b = b[2:]
	if n >= 0x80 {
		k := n & 0x7f
		if k == 0 || k > 3 || k > len(b) {
			return 0, nil, nil, errBER
		}
		n = 0
		for _, c := range b[:k] {
			n = n<<8 | int(c)
		}
		b = b[k:]
	}
	if n > len(b) {
		return 0, nil, nil, errBER
	}
	return tag, b[:n], b[n:], nil
}

func readInt(b []byte) (v int64, rest []byte, err error) {
	tag, body, rest, err := readTLV(b)
	if err != nil || tag != tagInteger || len(body) == 0 || len(body) > 8 {
		return 0, nil, errBER
	}
	v = int64(int8(body[0]))
	for _, c := range body[1:] {
		v = v<<8 | int64(c)
	}
	return v, rest, nil
}
