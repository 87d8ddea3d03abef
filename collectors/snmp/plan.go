package snmp

import (
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// A plan is a profile as it is worked with: what is asked of a device and where
// the answers go. It knows nothing of how they are fetched and is not changed once
// it is made, so that one serves all devices of a kind.
type plan struct {
	profile *profile.Profile
	scalars tablePlan   // a table of one row, without an index
	tables  []tablePlan // those with series, and then those that only labels come out of
	labels  []labelPlan // of every series of the device
	fields  map[string][]fieldPlan
	known   [knownScalars]int // where the collector's own scalars stand
}

// tablePlan is a table, or several with the same index, read side by side.
type tablePlan struct {
	name   string
	index  []profile.Index
	labels []labelPlan
	// objects are the columns, and after the first columns of them those that are
	// made of the answers to a column before them.
	objects []object
	columns int
	texts   int // how many of the objects have text
	lookup  bool
	looksUp []int // the tables that its labels are looked up in

	// Of a table of interfaces: the objects that these are known by, the best first,
	// and their speed; -1: there is none.
	identity         []int
	speed, highSpeed int
}

// object is one MIB object: a scalar, or a column of a table.
type object struct {
	name string // the MIB's, which is the metric's
	oid  []byte // of a scalar with its .0
	unit string
	kind collectors.Kind // 0: as the device sends it
	form profile.Form
	conv *profile.Convert // nil: the reading is what the device sends
	from *profile.Metric  // nil: it has no readings

	use use
	// text is where its text stands among the row's; -1: it has none.
	text   int
	label  bool // labels are made of its text
	labels []labelPlan

	// Of a column: when it is read.
	onNames  bool // when names are
	interval time.Duration
	column   int
	echo     int // the next object that is made of its answers; 0: none

	// insteadOf is the object, counted from 1, whose place this one takes in rows
	// that lack it.
	insteadOf int
	// pinned: which of the two a row has is found out once and then stays so until
	// the device restarts, for a counter of 32 and one of 64 bits must not be mixed.
	pinned bool
	octets bool // it counts octets of an interface
	typeOf int  // the object that tells the type of its text; -1: none
	// stoodIn: another object takes this one's place where it is missing.
	stoodIn bool

	sensor *sensorPlan
}

type use uint8

const (
	metric   use = iota // series
	internal            // for labels, or for the collector itself
)

// sensorPlan is where the row's objects stand that say how a sensor's value is to
// be read; -1: there is none.
type sensorPlan struct {
	kind, scale, precision, status int
	*profile.Sensor
}

// labelPlan says where a label's text comes from.
type labelPlan struct {
	name   string
	from   []sourcePlan
	unless string
	hidden bool
}

// sourcePlan is one source of a label's text.
type sourcePlan struct {
	*profile.Source
	table   int // whose row is looked up; own: the row that the label is for
	object  int // in that table; -1: the source is no object
	typeOf  int // beside it; -1: none
	through *sourcePlan
}

// own stands for the table that a label is for.
const own = -1

type fieldPlan struct {
	*profile.Field
	object int // among the scalars
}

// The scalars that the collector itself needs, of every device.
const (
	sysUpTime = iota
	ifTableLastChange
	snmpEngineTime
	snmpEngineBoots
	hrSystemUptime
	snmpEngineID
	sysName
	sysObjectID
	sysDescr
	knownScalars
)

func knownOIDs() [knownScalars]string {
	return [...]string{
		sysUpTime:         "1.3.6.1.2.1.1.3.0",
		ifTableLastChange: "1.3.6.1.2.1.31.1.5.0",
		snmpEngineTime:    "1.3.6.1.6.3.10.2.1.3.0",
		snmpEngineBoots:   "1.3.6.1.6.3.10.2.1.2.0",
		hrSystemUptime:    "1.3.6.1.2.1.25.1.1.0",
		snmpEngineID:      "1.3.6.1.6.3.10.2.1.1.0",
		sysName:           "1.3.6.1.2.1.1.5.0",
		sysObjectID:       "1.3.6.1.2.1.1.2.0",
		sysDescr:          "1.3.6.1.2.1.1.1.0",
	}
}
