package block

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxParts bounds the messages and texts in a body or a schema. Each takes two
// octets at least, a hundred and more once it is decoded, and next to none when it
// is packed: without the bound a message of 500 octets takes 450 MB.
const maxParts = 1 << 16

// shape names the fields of a message that hold messages or texts, and what is in
// those.
type shape map[protowire.Number]shape

var (
	bodyShape   = shape{1: {2: nil, 3: nil, 4: {5: nil}}, 2: {4: nil}}
	schemaShape = shape{2: nil, 3: nil}
)

var errParts = errors.New("has too many parts")

// check tells whether a message has at most maxParts, before it is decoded.
func (s shape) check(b []byte) error {
	left := maxParts
	return s.count(b, &left)
}

func (s shape) count(b []byte, left *int) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return protowire.ParseError(n)
		}
		if inner, ok := s[num]; ok && typ == protowire.BytesType {
			if *left--; *left < 0 {
				return errParts
			}
			if v, _ := protowire.ConsumeBytes(b); inner != nil {
				if err := inner.count(v, left); err != nil {
					return err
				}
			}
		}
		b = b[n:]
	}
	return nil
}
