package snmp

import "context"

// Tags of the values that SNMP carries, in BER.
const (
	tagInteger        = 0x02
	tagOctets         = 0x04
	tagNull           = 0x05
	tagOID            = 0x06
	tagIPAddress      = 0x40
	tagCounter32      = 0x41
	tagGauge32        = 0x42
	tagTimeTicks      = 0x43
	tagOpaque         = 0x44
	tagCounter64      = 0x46
	tagUinteger32     = 0x47
	tagFloat          = 0x78 // net-snmp's, inside an Opaque
	tagDouble         = 0x79
	tagNoSuchObject   = 0x80
	tagNoSuchInstance = 0x81
	tagEndOfMibView   = 0x82
)

// varbind is one variable of an answer. Num holds what is a number: an INTEGER
// with its sign extended, a float's or double's bits. Bytes holds the rest: octets
// as they came, an identifier as it is encoded, the four octets of an address.
type varbind struct {
	OID   []byte
	Tag   byte
	Num   uint64
	Bytes []byte
}

// absent tells that the agent has nothing there; such a varbind has no value.
func (v *varbind) absent() bool { return v.Tag >= tagNoSuchObject && v.Tag <= tagEndOfMibView }

// A fetcher asks one agent, one request at a time. It is the seam between what is
// asked and how: the adapter to gosnmp stands behind it, and tests put an agent of
// their own there.
//
// Each method appends the answer's variables to dst. What their OID and Bytes
// point to holds until the next call. An answer may be shorter than what was asked
// for, in any order and full of nonsense: that is for the caller to see.
//
// Errors are *StatusError where the agent answered with an error, a Failure where
// there was no answer of use, or wrap the context's error. None of them holds what
// was sent or received.
type fetcher interface {
	get(ctx context.Context, oids [][]byte, dst []varbind) ([]varbind, error)
	getNext(ctx context.Context, oids [][]byte, dst []varbind) ([]varbind, error)
	// getBulk is answered with the variable behind each of the first single oids
	// and then with up to reps behind each of the others, those of one repetition
	// side by side.
	getBulk(ctx context.Context, oids [][]byte, single, reps int, dst []varbind) ([]varbind, error)
}
