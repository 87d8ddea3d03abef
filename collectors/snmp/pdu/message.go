package pdu

import "slices"

// Types of PDUs (RFC 3416, 3).
const (
	TypeGet      = 0xa0
	TypeGetNext  = 0xa1
	TypeResponse = 0xa2
	TypeSet      = 0xa3
	TypeGetBulk  = 0xa5
	TypeInform   = 0xa6
	TypeTrap     = 0xa7
	TypeReport   = 0xa8
)

const (
	tagSequence = 0x30
	version2c   = 1

	maxStatus = 255 // of error-status and error-index; more are not known and not asked for
)

// Message is a message of SNMPv2c without its variables.
type Message struct {
	Community []byte // points to the octets that were read
	Type      byte
	ID        int32 // the request-id
	// Status and Index are error-status and error-index, or non-repeaters and
	// max-repetitions of a GetBulk.
	Status, Index int
}

// ReadMessage reads a message of SNMPv2c and appends its variables to dst. What
// they and the Message have of octets points into b; nothing is allocated but what
// dst lacks of room. A message has at most as many variables as b has room for at
// seven octets each.
//
// It takes what BER allows and real agents send: lengths and numbers in more
// octets than they need, numbers of up to 64 bits whatever their type, unsigned
// ones whose first bit is set. It refuses everything else with a [Malformed] and
// then returns dst as it was: among what it refuses is some that a more tolerant
// reader makes sense of, such as an empty IpAddress or a string one octet longer
// than the variable that it is in.
func ReadMessage(b []byte, dst []Varbind) (m Message, _ []Varbind, err error) {
	if b, err = whole(tagSequence, b); err != nil {
		return Message{}, dst, err
	}
	if _, b, err = integerField(b, version2c, version2c); err != nil {
		if err == ErrInteger {
			err = ErrVersion
		}
		return Message{}, dst, err
	}
	if m.Community, b, err = expect(TagOctets, b); err != nil {
		return Message{}, dst, err
	}
	var rest []byte
	if m.Type, b, rest, err = element(b); err != nil {
		return Message{}, dst, err
	}
	switch {
	case len(rest) > 0:
		return Message{}, dst, ErrTrailing
	case m.Type < TypeGet || m.Type > TypeReport || m.Type == 0xa4: // a4 is v1's trap, of another shape
		return Message{}, dst, ErrTag
	}
	var id, status, index int64
	if id, b, err = integerField(b, -1<<31, 1<<31-1); err != nil {
		return Message{}, dst, err
	}
	most := int64(maxStatus)
	if m.Type == TypeGetBulk {
		most = 1<<31 - 1
	}
	if status, b, err = integerField(b, 0, most); err != nil {
		return Message{}, dst, err
	}
	if index, b, err = integerField(b, 0, most); err != nil {
		return Message{}, dst, err
	}
	m.ID, m.Status, m.Index = int32(id), int(status), int(index)
	out, err := ReadVarbinds(b, dst)
	if err != nil {
		return Message{}, dst, err
	}
	return m, out, nil
}

// ReadVarbinds reads the list of variables of any PDU, which is all of b, and appends
// them to dst. They point into b. Errors are [Malformed].
func ReadVarbinds(b []byte, dst []Varbind) ([]Varbind, error) {
	b, err := whole(tagSequence, b)
	if err != nil {
		return dst, err
	}
	for len(b) > 0 {
		name, tag, value, rest, ok := shortBinding(b)
		if !ok {
			if name, tag, value, rest, err = binding(b); err != nil {
				return dst, err
			}
		}
		if !ValidOID(name) {
			return dst, ErrOID
		}
		b = rest
		dst = slices.Grow(dst, 1)[:len(dst)+1]
		v := &dst[len(dst)-1]
		v.OID = name
		if err := v.read(tag, value); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// binding splits the first variable off b.
func binding(b []byte) (name []byte, tag byte, value, rest []byte, err error) {
	b, rest, err = expect(tagSequence, b)
	if err == nil {
		name, b, err = expect(TagOID, b)
	}
	if err == nil {
		tag, value, b, err = element(b)
	}
	if err == nil && len(b) > 0 {
		err = ErrTrailing
	}
	return name, tag, value, rest, err
}

// shortBinding is binding of a well-formed variable whose lengths all have one
// octet, as most have. ok is false for others.
func shortBinding(b []byte) (name []byte, tag byte, value, rest []byte, ok bool) {
	if len(b) < 6 || b[0] != tagSequence || b[1] >= 0x80 {
		return nil, 0, nil, nil, false
	}
	b, rest, ok = split(b[2:], int(b[1]))
	if !ok || len(b) < 4 || b[0] != TagOID || b[1] >= 0x80 {
		return nil, 0, nil, nil, false
	}
	name, b, ok = split(b[2:], int(b[1]))
	if !ok || len(b) < 2 || int(b[1]) != len(b)-2 {
		return nil, 0, nil, nil, false
	}
	return name, b[0], b[2:], rest, true
}

// split gives the first n octets of b, and what is behind them.
func split(b []byte, n int) (_, rest []byte, ok bool) {
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// Peek finds the version (1 for SNMPv2c), PDU type and request-id of a message
// that need not be a well-formed one: it may be cut off behind them. It serves to
// tell whose answer a datagram is. ok is false where there are none, as in SNMPv3
// and in v1's trap.
func Peek(b []byte) (version int64, typ byte, id int32, ok bool) {
	open := func(tag byte) bool {
		if len(b) < 2 || tag != 0 && b[0] != tag {
			return false
		}
		if b[1] < 0x80 {
			b = b[2:]
			return true
		}
		_, rest, err := longLength(b)
		b = rest
		return err == nil
	}
	if !open(tagSequence) {
		return 0, 0, 0, false
	}
	version, b, err := integerField(b, 0, version2c)
	if err != nil {
		return 0, 0, 0, false
	}
	if _, b, err = expect(TagOctets, b); err != nil || len(b) == 0 {
		return 0, 0, 0, false
	}
	typ = b[0]
	if typ < TypeGet || typ > TypeReport || typ == 0xa4 || !open(0) {
		return 0, 0, 0, false
	}
	n, _, err := integerField(b, -1<<31, 1<<31-1)
	return version, typ, int32(n), err == nil
}
