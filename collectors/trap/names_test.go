package trap

import (
	"testing"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// words are those of a profile with one object and the roots that every walk knows.
type words struct{}

func (words) Append(dst, oid []byte) []byte {
	for _, w := range []struct{ name, oid string }{{"upsAdvBatteryCapacity", "1.3.6.1.4.1.318.1.1.1.2.2.1"}, {"ifName", "1.3.6.1.2.1.31.1.1.1.1"}, {"enterprises", "1.3.6.1.4.1"}} {
		if rest, ok := pdu.Below(oid, pdu.MustOID(w.oid)); ok {
			return pdu.AppendIndex(append(append(dst, w.name...), '.'), rest)
		}
	}
	return pdu.AppendDotted(append(dst, '.'), oid)
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		oid, name, index string
	}{
		{"1.3.6.1.2.1.2.2.1.8.10101", "ifOperStatus", "10101"}, {"1.3.6.1.6.3.1.1.5.3", "linkDown", ""}, {"1.3.6.1.2.1.31.1.1.1.1.7", "ifName", "7"},
		{"1.3.6.1.4.1.318.1.1.1.2.2.1.0", "upsAdvBatteryCapacity", "0"}, {"1.3.6.1.4.1.99999.1", "", ""}, {"2.999.1", "", ""}, {"1.3.6.1.2.1.2.2.1.81", "", ""},
	} {
		o, index, ok := NamesWith(words{}).Object(pdu.MustOID(c.oid))
		if ok != (c.name != "") || o.Name != c.name || index != c.index {
			t.Errorf("%s: %q %q %v", c.oid, o.Name, index, ok)
		}
	}
	if o, _, _ := StandardNames().Object(pdu.MustOID("1.3.6.1.2.1.2.2.1.8.1")); o.Enum[2] != "down" {
		t.Errorf("%+v", o)
	}
}
