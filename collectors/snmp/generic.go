package snmp

import (
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// generic is what a device of no known kind is asked for: who it is, how long it is
// up, and its interfaces as IF-MIB has them.
var generic = sync.OnceValue(func() *profile.Profile {
	const (
		system = "1.3.6.1.2.1.1."
		ifs    = "1.3.6.1.2.1.2.2.1."
		ifx    = "1.3.6.1.2.1.31.1.1.1."
	)
	at := pdu.MustOID
	const counter, gauge, state, text = collectors.Counter, collectors.Gauge, collectors.State, collectors.Text
	col := func(oid string) []profile.Source { return []profile.Source{{OID: at(oid)}} }
	return &profile.Profile{
		Name: "generic", Origin: "built-in",
		Scalars: []profile.Metric{
			{Name: "sysUpTime", OID: at(system + "3.0"), Unit: "centiseconds", Kind: gauge},
			{Name: "sysName", OID: at(system + "5.0"), Kind: text},
			{Name: "sysObjectID", OID: at(system + "2.0"), Kind: text},
			{Name: "sysDescr", OID: at(system + "1.0"), Kind: text},
		},
		Tables: []profile.Table{{
			Name:  "interfaces",
			Index: []profile.Index{{Label: "ifIndex", Type: profile.IndexInteger}},
			Columns: []profile.Metric{
				{Name: "ifAdminStatus", OID: at(ifs + "7"), Kind: state},
				{Name: "ifOperStatus", OID: at(ifs + "8"), Kind: state},
				{Name: "ifInDiscards", OID: at(ifs + "13"), Kind: counter},
				{Name: "ifInErrors", OID: at(ifs + "14"), Kind: counter},
				{Name: "ifOutDiscards", OID: at(ifs + "19"), Kind: counter},
				{Name: "ifOutErrors", OID: at(ifs + "20"), Kind: counter},
				{Name: "ifHCInOctets", OID: at(ifx + "6"), Unit: "bytes", Kind: counter},
				{Name: "ifHCOutOctets", OID: at(ifx + "10"), Unit: "bytes", Kind: counter},
				{Name: "ifHighSpeed", OID: at(ifx + "15"), Unit: "megabits_per_second", Kind: gauge},
				{Name: "ifInOctets", OID: at(ifs + "10"), Unit: "bytes", Kind: counter, InsteadOf: "ifHCInOctets", Pinned: true},
				{Name: "ifOutOctets", OID: at(ifs + "16"), Unit: "bytes", Kind: counter, InsteadOf: "ifHCOutOctets", Pinned: true},
				{Name: "ifSpeed", OID: at(ifs + "5"), Unit: "bits_per_second", Kind: gauge, InsteadOf: "ifHighSpeed"},
			},
			Labels: []profile.Label{
				{Name: "own_ifName", From: col(ifx + "1"), Hidden: true},
				{Name: "ifName", From: []profile.Source{{OID: at(ifx + "1")}, {OID: at(ifs + "2")}}},
				{Name: "ifDescr", From: col(ifs + "2"), Unless: "own_ifName"},
				{Name: "ifAlias", From: col(ifx + "18")},
			},
		}},
	}
})
