package pdu

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
)

// AppendValue appends a value with its type, as net-snmp's tools print one whose
// MIB they do not know: "INTEGER: 1", "Hex-STRING: 00 1B ". With quoted, text stands
// in quotation marks and is exact; otherwise it is made fit for people. No control
// character of a device's is ever printed.
func AppendValue(dst []byte, v *Varbind, quoted bool) []byte {
	switch v.Tag {
	case TagInteger:
		return strconv.AppendInt(append(dst, "INTEGER: "...), int64(v.Num), 10)
	case TagCounter32:
		return strconv.AppendUint(append(dst, "Counter32: "...), v.Num, 10)
	case TagCounter64:
		return strconv.AppendUint(append(dst, "Counter64: "...), v.Num, 10)
	case TagGauge32, TagUinteger32:
		return strconv.AppendUint(append(dst, "Gauge32: "...), v.Num, 10)
	case TagTimeTicks:
		return appendTicks(append(dst, "Timeticks: "...), v.Num)
	case TagFloat:
		return fmt.Appendf(dst, "Opaque: Float: %f", math.Float32frombits(uint32(v.Num)))
	case TagDouble:
		return fmt.Appendf(dst, "Opaque: Float: %f", math.Float64frombits(v.Num))
	case TagOID:
		return AppendDotted(append(dst, "OID: ."...), v.Bytes)
	case TagIPAddress:
		if a, ok := netip.AddrFromSlice(v.Bytes); ok {
			return a.AppendTo(append(dst, "IpAddress: "...))
		}
		return appendHex(append(dst, "IpAddress: "...), v.Bytes)
	case TagOctets:
		return appendString(dst, v.Bytes, quoted)
	case TagOpaque:
		return appendHex(append(dst, "OPAQUE: "...), v.Bytes)
	case TagNoSuchObject:
		return append(dst, "No Such Object available on this agent at this OID"...)
	case TagNoSuchInstance:
		return append(dst, "No Such Instance currently exists at this OID"...)
	case TagEndOfMibView:
		return append(dst, "No more variables left in this MIB View (It is past the end of the MIB tree)"...)
	}
	return append(dst, "NULL"...)
}

// appendTicks appends hundredths of a second: (123) 0:00:01.23.
func appendTicks(dst []byte, n uint64) []byte {
	dst = fmt.Appendf(dst, "(%d) ", n)
	days, n := n/8640000, n%8640000
	switch {
	case days == 1:
		dst = append(dst, "1 day, "...)
	case days > 1:
		dst = fmt.Appendf(dst, "%d days, ", days)
	}
	return fmt.Appendf(dst, "%d:%02d:%02d.%02d", n/360000, n/6000%60, n/100%60, n%100)
}

func appendString(dst, b []byte, quoted bool) []byte {
	if len(b) == 0 {
		return append(dst, `""`...)
	}
	if !quoted {
		if text := CleanText(b); text != "" && text[:min(2, len(text))] != "0x" {
			return append(append(dst, "STRING: "...), text...)
		}
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return appendHex(append(dst, "Hex-STRING: "...), b)
		}
	}
	dst = append(dst, `STRING: "`...)
	for _, c := range b {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = fmt.Appendf(dst, "%02X ", c)
	}
	return dst
}
