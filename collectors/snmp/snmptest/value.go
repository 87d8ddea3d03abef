package snmptest

import (
	"fmt"
	"net/netip"
)

// Tags of SNMP's values in BER.
const (
	tagInteger   = 0x02
	tagOctets    = 0x04
	tagNull      = 0x05
	tagOID       = 0x06
	tagSequence  = 0x30
	tagIPAddress = 0x40
	tagCounter32 = 0x41
	tagGauge32   = 0x42
	tagTimeTicks = 0x43
	tagOpaque    = 0x44
	tagCounter64 = 0x46

	tagNoSuchObject   = 0x80
	tagNoSuchInstance = 0x81
	tagEndOfMibView   = 0x82
)

// Value is one SNMP value: its tag and its content, in BER.
type Value struct {
	tag  byte
	body []byte
}

// Integer is an INTEGER, which is also what an enumeration is sent as.
func Integer(n int32) Value { return Value{tagInteger, appendInt(nil, int64(n))} }

// Counter32 is a counter that wraps at 2^32.
func Counter32(n uint32) Value { return Value{tagCounter32, appendUint(nil, uint64(n))} }

// Counter64 is a counter of 64 bits. SNMPv1 does not show it.
func Counter64(n uint64) Value { return Value{tagCounter64, appendUint(nil, n)} }

// Gauge32 is a measurement of 32 bits without sign.
func Gauge32(n uint32) Value { return Value{tagGauge32, appendUint(nil, uint64(n))} }

// TimeTicks is a time in hundredths of a second.
func TimeTicks(n uint32) Value { return Value{tagTimeTicks, appendUint(nil, uint64(n))} }

// Octets is an OCTET STRING: text, or any bytes.
func Octets(s string) Value { return Value{tagOctets, []byte(s)} }

// IPAddress is an IPv4 address; of another it is the zero address.
func IPAddress(a netip.Addr) Value {
	if !a.Is4() {
		a = netip.IPv4Unspecified()
	}
	b := a.As4()
	return Value{tagIPAddress, b[:]}
}

// ObjectID is an OBJECT IDENTIFIER such as "1.3.6.1.4.1.8072". It panics where
// the text is none: what a test writes down is right or the test is wrong.
func ObjectID(s string) Value { return Value{tagOID, mustOID(s).body()} }

// Raw is a value of any tag and content, right or wrong.
func Raw(tag byte, body []byte) Value { return Value{tag, append([]byte(nil), body...)} }

func mustOID(s string) oid {
	o, err := parseOID(s)
	if err != nil {
		panic(fmt.Sprintf("snmptest: %v", err))
	}
	return o
}
