package snmp

import (
	"math"
	"net/netip"

	"github.com/gosnmp/gosnmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// converter makes our variables of gosnmp's, and keeps what they point to.
type converter struct{ arena []byte }

// convert turns gosnmp's variables into ours. One whose name is none has none.
func (c *converter) convert(vars []gosnmp.SnmpPDU, dst []pdu.Varbind) []pdu.Varbind {
	c.arena = c.arena[:0]
	for i := range vars {
		v := &vars[i]
		// An arena that grows leaves what points into it where it is.
		start := len(c.arena)
		var ok bool
		if c.arena, ok = pdu.AppendOID(c.arena, v.Name); !ok {
			dst = append(dst, pdu.Varbind{})
			continue
		}
		end := len(c.arena)
		dst = append(dst, pdu.Varbind{OID: c.arena[start:end:end]})
		c.value(v, &dst[len(dst)-1])
	}
	return dst
}

// value takes over what gosnmp made of a value. Whatever is not as its tag says
// becomes a NULL.
func (c *converter) value(v *gosnmp.SnmpPDU, to *pdu.Varbind) {
	to.Tag = byte(v.Type)
	switch x := v.Value.(type) {
	case int:
		to.Num = uint64(int64(x))
	case uint:
		to.Num = uint64(x)
	case uint32:
		to.Num = uint64(x)
	case uint64:
		to.Num = x
	case []byte:
		to.Bytes = x
	case float32:
		to.Num = uint64(math.Float32bits(x))
	case float64:
		to.Num = math.Float64bits(x)
	case string:
		to.Bytes = c.textual(v.Type, x)
		if to.Bytes == nil {
			to.Tag = pdu.TagNull
		}
	default:
		if !to.Absent() {
			to.Tag = pdu.TagNull
		}
	}
}

// textual gives back the bytes of what gosnmp writes out as text.
func (c *converter) textual(tag gosnmp.Asn1BER, text string) []byte {
	switch tag {
	case gosnmp.ObjectIdentifier:
		start := len(c.arena)
		var ok bool
		if c.arena, ok = pdu.AppendOID(c.arena, text); ok {
			return c.arena[start:len(c.arena):len(c.arena)]
		}
	case gosnmp.IPAddress:
		if a, err := netip.ParseAddr(text); err == nil {
			return a.AsSlice()
		}
	}
	return nil
}

// tolerant reads answers to SNMPv2c that our reader refuses, by gosnmp's, and
// remembers why it had to: what a device was read by is to be seen.
type tolerant struct {
	converter
	why error
}

// read is pdu.ReadMessage of an answer that it has refused. What gosnmp refuses too
// is ErrMalformed.
func (t *tolerant) read(b []byte, dst []pdu.Varbind, refused error) (m pdu.Message, out []pdu.Varbind, err error) {
	p, ok := decode(b)
	if !ok {
		return pdu.Message{}, dst, ErrMalformed
	}
	t.why = refused
	m = pdu.Message{Type: byte(p.PDUType), ID: int32(p.RequestID), Status: int(p.Error), Index: int(p.ErrorIndex)}
	return m, t.convert(p.Variables, dst), nil
}

// decode is gosnmp's reading of one datagram, which is not to be trusted with any:
// it may panic. Of SNMPv3, which has a state, it gets none.
func decode(b []byte) (p *gosnmp.SnmpPacket, ok bool) {
	defer func() {
		if recover() != nil {
			p, ok = nil, false
		}
	}()
	if _, _, _, plain := pdu.Peek(b); !plain {
		return nil, false
	}
	p, err := (&gosnmp.GoSNMP{Version: gosnmp.Version2c}).SnmpDecodePacket(b)
	return p, err == nil
}
