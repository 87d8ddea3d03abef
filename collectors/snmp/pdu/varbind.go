package pdu

// Tags of the values that SNMP carries, in BER (RFC 2578, 3416; the floats are
// net-snmp's, inside an Opaque).
const (
	TagInteger        = 0x02
	TagOctets         = 0x04
	TagNull           = 0x05
	TagOID            = 0x06
	TagIPAddress      = 0x40
	TagCounter32      = 0x41
	TagGauge32        = 0x42
	TagTimeTicks      = 0x43
	TagOpaque         = 0x44
	TagCounter64      = 0x46
	TagUinteger32     = 0x47
	TagFloat          = 0x78
	TagDouble         = 0x79
	TagNoSuchObject   = 0x80
	TagNoSuchInstance = 0x81
	TagEndOfMibView   = 0x82
)

// Varbind is one variable of a message. Num holds what is a number: an INTEGER
// with its sign extended, a float's or double's bits. Bytes holds the rest: octets
// as they came, an identifier as it is encoded, the four octets of an address.
type Varbind struct {
	OID   []byte
	Tag   byte
	Num   uint64
	Bytes []byte
}

// Absent tells that the agent has nothing there; such a Varbind has no value.
func (v *Varbind) Absent() bool { return v.Tag >= TagNoSuchObject && v.Tag <= TagEndOfMibView }
