package trap

import (
	"errors"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Tags that a notification has besides those of its values (RFC 1157, 3416, 3412).
const (
	tagSequence  = 0x30
	tagGet       = 0xa0
	tagResponse  = 0xa2
	tagTrapV1    = 0xa4
	tagInform    = 0xa6
	tagTrapV2    = 0xa7
	tagReport    = 0xa8
	maxVariables = 64 // that are shown; the others are checked and left out
)

// errMalformed is all that can be said of most messages that are none.
var errMalformed = errors.New("it is malformed")

// reader reads BER: definite lengths, nothing behind the end. What it returns are
// parts of the message.
type reader struct{ b []byte }

// next reads whatever comes.
func (r *reader) next() (tag byte, body, whole []byte, err error) {
	b := r.b
	if len(b) < 2 || b[0]&0x1f == 0x1f { // no tag of SNMP takes several octets
		return 0, nil, nil, errMalformed
	}
	n, head := int(b[1]), 2
	if n >= 0x80 {
		// 80 is the indefinite length. More octets than needed are usual in SNMP.
		k := n & 0x7f
		if k == 0 || k > 4 || len(b) < 2+k {
			return 0, nil, nil, errMalformed
		}
		n, head = 0, 2+k
		for _, c := range b[2:head] {
			n = n<<8 | int(c)
		}
	}
	if n < 0 || n > len(b)-head {
		return 0, nil, nil, errMalformed
	}
	r.b = b[head+n:]
	return b[0], b[head : head+n], b[:head+n], nil
}

// want reads a value of one tag.
func (r *reader) want(tag byte) ([]byte, error) {
	got, body, _, err := r.next()
	if err == nil && got != tag {
		err = errMalformed
	}
	return body, err
}

// integer reads an INTEGER between two bounds.
func (r *reader) integer(low, high int64) (int64, error) {
	body, err := r.want(pdu.TagInteger)
	if err != nil {
		return 0, err
	}
	n, ok := signed(body)
	if !ok || n < low || n > high {
		return 0, errMalformed
	}
	return n, nil
}

// end checks that nothing comes after.
func (r *reader) end() error {
	if len(r.b) > 0 {
		return errMalformed
	}
	return nil
}

func signed(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	n = int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return n, true
}

// appendTLV appends a value under a tag.
func appendTLV(dst []byte, tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	dst = append(dst, tag)
	switch {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x81, byte(n))
	case n < 0x10000:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// tlv makes a value under a tag.
func tlv(tag byte, parts ...[]byte) []byte { return appendTLV(nil, tag, parts...) }

// number makes a number under a tag.
func number(tag byte, n int64) []byte {
	shift := 0
	for x := n; x > 127 || x < -128; x >>= 8 {
		shift += 8
	}
	var b []byte
	for ; shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return tlv(tag, b)
}
