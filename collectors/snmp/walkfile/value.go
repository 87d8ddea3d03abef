package walkfile

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// recorded takes a line of a recording apart: OID|TAG|VALUE.
func recorded(line string) (oid, tag, value string, ok bool) {
	f := strings.SplitN(line, "|", 3)
	if len(f) != 3 || f[0] == "" || strings.Trim(f[0], "0123456789.x") != "" {
		return "", "", "", false
	}
	return f[0], f[1], f[2], true
}

// recordedValue reads a value. The tag is BER's in decimal; "x" after it says that
// the value is hexadecimal, ":numeric" that it is made by a module of snmpsim's,
// of which the first reading is taken.
func recordedValue(tag, value string) (v pdu.Varbind, err error) {
	if t, module, ok := strings.Cut(tag, ":"); ok {
		if module != "numeric" {
			return v, fmt.Errorf("a value made by %q, which is not known", collectors.Clip(module, 32))
		}
		tag, value = t, initial(value)
	}
	digits, isHex := strings.CutSuffix(tag, "x")
	n, err := strconv.ParseUint(digits, 10, 8)
	if err != nil {
		return v, fmt.Errorf("%q is no tag", collectors.Clip(tag, 16))
	}
	v.Tag = byte(n)
	octets := []byte(value)
	if isHex {
		if octets, err = hex.DecodeString(strings.ReplaceAll(value, " ", "")); err != nil {
			return v, errors.New("the value is not hexadecimal")
		}
	}
	switch v.Tag {
	case pdu.TagOctets:
		v.Bytes = octets
	case pdu.TagOpaque:
		return opaque(octets), nil
	case pdu.TagNull:
	case pdu.TagIPAddress:
		if !isHex {
			return address(value)
		}
		v.Bytes = octets
	case pdu.TagOID:
		return identifier(value)
	default:
		return number(v.Tag, value)
	}
	return v, nil
}

func initial(settings string) string {
	for _, key := range []string{"initial=", "min="} {
		for _, s := range strings.Split(settings, ",") {
			if n, ok := strings.CutPrefix(s, key); ok {
				return n
			}
		}
	}
	return "0"
}

func number(tag byte, s string) (v pdu.Varbind, err error) {
	v.Tag, s = tag, strings.TrimSpace(s)
	switch tag {
	case pdu.TagInteger:
		n, err := strconv.ParseInt(s, 10, 64)
		v.Num = uint64(n)
		if err != nil {
			return v, errors.New("the value is no number")
		}
	case pdu.TagCounter32, pdu.TagGauge32, pdu.TagTimeTicks, pdu.TagUinteger32, pdu.TagCounter64:
		if v.Num, err = strconv.ParseUint(s, 10, 64); err != nil {
			return v, errors.New("the value is no number that is not negative")
		}
	default:
		return v, fmt.Errorf("tag %d is not known", tag)
	}
	return v, nil
}

func address(s string) (v pdu.Varbind, err error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return v, errors.New("the value is no address")
	}
	return pdu.Varbind{Tag: pdu.TagIPAddress, Bytes: a.AsSlice()}, nil
}

func identifier(s string) (v pdu.Varbind, err error) {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "iso."); ok {
		s = "1." + rest
	}
	b, ok := pdu.AppendOID(nil, s)
	if !ok {
		return v, errors.New("the value is no identifier in numbers")
	}
	return pdu.Varbind{Tag: pdu.TagOID, Bytes: b}, nil
}

// opaque reads net-snmp's floats, which an Opaque holds.
func opaque(b []byte) pdu.Varbind {
	switch {
	case len(b) == 7 && b[0] == 0x9f && b[1] == pdu.TagFloat && b[2] == 4:
		return pdu.Varbind{Tag: pdu.TagFloat, Num: uint64(binary.BigEndian.Uint32(b[3:]))}
	case len(b) == 11 && b[0] == 0x9f && b[1] == pdu.TagDouble && b[2] == 8:
		return pdu.Varbind{Tag: pdu.TagDouble, Num: binary.BigEndian.Uint64(b[3:])}
	}
	return pdu.Varbind{Tag: pdu.TagOpaque, Bytes: b}
}

var errAbsent = errors.New("nothing there")

// first is the number that a printed value begins with, or has in parentheses:
// "up(1)", "(12345) 0:02:03.45", "5 seconds".
var (
	inParentheses = regexp.MustCompile(`\((-?\d+)\)`)
	first         = regexp.MustCompile(`^-?\d+`)
)

// walkedValue reads a value as net-snmp's tools print it.
func walkedValue(s string) (v pdu.Varbind, err error) {
	s = strings.TrimRight(s, " \n")
	if rest, ok := strings.CutPrefix(s, "Wrong Type (should be "); ok {
		_, s, _ = strings.Cut(rest, "): ")
	}
	switch {
	case s == "" || s == `""`:
		return pdu.Varbind{Tag: pdu.TagOctets}, nil
	case strings.HasPrefix(s, "No Such ") || strings.HasPrefix(s, "No more variables"):
		return v, errAbsent
	case s == "NULL":
		return pdu.Varbind{Tag: pdu.TagNull}, nil
	case s[0] == '"':
		return pdu.Varbind{Tag: pdu.TagOctets, Bytes: unquoted(s)}, nil
	}
	kind, value, ok := strings.Cut(s, ":")
	if !ok {
		return v, fmt.Errorf("%q has no type before it; walk without -Oq", collectors.Clip(s, 40))
	}
	value = strings.TrimPrefix(value, " ")
	switch kind {
	case "STRING":
		return pdu.Varbind{Tag: pdu.TagOctets, Bytes: unquoted(value)}, nil
	case "Hex-STRING", "BITS", "Network Address":
		return hexValue(value)
	case "OID":
		return identifier(value)
	case "IpAddress":
		return address(value)
	case "Opaque":
		return opaqueValue(value)
	}
	tag, ok := map[string]byte{"INTEGER": pdu.TagInteger, "Counter32": pdu.TagCounter32, "Gauge32": pdu.TagGauge32, "UInteger32": pdu.TagGauge32,
		"Unsigned32": pdu.TagGauge32, "Counter64": pdu.TagCounter64, "Timeticks": pdu.TagTimeTicks}[kind]
	if !ok {
		return v, fmt.Errorf("type %q is not known", collectors.Clip(kind, 32))
	}
	if m := inParentheses.FindStringSubmatch(value); m != nil {
		return number(tag, m[1])
	}
	return number(tag, first.FindString(value))
}

// unquoted takes the quotation marks off, where there are some, and what escapes
// those within.
func unquoted(s string) []byte {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return []byte(s)
	}
	var b []byte
	for s = s[1 : len(s)-1]; s != ""; s = s[1:] {
		if s[0] == '\\' && len(s) > 1 {
			s = s[1:]
		}
		b = append(b, s[0])
	}
	return b
}

// hexValue reads octets; behind those of BITS the names of the bits may stand.
func hexValue(s string) (v pdu.Varbind, err error) {
	v.Tag = pdu.TagOctets
	for _, f := range strings.Fields(strings.ReplaceAll(s, ":", " ")) {
		b, err := hex.DecodeString(f)
		if err != nil || len(f) != 2 {
			if len(v.Bytes) > 0 {
				return v, nil
			}
			return v, errors.New("the value is not hexadecimal")
		}
		v.Bytes = append(v.Bytes, b...)
	}
	return v, nil
}

func opaqueValue(s string) (v pdu.Varbind, err error) {
	kind, value, _ := strings.Cut(s, ": ")
	f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if kind != "Float" || err != nil {
		return v, errors.New("an Opaque that is no float")
	}
	return pdu.Varbind{Tag: pdu.TagDouble, Num: math.Float64bits(f)}, nil
}
