package topology

import (
	"encoding/hex"
	"errors"
	"strings"
)

// MAC is an IEEE 802 MAC address.
type MAC [6]byte

func (m MAC) String() string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 17)
	for i, o := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[o>>4], digits[o&15])
	}
	return string(b)
}

// host tells whether one interface can have the address: it is neither zero nor a
// group's.
func (m MAC) host() bool { return m != MAC{} && m[0]&1 == 0 }

// shared tells whether the address is a router redundancy protocol's (VRRP, HSRP),
// which wanders between devices.
func (m MAC) shared() bool {
	return m[0] == 0 && m[1] == 0 && (m[2] == 0x5e && m[3] == 0 || m[2] == 0x0c && m[3] == 0x07 && m[4] == 0xac)
}

// MarshalText gives the form aa:bb:cc:dd:ee:ff.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads every form that [ParseMAC] reads.
func (m *MAC) UnmarshalText(b []byte) error {
	got, ok := ParseMAC(string(b))
	if !ok {
		return errors.New("it is not a MAC address")
	}
	*m = got
	return nil
}

// ParseMAC reads a MAC address as people and devices write it: aa:bb:cc:dd:ee:ff,
// with or without leading zeros, aa-bb-cc-dd-ee-ff, aabb.ccdd.eeff, aabbccddeeff.
func ParseMAC(s string) (m MAC, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) > 17 {
		return m, false
	}
	if strings.ContainsAny(s, ":-") {
		parts := strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == '-' })
		if len(parts) != 6 || strings.Contains(s, ":") && strings.Contains(s, "-") {
			return m, false
		}
		for i, p := range parts {
			if len(p) == 1 {
				p = "0" + p
			}
			b, err := hex.DecodeString(p)
			if err != nil || len(b) != 1 {
				return m, false
			}
			m[i] = b[0]
		}
		return m, true
	}
	if strings.Count(s, ".") == 2 && len(s) == 14 && s[4] == '.' && s[9] == '.' {
		s = strings.ReplaceAll(s, ".", "")
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 6 {
		return m, false
	}
	return MAC(b), true
}

// macOf takes a MAC out of what a device sent: six octets, or text.
func macOf(b []byte) (MAC, bool) {
	if len(b) == 6 {
		return MAC(b), true
	}
	return ParseMAC(string(b))
}

// macOfIndex takes a MAC out of the end of an index.
func macOfIndex(arcs []uint64) (m MAC, ok bool) {
	if len(arcs) < 6 {
		return m, false
	}
	for i, a := range arcs[len(arcs)-6:] {
		if a > 255 {
			return m, false
		}
		m[i] = byte(a)
	}
	return m, true
}
