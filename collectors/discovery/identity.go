package discovery

import (
	"encoding/hex"
	"net"
	"strings"
)

// keys are what a device is known by, each empty where it is not told or no good: a
// serial number that a factory forgot to write, an engine ID that every device of the
// kind has, or that follows the address.
type keys struct {
	serial, engine, mac, link, name string
}

func keysOf(f *Facts, link string) keys {
	return keys{serialKey(f.Serial), engineKey(f.EngineID), macKey(f.MAC), macKey(link), f.SysName}
}

// merge takes from other what k does not have.
func (k keys) merge(other keys) keys {
	pick := func(a, b string) string {
		if a == "" {
			return b
		}
		return a
	}
	return keys{pick(k.serial, other.serial), pick(k.engine, other.engine), pick(k.mac, other.mac), pick(k.link, other.link), pick(k.name, other.name)}
}

// strong tells whether there is any key that holds wherever the device is.
func (k keys) strong() bool { return k.serial != "" || k.engine != "" || k.mac != "" }

// mute tells whether nothing is known but that somebody is there.
func (k keys) mute() bool { return !k.strong() && k.name == "" }

// differ and same compare two keys; where one is missing they are neither.
func differ(a, b string) bool { return a != "" && b != "" && a != b }
func same(a, b string) bool   { return a != "" && a == b }

// serialKey is a serial number without what writers of it differ in.
func serialKey(s string) string {
	s = strings.ToUpper(strings.Join(strings.Fields(s), ""))
	if len(s) < 4 || strings.Trim(s, s[:1]+"-. ") == "" { // 0000, XXXXXX
		return ""
	}
	switch s {
	case "NONE", "NULL", "N/A", "UNKNOWN", "NOTAVAILABLE", "NOTSPECIFIED", "NOTAPPLICABLE", "DEFAULT", "DEFAULTSTRING", "SERIAL",
		"SERIALNUMBER", "SYSTEMSERIALNUMBER", "TOBEFILLEDBYO.E.M.", "TOBEFILLEDBYOEM", "1234", "12345", "123456", "1234567", "12345678", "123456789",
		"1234567890", "0123456789", "EMPTY", "UNDEFINED", "INVALID":
		return ""
	}
	return s
}

// engineKey is an SNMP engine ID (RFC 3411, 5, snmpEngineID) that is the device's
// alone. One made of an IP address belongs to the address; one made of a MAC address
// that is none belongs to a whole product line.
func engineKey(id string) string {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) < 5 || len(b) > 32 {
		return ""
	}
	rest := b[5:]
	if b[0] < 0x80 { // the old form: an enterprise and eight octets of its own
		rest = b[4:]
		return unlessPlain(id, rest)
	}
	switch b[4] {
	case 1, 2: // an IPv4 or IPv6 address
		return ""
	case 3:
		if len(rest) != 6 || macKey(net.HardwareAddr(rest).String()) == "" {
			return ""
		}
	}
	return unlessPlain(id, rest)
}

// unlessPlain gives nothing for octets that are all alike, or too few to be anybody's.
func unlessPlain(id string, b []byte) string {
	if len(b) < 4 || strings.Trim(string(b), string(b[:1])) == "" {
		return ""
	}
	return strings.ToLower(id)
}

// macKey is a MAC address that is globally unique: no group, not locally made up as
// phones do for privacy and machines that are virtual, not one that routers pass on
// among themselves (VRRP, HSRP, GLBP).
func macKey(s string) string {
	m, err := net.ParseMAC(s)
	if err != nil || len(m) != 6 || m[0]&3 != 0 || strings.Trim(string(m), string(m[:1])) == "" {
		return ""
	}
	s = m.String()
	for _, prefix := range []string{"00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:00:0c:9f:f", "00:07:b4:00:", "00:00:00:00:00:"} {
		if strings.HasPrefix(s, prefix) {
			return ""
		}
	}
	return s
}

// apart tells whether two that are seen at once and share a key are two devices all
// the same, by their other keys. Then the key is worth nothing: it was copied.
func apart(kind keyKind, a, b keys) bool {
	switch kind {
	case bySerial:
		return !same(a.engine, b.engine) && !same(a.mac, b.mac) && (differ(a.engine, b.engine) || differ(a.mac, b.mac))
	case byEngine:
		return differ(a.serial, b.serial) || !same(a.serial, b.serial) &&
			(differ(a.mac, b.mac) || !same(a.mac, b.mac) && differ(a.name, b.name))
	case byMAC:
		return differ(a.serial, b.serial) || !same(a.serial, b.serial) && differ(a.engine, b.engine)
	}
	return differ(a.serial, b.serial) || differ(a.engine, b.engine) || differ(a.mac, b.mac)
}

// keyKind is one of the keys, the strongest first.
type keyKind int

const (
	bySerial keyKind = iota
	byEngine
	byMAC
	byLink
)

func (k keys) of(kind keyKind) string {
	switch kind {
	case bySerial:
		return k.serial
	case byEngine:
		return k.engine
	case byMAC:
		return k.mac
	}
	return k.link
}

// without gives the keys less one.
func (k keys) without(kind keyKind) keys {
	switch kind {
	case bySerial:
		k.serial = ""
	case byEngine:
		k.engine = ""
	case byMAC:
		k.mac = ""
	case byLink:
		k.link = ""
	}
	return k
}
