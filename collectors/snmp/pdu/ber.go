package pdu

// Malformed is why octets are no message that this package reads. Its text is
// fixed, so it holds nothing of what was received. Compare with errors.Is.
type Malformed string

func (m Malformed) Error() string { return "malformed message: " + string(m) }

// What makes a message malformed.
const (
	ErrCutOff    Malformed = "it is cut off, or a length is more than there is"
	ErrLength    Malformed = "a length is indefinite, or of more than four octets"
	ErrTrailing  Malformed = "something follows where nothing may"
	ErrTag       Malformed = "something has another type than belongs there"
	ErrVersion   Malformed = "its version is not SNMPv2c"
	ErrInteger   Malformed = "an INTEGER is empty, too long or out of range"
	ErrUnsigned  Malformed = "a counter, gauge or time is empty or has more than 64 bits"
	ErrOID       Malformed = "an object identifier is empty, too long, cut off, not in its shortest form, or has a number beyond 32 bits"
	ErrAddress   Malformed = "an IpAddress has not four octets"
	ErrOpaque    Malformed = "an Opaque is empty, or a number in it is not as long as it says"
	ErrNotEmpty  Malformed = "a value that has no content has some"
	ErrValueType Malformed = "a value's type is unknown"
)

// element splits the first tag, length and content off b. Lengths are definite,
// of at most four octets behind the first, and fit; agents do not always write
// them in the shortest form, and need not (X.690, 8.1.3.5). Tags have one octet,
// as all of SNMP's do.
func element(b []byte) (tag byte, content, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, ErrCutOff
	}
	tag, n := b[0], int(b[1])
	if n < 0x80 {
		if n > len(b)-2 {
			return 0, nil, nil, ErrCutOff
		}
		return tag, b[2 : 2+n : 2+n], b[2+n:], nil
	}
	n, b, err = longLength(b)
	if err != nil {
		return 0, nil, nil, err
	}
	if n > len(b) {
		return 0, nil, nil, ErrCutOff
	}
	return tag, b[:n:n], b[n:], nil
}

// longLength reads a length of several octets, and returns what is behind it.
func longLength(b []byte) (n int, rest []byte, err error) {
	octets := int(b[1] & 0x7f)
	b = b[2:]
	switch {
	case octets == 0 || octets > 4:
		return 0, nil, ErrLength
	case octets > len(b):
		return 0, nil, ErrCutOff
	}
	var long uint32
	for _, c := range b[:octets] {
		long = long<<8 | uint32(c)
	}
	if long > maxLength {
		return 0, nil, ErrCutOff
	}
	return int(long), b[octets:], nil
}

// maxLength is more than any datagram has, and fits an int everywhere.
const maxLength = 1<<31 - 1

// expect is element of something whose tag is known.
func expect(tag byte, b []byte) (content, rest []byte, err error) {
	got, content, rest, err := element(b)
	if err == nil && got != tag {
		err = ErrTag
	}
	return content, rest, err
}

// whole is expect of something behind which nothing follows.
func whole(tag byte, b []byte) (content []byte, err error) {
	content, rest, err := expect(tag, b)
	if err == nil && len(rest) > 0 {
		err = ErrTrailing
	}
	return content, err
}

// integer reads an INTEGER of up to 64 bits. Octets more than it takes are as they
// may be: there are agents whose every number has four, or eight.
func integer(b []byte) (int64, error) {
	if len(b) == 0 || len(b) > 8 {
		return 0, ErrInteger
	}
	n := int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return n, nil
}

// integerField reads an INTEGER within bounds, and what is behind it.
func integerField(b []byte, least, most int64) (n int64, rest []byte, err error) {
	content, rest, err := expect(TagInteger, b)
	if err != nil {
		return 0, nil, err
	}
	if n, err = integer(content); err != nil {
		return 0, nil, err
	}
	if n < least || n > most {
		return 0, nil, ErrInteger
	}
	return n, rest, nil
}

// unsigned reads what has no sign, in up to eight octets, or nine of which the
// first is the zero that keeps the number from being a negative one. Agents that
// leave out that zero mean the number without a sign all the same, and those that
// write a negative Counter32 in four octets the number that it is modulo 2^32.
func unsigned(b []byte) (n uint64, err error) {
	if len(b) == 0 || len(b) > 9 || len(b) == 9 && b[0] != 0 {
		return 0, ErrUnsigned
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, nil
}

// ValidOID tells whether b is the whole encoding of an object identifier, in its
// shortest form and with at most 128 sub-identifiers, none beyond 32 bits (RFC
// 2578, 3.5): the form in which equal identifiers are equal octets.
func ValidOID(b []byte) bool {
	if len(b) == 0 || b[len(b)-1] >= 0x80 {
		return false
	}
	large := byte(0)
	for _, c := range b {
		large |= c
	}
	if large < 0x80 { // each octet is a sub-identifier, as mostly
		return len(b) < maxArcs
	}
	arcs := 1 // the first sub-identifier holds two
	for i := 0; i < len(b); i++ {
		if b[i] >= 0x80 {
			first, start := b[i], i
			for i++; b[i] >= 0x80; i++ { // the last octet ends it
			}
			if n := i - start; first == 0x80 || n > 4 || n == 4 && first > 0x8f {
				return false
			}
		}
		arcs++
	}
	return arcs <= maxArcs
}
