package snmp

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// kept is a value as it came, to make text of later: its tag, and then the octets
// or the eight of a number. It is a string so that text which needs no work shares
// its memory.
type kept string

// maxKept is how many octets are kept of a value: as many as text may have, and some
// padding before it.
const maxKept = collectors.MaxText + 65

// keep takes a value over. One that is the same takes no memory.
func (k *kept) keep(v *pdu.Varbind) {
	b := v.Bytes
	if !isOctets(v.Tag) {
		var n [8]byte
		for i := range n {
			n[i] = byte(v.Num >> (56 - 8*i))
		}
		b = n[:]
	}
	b = b[:min(len(b), maxKept)]
	if s := string(*k); len(s) == 1+len(b) && s[0] == v.Tag && s[1:] == string(b) {
		return
	}
	var s strings.Builder
	s.Grow(1 + len(b))
	s.WriteByte(v.Tag)
	s.Write(b)
	*k = kept(s.String())
}

// isOctets tells whether values of a tag are octets, and not a number.
func isOctets(tag byte) bool {
	return tag == pdu.TagOctets || tag == pdu.TagOID || tag == pdu.TagIPAddress || tag == pdu.TagOpaque
}

// text is the value as text, in the given form. Nothing kept gives none.
func (k kept) text(form profile.TextForm, enum map[int64]string) string {
	if k == "" {
		return ""
	}
	if tag := k[0]; tag == pdu.TagOctets && form == profile.Clean && plainText(string(k[1:])) {
		return string(k[1:])
	}
	n, _ := k.bits()
	return valueText(k[0], n, []byte(k[1:]), form, enum)
}

// bits is the value's number, or the bits of one.
func (k kept) bits() (n uint64, ok bool) {
	if len(k) != 9 || isOctets(k[0]) {
		return 0, false
	}
	for _, c := range []byte(k[1:]) {
		n = n<<8 | uint64(c)
	}
	return n, true
}

// integer is the value as a whole number.
func (k kept) integer() (int64, bool) {
	n, ok := k.bits()
	if !ok {
		return 0, false
	}
	c := cell{tag: k[0], num: n}
	return int64(n), c.tag == pdu.TagInteger || c.counts() && n <= math.MaxInt64
}

// bit tells whether a bit of BITS is set (RFC 2578, 7.1.4: the first is the
// highest of the first octet).
func (k kept) bit(n int64) bool {
	return k != "" && bitOf(k[1:], n)
}

func bitOf[T ~string | ~[]byte](octets T, n int64) bool {
	return n >= 0 && n/8 < int64(len(octets)) && octets[n/8]&(0x80>>(n%8)) != 0
}

// plainText tells whether text is what pdu.CleanText would make of it.
func plainText(s string) bool {
	if len(s) > collectors.MaxText || s != "" && (s[0] == ' ' || s[len(s)-1] == ' ') {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// valueText makes text of any value. Numbers are words where enum has some for
// them; octets are read as form says.
func valueText(tag byte, num uint64, b []byte, form profile.TextForm, enum map[int64]string) string {
	switch tag {
	case pdu.TagOctets, pdu.TagOpaque:
		return octetsText(b, form, enum)
	case pdu.TagIPAddress:
		return addressText(b)
	case pdu.TagOID:
		return collectors.Clip(string(pdu.AppendDotted(nil, b)), collectors.MaxText)
	}
	c := cell{tag: tag, num: num}
	if word, ok := enum[int64(num)]; ok && (tag == pdu.TagInteger || c.counts()) {
		return collectors.Clip(word, collectors.MaxText)
	}
	switch f, ok := c.float(); {
	case !ok:
		return ""
	case tag == pdu.TagInteger:
		return strconv.FormatInt(int64(num), 10)
	case c.counts():
		return strconv.FormatUint(num, 10)
	default:
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
}

// octetsText reads octets in a form. What is not of the form gives nothing.
func octetsText(b []byte, form profile.TextForm, enum map[int64]string) string {
	switch form {
	case profile.MAC:
		return macText(b)
	case profile.IP:
		return addressText(b)
	case profile.Hex:
		return hexText(b)
	case profile.Date, profile.NTP:
		if t, ok := instant(b, form, ""); ok {
			return t.Format(time.RFC3339)
		}
		return ""
	case profile.BitNames:
		return bitNames(b, enum)
	case profile.HexLE, profile.HexBE:
		if n, ok := octetsNumber(b, form); ok {
			return strconv.FormatUint(n, 10)
		}
		return ""
	}
	return pdu.CleanText(b)
}

func macText(b []byte) string {
	b = b[:min(len(b), 32)]
	s := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			s = append(s, ':')
		}
		s = fmt.Appendf(s, "%02X", c)
	}
	return string(s)
}

// hexText writes octets as 0x0A0B, as far as text reaches.
func hexText(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return "0x" + strings.ToUpper(hex.EncodeToString(b[:min(len(b), (collectors.MaxText-2)/2)]))
}

// addressText writes an address of four octets, or one of sixteen in full, as
// snmp_exporter does.
func addressText(b []byte) string {
	switch len(b) {
	case 4:
		return netip.AddrFrom4([4]byte(b)).String()
	case 16:
		var s []byte
		for i := 0; i < 16; i += 2 {
			if i > 0 {
				s = append(s, ':')
			}
			s = fmt.Appendf(s, "%02X%02X", b[i], b[i+1])
		}
		return string(s)
	}
	return ""
}

// octetsNumber reads octets as one number, which eight hold.
func octetsNumber(b []byte, form profile.TextForm) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	for i := range b {
		c := b[i]
		if form == profile.HexLE {
			c = b[len(b)-1-i]
		}
		n = n<<8 | uint64(c)
	}
	return n, true
}

// typed is the form of octets whose type stands beside them: an InetAddressType
// (RFC 4001) or an LldpPortIdSubtype.
func typed(form profile.TextForm, kind int64) profile.TextForm {
	switch {
	case form == profile.InetAddress && (kind == 1 || kind == 2):
		return profile.IP
	case form == profile.LLDPPort && kind == 3:
		return profile.MAC
	case form == profile.LLDPPort && (kind == 1 || kind == 2 || kind == 5 || kind == 7):
		return profile.Clean
	case form == profile.InetAddress, form == profile.LLDPPort:
		return profile.Hex
	}
	return form
}

// instant reads a time: text of a layout, an NTP timestamp or a DateAndTime.
func instant(b []byte, form profile.TextForm, layout string) (t time.Time, ok bool) {
	switch {
	case layout != "":
		t, err := time.Parse(layout, pdu.CleanText(b))
		return t, err == nil
	case form == profile.NTP:
		const until1970 = 2208988800 // since 1900
		if len(b) != 8 {
			return t, false
		}
		seconds := int64(b[0])<<24 | int64(b[1])<<16 | int64(b[2])<<8 | int64(b[3])
		return time.Unix(seconds-until1970, 0).UTC(), seconds != 0
	}
	return dateAndTime(b)
}

// dateAndTime reads a DateAndTime (RFC 2579): without a zone it is UTC.
func dateAndTime(b []byte) (t time.Time, ok bool) {
	if len(b) != 8 && len(b) != 11 {
		return t, false
	}
	month, day, hour, minute, second := int(b[2]), int(b[3]), int(b[4]), int(b[5]), int(b[6])
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 || b[7] > 9 {
		return t, false
	}
	zone := time.UTC
	if len(b) == 11 {
		offset := int(b[9])*3600 + int(b[10])*60
		switch {
		case b[9] > 14 || b[10] > 59 || b[8] != '+' && b[8] != '-':
			return t, false
		case b[8] == '-':
			offset = -offset
		}
		zone = time.FixedZone("", offset)
	}
	return time.Date(int(b[0])<<8|int(b[1]), time.Month(month), day, hour, minute, second, int(b[7])*1e8, zone), true
}

// bitNames names the bits that are set, in the order of their numbers.
func bitNames(b []byte, names map[int64]string) string {
	var bits []int64
	for n := range names {
		if bitOf(b, n) {
			bits = append(bits, n)
		}
	}
	slices.Sort(bits)
	var set []string
	for _, n := range bits {
		set = append(set, names[n])
	}
	return collectors.Clip(strings.Join(set, ","), collectors.MaxText)
}

// worded gives the word for text that is a whole number, where there is one: digits
// that a device sends as text, or that an Extract takes out of an identifier.
func worded(enum map[int64]string, text string) string {
	if len(enum) == 0 {
		return text
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if word, ok := enum[n]; ok {
			return collectors.Clip(word, collectors.MaxText)
		}
	}
	return text
}

// extracted takes the part of text that an Extract names: the first that matches.
func extracted(e *profile.Extract, text string) string {
	if e == nil {
		return text
	}
	for ; e != nil; e = e.Next {
		if part, ok := extract(e, text); ok {
			return part
		}
	}
	return ""
}

func extract(e *profile.Extract, text string) (part string, ok bool) {
	if e.Pattern == nil {
		return text, true
	}
	at := e.Pattern.FindStringSubmatchIndex(text)
	if at == nil {
		return "", false
	}
	template := e.Template
	if template == "" {
		template = "$0"
	}
	return collectors.Clip(string(e.Pattern.ExpandString(nil, template, text, at)), collectors.MaxText), true
}
