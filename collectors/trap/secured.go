package trap

import (
	"math"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Flags of an SNMPv3 message (RFC 3412, 6.4).
const (
	flagAuth       = 1
	flagPriv       = 2
	flagReportable = 4
)

const (
	modelUSM       = 3
	minMessageSize = 484
	maxMessageSize = 65507 // what fits a UDP datagram
)

// secured is an SNMPv3 message, before any of it is believed.
type secured struct {
	id      int64
	maxSize int64 // that its sender takes
	flags   byte

	engine      []byte
	boots, time uint32
	user        []byte
	mac         []byte
	macAt       int // where it stands in the message
	salt        []byte

	scoped    []byte // the scoped PDU with its tag, where it is plain
	encrypted []byte // or its cipher text
}

// readSecured reads what comes after the version.
func readSecured(r *reader, message []byte) (s secured, err error) {
	head, err := r.want(tagSequence)
	if err != nil {
		return s, err
	}
	h := reader{head}
	if s.id, err = h.integer(0, math.MaxInt32); err != nil {
		return s, err
	}
	if s.maxSize, err = h.integer(minMessageSize, math.MaxInt32); err != nil {
		return s, err
	}
	flags, err := h.want(pdu.TagOctets)
	if err != nil || len(flags) != 1 {
		return s, errMalformed
	}
	s.flags = flags[0]
	if _, err := h.integer(modelUSM, modelUSM); err != nil {
		return s, err
	}
	if err := h.end(); err != nil {
		return s, err
	}
	if s.flags&flagPriv != 0 && s.flags&flagAuth == 0 { // RFC 3412, 7.2
		return s, errMalformed
	}
	params, err := r.want(pdu.TagOctets)
	if err != nil {
		return s, err
	}
	if err := s.readParameters(params, message); err != nil {
		return s, err
	}
	if s.flags&flagPriv != 0 {
		s.encrypted, err = r.want(pdu.TagOctets)
		return s, err
	}
	_, _, s.scoped, err = r.next()
	return s, err
}

// readParameters reads the security parameters (RFC 3414, 2.4).
func (s *secured) readParameters(b, message []byte) error {
	r := reader{b}
	body, err := r.want(tagSequence)
	if err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	r = reader{body}
	if s.engine, err = r.want(pdu.TagOctets); err != nil || len(s.engine) > 32 {
		return errMalformed
	}
	boots, err := r.integer(0, math.MaxInt32)
	if err != nil {
		return err
	}
	time, err := r.integer(0, math.MaxInt32)
	if err != nil {
		return err
	}
	s.boots, s.time = uint32(boots), uint32(time)
	if s.user, err = r.want(pdu.TagOctets); err != nil || len(s.user) > 32 {
		return errMalformed
	}
	if s.mac, err = r.want(pdu.TagOctets); err != nil {
		return err
	}
	// It is a part of the message, so what is left behind it in the same memory tells
	// where it begins.
	s.macAt = cap(message) - cap(s.mac)
	if s.salt, err = r.want(pdu.TagOctets); err != nil {
		return err
	}
	return r.end()
}

// scopedPDU is what is inside: of which engine's, in which context, and the PDU.
type scopedPDU struct {
	engine, context []byte
	pdu             []byte
}

// readScoped reads a scoped PDU. DES leaves some octets behind its end.
func readScoped(b []byte, padded bool) (s scopedPDU, err error) {
	r := reader{b}
	body, err := r.want(tagSequence)
	if err != nil {
		return s, err
	}
	if !padded {
		if err := r.end(); err != nil {
			return s, err
		}
	}
	r = reader{body}
	if s.engine, err = r.want(pdu.TagOctets); err != nil {
		return s, err
	}
	if s.context, err = r.want(pdu.TagOctets); err != nil {
		return s, err
	}
	if _, _, s.pdu, err = r.next(); err != nil {
		return s, err
	}
	return s, r.end()
}

// requestIDOf reads a PDU's request number; 0 where there is none to be read.
func requestIDOf(b []byte) int64 {
	r := reader{b}
	_, body, _, err := r.next()
	if err != nil {
		return 0
	}
	r = reader{body}
	n, err := r.integer(math.MinInt32, math.MaxInt32)
	if err != nil {
		return 0
	}
	return n
}
