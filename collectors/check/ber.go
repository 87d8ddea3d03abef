package check

// The little of ASN.1's Basic Encoding Rules (X.690) that LDAP needs, as RFC 4511 5.1
// limits it: tags of one octet, definite lengths. encoding/asn1 insists on the shortest
// form of a length, which Active Directory does not use.

// berElement encodes an element of a tag.
func berElement(tag byte, contents ...[]byte) []byte {
	n := 0
	for _, c := range contents {
		n += len(c)
	}
	out := []byte{tag}
	switch {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 1<<16:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	for _, c := range contents {
		out = append(out, c...)
	}
	return out
}

func berText(tag byte, s string) []byte { return berElement(tag, []byte(s)) }
func berSmall(tag, n byte) []byte       { return berElement(tag, []byte{n}) }

// berReader takes elements from the front of what is left.
type berReader []byte

// next returns the next element; ok is false where there is none, or a damaged one.
func (r *berReader) next() (tag byte, value berReader, ok bool) {
	b := *r
	if len(b) < 2 {
		return 0, nil, false
	}
	tag, first := b[0], b[1]
	b = b[2:]
	n := int(first)
	if first >= 0x80 {
		octets := int(first & 0x7f)
		if octets < 1 || octets > 4 || octets > len(b) {
			return 0, nil, false
		}
		n = berLength(b[:octets])
		b = b[octets:]
	}
	if n < 0 || n > len(b) {
		return 0, nil, false
	}
	*r = b[n:]
	return tag, b[:n], true
}

// want returns the next element if it is of the tag.
func (r *berReader) want(tag byte) (value berReader, ok bool) {
	got, value, ok := r.next()
	return value, ok && got == tag
}

func berLength(b []byte) (n int) {
	for _, o := range b {
		n = n<<8 | int(o)
	}
	return n
}
