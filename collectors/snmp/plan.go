package snmp

import (
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// A plan is what is asked of a device and what the answers are called. It knows
// nothing of how they are fetched, and is not changed once it is made.
type plan struct {
	scalars []object
	tables  []tablePlan
}

// object is one MIB object: a scalar, or a column of a table.
type object struct {
	name string // the MIB's, which is the metric's
	oid  []byte // of a scalar with its .0
	unit string
	kind collectors.Kind

	// use is what the object is for.
	use use
	// insteadOf is the column, counted from 1, whose place this one takes in rows
	// that lack it.
	insteadOf int
	// pinned: which of the two a row has is found out once and then stays so until
	// the device restarts, for a counter of 32 and one of 64 bits must not be mixed.
	pinned bool
}

type use uint8

const (
	metric   use = iota // a series
	identity            // a series that is read when names are
	label               // read when names are, for the labels of its row's series
	internal            // for the collector itself
)

// tablePlan is a table, or several with the same index, read side by side.
type tablePlan struct {
	name    string
	index   string // the label of the row's index
	columns []object
	labels  []labelPlan
}

// labelPlan says where a label's text comes from.
type labelPlan struct {
	name string
	from []int // columns, counted from 1: the first one that is not empty
	// unless leaves the label out where this column, counted from 1, is not empty.
	unless int
}

// find gives the place of a scalar, or -1.
func (p *plan) find(name string) int {
	for i := range p.scalars {
		if p.scalars[i].name == name {
			return i
		}
	}
	return -1
}

// builtIn is the basic plan, of which one is enough for all devices.
var builtIn = sync.OnceValue(basicPlan)

// basicPlan is what every device is asked for: who it is, how long it is up, and
// its interfaces as IF-MIB has them.
func basicPlan() plan {
	const (
		system = "1.3.6.1.2.1.1."
		ifs    = "1.3.6.1.2.1.2.2.1."
		ifx    = "1.3.6.1.2.1.31.1.1.1."
	)
	at := pdu.MustOID
	const counter, gauge, state, text = collectors.Counter, collectors.Gauge, collectors.State, collectors.Text
	return plan{
		scalars: []object{
			{name: "sysUpTime", oid: at(system + "3.0"), unit: "centiseconds", kind: gauge},
			{name: "ifTableLastChange", oid: at("1.3.6.1.2.1.31.1.5.0"), kind: gauge, use: internal},
			{name: "sysName", oid: at(system + "5.0"), kind: text, use: identity},
			{name: "sysObjectID", oid: at(system + "2.0"), kind: text, use: identity},
			{name: "sysDescr", oid: at(system + "1.0"), kind: text, use: identity},
		},
		tables: []tablePlan{{
			name:  "interfaces",
			index: "ifIndex",
			columns: []object{
				{name: "ifAdminStatus", oid: at(ifs + "7"), kind: state},
				{name: "ifOperStatus", oid: at(ifs + "8"), kind: state},
				{name: "ifInDiscards", oid: at(ifs + "13"), kind: counter},
				{name: "ifInErrors", oid: at(ifs + "14"), kind: counter},
				{name: "ifOutDiscards", oid: at(ifs + "19"), kind: counter},
				{name: "ifOutErrors", oid: at(ifs + "20"), kind: counter},
				{name: "ifHCInOctets", oid: at(ifx + "6"), unit: "bytes", kind: counter},
				{name: "ifHCOutOctets", oid: at(ifx + "10"), unit: "bytes", kind: counter},
				{name: "ifHighSpeed", oid: at(ifx + "15"), unit: "megabits_per_second", kind: gauge},
				{name: "ifInOctets", oid: at(ifs + "10"), unit: "bytes", kind: counter, insteadOf: 7, pinned: true},
				{name: "ifOutOctets", oid: at(ifs + "16"), unit: "bytes", kind: counter, insteadOf: 8, pinned: true},
				{name: "ifSpeed", oid: at(ifs + "5"), unit: "bits_per_second", kind: gauge, insteadOf: 9},
				{name: "ifName", oid: at(ifx + "1"), kind: text, use: label},
				{name: "ifDescr", oid: at(ifs + "2"), kind: text, use: label},
				{name: "ifAlias", oid: at(ifx + "18"), kind: text, use: label},
			},
			labels: []labelPlan{
				{name: "ifName", from: []int{13, 14}},
				{name: "ifDescr", from: []int{14}, unless: 13},
				{name: "ifAlias", from: []int{15}},
			},
		}},
	}
}
