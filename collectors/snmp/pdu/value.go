package pdu

import "encoding/binary"

// opaqueNumber begins the content of an Opaque that holds net-snmp's float or
// double; the number's tag follows it.
const opaqueNumber = 0x9f

// read takes over a value: its tag and its content, to which Bytes then points.
func (v *Varbind) read(tag byte, b []byte) (err error) {
	v.Tag, v.Num, v.Bytes = tag, 0, nil
	switch tag {
	case TagInteger:
		var n int64
		n, err = integer(b)
		v.Num = uint64(n)
	case TagUinteger32: // obsolete since RFC 1902; who sends it may well write it with a sign
		var n int64
		n, err = integer(b)
		v.Num = uint64(uint32(n))
	case TagCounter32, TagGauge32, TagCounter64:
		v.Num, err = unsigned(b)
	case TagTimeTicks:
		v.Num, err = unsigned(b)
		v.Num &= 1<<32 - 1
	case TagOctets:
		v.Bytes = b
	case TagOID:
		if !ValidOID(b) {
			return ErrOID
		}
		v.Bytes = b
	case TagIPAddress:
		if len(b) != 4 {
			return ErrAddress
		}
		v.Bytes = b
	case TagOpaque:
		return v.readOpaque(b)
	case TagNull, TagNoSuchObject, TagNoSuchInstance, TagEndOfMibView:
		if len(b) > 0 {
			return ErrNotEmpty
		}
	default:
		return ErrValueType
	}
	return err
}

// readOpaque makes a number of an Opaque that has one of net-snmp's in it. Others
// keep their octets.
func (v *Varbind) readOpaque(b []byte) error {
	if len(b) == 0 {
		return ErrOpaque
	}
	if len(b) < 3 || b[0] != opaqueNumber || b[1] != TagFloat && b[1] != TagDouble {
		v.Bytes = b
		return nil
	}
	tag, number, rest, err := element(b[1:])
	switch {
	case err != nil || len(rest) > 0:
		return ErrOpaque
	case tag == TagFloat && len(number) == 4:
		v.Tag, v.Num = tag, uint64(binary.BigEndian.Uint32(number))
	case tag == TagDouble && len(number) == 8:
		v.Tag, v.Num = tag, binary.BigEndian.Uint64(number)
	default:
		return ErrOpaque
	}
	return nil
}
