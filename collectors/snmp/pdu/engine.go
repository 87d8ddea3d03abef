package pdu

// Who an SNMPv3 engine is can be asked for without any secret (RFC 3414, 4): a
// request without a user, to which the engine answers with a Report that has its ID.

const (
	version3       = 3
	modelUSM       = 3
	flagReportable = 4
	maxMessage     = 65507 // octets that fit a UDP datagram
)

// AppendEngineProbe appends the message that asks an SNMPv3 engine for its ID. It has
// no variable and no user. id, which is not negative, is found again in the answer.
func AppendEngineProbe(dst []byte, id int32) []byte {
	wrap := func(tag byte, parts ...[]byte) []byte {
		n := 0
		for _, p := range parts {
			n += len(p)
		}
		out := appendHead(nil, tag, n)
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	number := func(n int32) []byte { return appendInteger(nil, n) }
	none := wrap(TagOctets)
	header := wrap(tagSequence, number(id), number(maxMessage), wrap(TagOctets, []byte{flagReportable}), number(modelUSM))
	security := wrap(TagOctets, wrap(tagSequence, none, number(0), number(0), none, none, none))
	get := wrap(TypeGet, number(id), number(0), number(0), wrap(tagSequence))
	scoped := wrap(tagSequence, none, none, get)
	return append(dst, wrap(tagSequence, number(version3), header, security, scoped)...)
}

// ReadEngine reads the answer to an engine probe: the number of the message that it
// answers, and the ID, of 5 to 32 octets (RFC 3411, 5), which points into b. The error
// is a [Malformed]. Anyone may have sent it.
func ReadEngine(b []byte) (id int32, engine []byte, err error) {
	fail := func(err error) (int32, []byte, error) { return 0, nil, err }
	if b, err = whole(tagSequence, b); err != nil {
		return fail(err)
	}
	if _, b, err = integerField(b, version3, version3); err != nil {
		return fail(ErrVersion)
	}
	header, b, err := expect(tagSequence, b)
	if err != nil {
		return fail(err)
	}
	n, _, err := integerField(header, 0, 1<<31-1)
	if err != nil {
		return fail(err)
	}
	security, _, err := expect(TagOctets, b)
	if err == nil {
		security, err = whole(tagSequence, security)
	}
	if err != nil {
		return fail(err)
	}
	if engine, _, err = expect(TagOctets, security); err != nil {
		return fail(err)
	}
	if len(engine) < 5 || len(engine) > 32 {
		return fail(ErrLength)
	}
	return int32(n), engine, nil
}
