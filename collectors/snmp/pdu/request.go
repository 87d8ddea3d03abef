package pdu

// Request is a message of SNMPv2c that asks.
type Request struct {
	Type      byte // TypeGet, TypeGetNext or TypeGetBulk
	Community string
	ID        int32
	// NonRepeaters and MaxRepetitions are GetBulk's, and 0 in others.
	NonRepeaters, MaxRepetitions int32
	OIDs                         [][]byte // as they are encoded
}

// Append appends the message to dst, in the shortest form that there is.
func (r *Request) Append(dst []byte) []byte {
	list := 0
	for _, o := range r.OIDs {
		list += elementLength(varbindLength(o))
	}
	body := elementLength(integerLength(r.ID)) + elementLength(integerLength(r.NonRepeaters)) +
		elementLength(integerLength(r.MaxRepetitions)) + elementLength(list)
	message := elementLength(1) + elementLength(len(r.Community)) + elementLength(body)

	dst = appendHead(dst, tagSequence, message)
	dst = append(dst, TagInteger, 1, version2c)
	dst = append(appendHead(dst, TagOctets, len(r.Community)), r.Community...)
	dst = appendHead(dst, r.Type, body)
	dst = appendInteger(dst, r.ID)
	dst = appendInteger(dst, r.NonRepeaters)
	dst = appendInteger(dst, r.MaxRepetitions)
	dst = appendHead(dst, tagSequence, list)
	for _, o := range r.OIDs {
		dst = appendHead(dst, tagSequence, varbindLength(o))
		dst = append(appendHead(dst, TagOID, len(o)), o...)
		dst = append(dst, TagNull, 0)
	}
	return dst
}

func varbindLength(oid []byte) int { return elementLength(len(oid)) + 2 }

// elementLength is how many octets an element with so many of content has.
func elementLength(content int) int {
	n := 2 + content
	if content >= 0x80 {
		for ; content > 0; content >>= 8 {
			n++
		}
	}
	return n
}

func appendHead(dst []byte, tag byte, content int) []byte {
	if content < 0x80 {
		return append(dst, tag, byte(content))
	}
	shift := 0
	for content>>shift > 0xff {
		shift += 8
	}
	dst = append(dst, tag, 0x80|byte(shift/8+1))
	for ; shift >= 0; shift -= 8 {
		dst = append(dst, byte(content>>shift))
	}
	return dst
}

func integerLength(n int32) int {
	octets := 1
	for ; n > 127 || n < -128; n >>= 8 {
		octets++
	}
	return octets
}

func appendInteger(dst []byte, n int32) []byte {
	octets := integerLength(n)
	dst = append(dst, TagInteger, byte(octets))
	for octets--; octets >= 0; octets-- {
		dst = append(dst, byte(n>>(8*octets)))
	}
	return dst
}
