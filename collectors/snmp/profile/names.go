package profile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// Names are the words for identifiers that a set of profiles has, and those that
// everybody knows. They are what a walk is printed with, and serve without a MIB.
type Names struct {
	byName map[string][]byte
	sorted []naming // by identifier, for the longest that another begins with
}

type naming struct {
	oid  []byte
	name string
}

// Names gathers the names of all metrics and of labels that are read of one
// column. Of two names for one identifier that of the generic profiles counts, and
// then the first by the profiles' names.
func (s *Set) Names() *Names {
	n := &Names{byName: map[string][]byte{}}
	seen := map[string]bool{}
	add := func(oid []byte, name string) {
		if len(oid) == 0 || name == "" || seen[string(oid)] {
			return
		}
		oid = bytes.TrimSuffix(oid, []byte{0}) // a scalar's instance
		if seen[string(oid)] {
			return
		}
		seen[string(oid)] = true
		n.sorted = append(n.sorted, naming{oid, name})
		if n.byName[name] == nil {
			n.byName[name] = oid
		}
	}
	for name, oid := range wellKnown() {
		add(pdu.MustOID(oid), name)
	}
	profiles := s.List()
	slices.SortStableFunc(profiles, func(a, b *Profile) int { return generality(b) - generality(a) })
	for _, p := range profiles {
		for i := range p.Scalars {
			add(p.Scalars[i].OID, p.Scalars[i].Name)
		}
		for i := range p.Tables {
			t := &p.Tables[i]
			for k := range t.Columns {
				add(t.Columns[k].OID, t.Columns[k].Name)
			}
			for _, l := range t.Labels {
				if len(l.From) > 0 && !l.Hidden {
					add(l.From[0].OID, l.Name)
				}
			}
		}
	}
	slices.SortFunc(n.sorted, func(a, b naming) int { return pdu.Compare(a.oid, b.oid) })
	return n
}

// generality puts the generic profiles first: what they call by its MIB's name,
// another may give one of its own.
func generality(p *Profile) int {
	if strings.HasPrefix(p.Name, "_") && !p.user() {
		return 1
	}
	return 0
}

// Append appends an identifier with its name, as net-snmp's tools print it
// ("ifName.3"), or where there is none with numbers and a dot before them.
func (n *Names) Append(dst, oid []byte) []byte {
	i, found := slices.BinarySearchFunc(n.sorted, oid, func(a naming, o []byte) int { return pdu.Compare(a.oid, o) })
	if found {
		return append(dst, n.sorted[i].name...)
	}
	// What the identifier begins with stands somewhere before it.
	for end := len(oid) - 1; end > 1; end-- {
		if oid[end-1] >= 0x80 {
			continue // within a number
		}
		i, found := slices.BinarySearchFunc(n.sorted, oid[:end], func(a naming, o []byte) int { return pdu.Compare(a.oid, o) })
		if found {
			dst = append(append(dst, n.sorted[i].name...), '.')
			return pdu.AppendIndex(dst, oid[end:])
		}
	}
	return pdu.AppendDotted(append(dst, '.'), oid)
}

// OID reads an identifier: in numbers, or a name with or without numbers after it
// and a MIB before it ("ifName.3", "IF-MIB::ifName").
func (n *Names) OID(s string) (oid []byte, ok bool) {
	if oid, ok := pdu.AppendOID(nil, s); ok {
		return oid, true
	}
	if _, after, ok := strings.Cut(s, "::"); ok {
		s = after
	}
	name, index, indexed := strings.Cut(s, ".")
	root, ok := n.byName[name]
	if !ok {
		return nil, false
	}
	oid = slices.Clone(root)
	for indexed {
		var arc string
		arc, index, indexed = strings.Cut(index, ".")
		sub, ok := pdu.AppendOID(nil, "1.3."+arc)
		if !ok {
			return nil, false
		}
		oid = append(oid, sub[1:]...)
	}
	return oid, true
}

// All lists the names there are, in the order of the alphabet.
func (n *Names) All() []string {
	var out []string
	for name := range n.byName {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Near gives the name among known that s is most likely meant to be, or none.
func Near(s string, known []string) string { return yamlfile.Nearest(s, known) }

// wellKnown are names of SNMPv2-MIB, IF-MIB and of places that people begin a walk
// at.
func wellKnown() map[string]string {
	const system, ifs, ifx = "1.3.6.1.2.1.1.", "1.3.6.1.2.1.2.2.1.", "1.3.6.1.2.1.31.1.1.1."
	return map[string]string{
		"iso": "1.3", "internet": "1.3.6.1", "mib-2": "1.3.6.1.2.1", "enterprises": "1.3.6.1.4.1",
		"system": "1.3.6.1.2.1.1", "interfaces": "1.3.6.1.2.1.2", "ifNumber": "1.3.6.1.2.1.2.1", "ifTable": "1.3.6.1.2.1.2.2",
		"ifXTable": "1.3.6.1.2.1.31.1.1", "ip": "1.3.6.1.2.1.4", "host": "1.3.6.1.2.1.25", "entityMIB": "1.3.6.1.2.1.47",
		"dot1dBridge": "1.3.6.1.2.1.17", "lldpMIB": "1.0.8802.1.1.2",
		"sysDescr": system + "1", "sysObjectID": system + "2", "sysUpTime": system + "3", "sysContact": system + "4",
		"sysName": system + "5", "sysLocation": system + "6", "sysServices": system + "7",
		"ifIndex": ifs + "1", "ifDescr": ifs + "2", "ifType": ifs + "3", "ifMtu": ifs + "4", "ifSpeed": ifs + "5",
		"ifPhysAddress": ifs + "6", "ifAdminStatus": ifs + "7", "ifOperStatus": ifs + "8", "ifLastChange": ifs + "9",
		"ifInOctets": ifs + "10", "ifInUcastPkts": ifs + "11", "ifInNUcastPkts": ifs + "12", "ifInDiscards": ifs + "13", "ifInErrors": ifs + "14",
		"ifInUnknownProtos": ifs + "15", "ifOutOctets": ifs + "16", "ifOutUcastPkts": ifs + "17", "ifOutNUcastPkts": ifs + "18",
		"ifOutDiscards": ifs + "19", "ifOutErrors": ifs + "20", "ifOutQLen": ifs + "21", "ifSpecific": ifs + "22",
		"ifName": ifx + "1", "ifInMulticastPkts": ifx + "2", "ifInBroadcastPkts": ifx + "3", "ifOutMulticastPkts": ifx + "4", "ifOutBroadcastPkts": ifx + "5",
		"ifHCInOctets": ifx + "6", "ifHCInUcastPkts": ifx + "7", "ifHCInMulticastPkts": ifx + "8", "ifHCInBroadcastPkts": ifx + "9",
		"ifHCOutOctets": ifx + "10", "ifHCOutUcastPkts": ifx + "11", "ifHCOutMulticastPkts": ifx + "12", "ifHCOutBroadcastPkts": ifx + "13",
		"ifLinkUpDownTrapEnable": ifx + "14", "ifHighSpeed": ifx + "15", "ifPromiscuousMode": ifx + "16", "ifConnectorPresent": ifx + "17",
		"ifAlias": ifx + "18", "ifCounterDiscontinuityTime": ifx + "19", "ifTableLastChange": "1.3.6.1.2.1.31.1.5",
		"snmpEngineID": "1.3.6.1.6.3.10.2.1.1", "snmpEngineBoots": "1.3.6.1.6.3.10.2.1.2", "snmpEngineTime": "1.3.6.1.6.3.10.2.1.3",
		"hrSystemUptime": "1.3.6.1.2.1.25.1.1",
	}
}
