package profile

import (
	"testing"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

func TestNames(t *testing.T) {
	s, _ := Open("")
	n := s.Names()
	for _, test := range []struct{ oid, name string }{
		{"1.3.6.1.2.1.31.1.1.1.1.3", "ifName.3"},
		{"1.3.6.1.2.1.1.1.0", "sysDescr.0"},
		{"1.3.6.1.2.1.1", "system"},
		{"1.3.6.1.2.1.2.2.1.10.16384", "ifInOctets.16384"},
		{"1.3.6.1.2.1.2.2.1.2.300.5", "ifDescr.300.5"},
		{"1.0.9", ".1.0.9"},
	} {
		oid := pdu.MustOID(test.oid)
		if got := string(n.Append(nil, oid)); got != test.name {
			t.Errorf("%s is %s, want %s", test.oid, got, test.name)
		}
		if back, ok := n.OID(test.name); !ok || string(back) != string(oid) {
			t.Errorf("%s is %s", test.name, pdu.AppendDotted(nil, back))
		}
	}
	for _, test := range []string{"IF-MIB::ifName.3", ".1.3.6.1.2.1.31.1.1.1.1.3"} {
		if oid, ok := n.OID(test); !ok || string(oid) != string(pdu.MustOID("1.3.6.1.2.1.31.1.1.1.1.3")) {
			t.Errorf("%s is %s", test, pdu.AppendDotted(nil, oid))
		}
	}
	for _, bad := range []string{"", "nobodyKnows", "ifName.x", "ifName.", "ifName.99999999999"} {
		if oid, ok := n.OID(bad); ok {
			t.Errorf("%q is %s", bad, pdu.AppendDotted(nil, oid))
		}
	}
}
