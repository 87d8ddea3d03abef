package profile

import (
	"regexp"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// A Profile is what one kind of device is asked for. It is not changed once it is
// made, so one serves all devices of the kind.
type Profile struct {
	Name   string // of the file, without its suffix; with an snmp.yml, of the module
	Origin string // "built-in", or the file that it was read from

	Match   Match
	Device  Device
	Agent   Agent
	Scalars []Metric
	Tables  []Table
	// Labels of every series of the device, read when names are.
	Labels []Label
}

// Match tells which devices a profile is for. A device has to match both parts, of
// which at least one is there; a profile that only others extend has none.
type Match struct {
	ObjectIDs []string // patterns of sysObjectID: dotted, without a dot before it, "*" for the rest or for one arc
	Descr     *regexp.Regexp
	// Answers is a scalar that such a device has, for those that say of themselves
	// no more than net-snmp does. It narrows the other two.
	Answers []byte
}

// Device is what an inventory wants to know. A field is fixed, or read from the
// device when names are.
type Device struct {
	Class string // "switch", "router", "firewall", "ups", "pdu", "printer", "nas", "server", "hypervisor", "bmc", "access-point", "sensor", "radio", "other"
	// By name: "vendor", "model", "serial_number", "os_version" (firmware), "name", "location".
	Fields map[string][]Field // tried in turn; the first that is not empty counts
}

// Field is one source of a device's field: Value alone, or what stands at OID.
type Field struct {
	Value   string
	OID     []byte // a scalar's, or one cell's of a table
	Text    TextForm
	Extract *Extract
}

// Agent is how an agent of the kind is to be treated. Zero values leave it to what
// is learned.
type Agent struct {
	NoBulk         bool
	MaxRepetitions int
	MaxColumns     int
	AllowUnordered bool   // identifiers that do not increase are no error, until one repeats
	UptimeSource   string // "sysUpTime", "snmpEngineTime" or "hrSystemUptime"; empty: as learned
}

// Metric is one MIB object: a scalar, or a column of a table.
type Metric struct {
	Name string
	OID  []byte // of a scalar with its .0, of a column without an index
	Unit string
	Kind collectors.Kind // 0: as the device sends it: Counter32 and 64 a counter, what else is a number a gauge
	Form Form
	// FormLabel is the label that Info, StateSet and Bits put the text into; empty:
	// the metric's name. A label of that name that the row has already stays.
	FormLabel string
	Convert   Convert
	Interval  time.Duration // 0: in each poll; else seldomer
	// Labels of this metric alone, beside its table's.
	Labels []Label
	// InsteadOf is the metric of the same table or among the scalars whose place
	// this one takes where that one is missing. With Pinned, which of them a row has
	// is found out once and stays so until the device restarts (counters of 32 and
	// 64 bits must not be mixed). It may be the metric's own name where one before
	// it has that, too: two places for one series.
	InsteadOf string
	Pinned    bool
}

// Form is what becomes of a value.
type Form uint8

// The forms. All but Plain are snmp_exporter's.
const (
	Plain    Form = iota // a reading
	Info                 // the reading is 1, the text (or the enumeration's word) is the label of the metric's name
	StateSet             // a series for each word of the enumeration, 1 for the one that holds and else 0
	Bits                 // a series for each named bit, 1 or 0
)

// Convert is how a value on the wire becomes a reading. The steps are taken in the
// order of the fields.
type Convert struct {
	Invalid  []int64          // values that stand for "unknown": there is no reading
	Unsigned bool             // a negative INTEGER is short of 2^32 (hrStorage on Windows)
	Text     TextForm         // how octets are read
	TypeOf   []byte           // of InetAddress and LLDPPort: the column, at the row's own index, that tells the type
	Layout   string           // of Date: text in this layout of package time, in UTC, in place of DateAndTime
	Extract  *Extract         // of text: the part that counts
	Enum     map[int64]string // words for numbers (of Bits: for bit numbers)
	// Words gives numbers for text, where a device says "OK" and a number is wanted.
	Words  map[string]float64
	Sensor *Sensor
	Scale  float64 // 0: 1
	Offset float64 // added after Scale: 1/1.8 and -160/9 make Celsius of Fahrenheit
	// Constant makes each reading 1: the row is there.
	Constant bool
}

// TextForm is how octets become text, or a number. Nothing is guessed.
type TextForm uint8

// The text forms.
const (
	Clean       TextForm = iota // UTF-8, else Latin-1, else hexadecimal; where a number is wanted, decimal digits
	MAC                         // 00:1B:44:11:3A:B7, as snmp_exporter has it
	IP                          // IPv4 or IPv6 by length; IPv6 as snmp_exporter has it: 2001:0DB8:0000:... in full
	Hex                         // 0x0A0B
	Date                        // DateAndTime (RFC 2579): seconds since 1970 where a number is wanted, else RFC 3339
	BitNames                    // BITS: the names of Convert.Enum whose bits are set, with commas between
	HexLE                       // octets as one number, the least significant first
	HexBE                       // the most significant first
	InetAddress                 // by what TypeOf holds (RFC 4001): 1 is IPv4, 2 IPv6, all else Hex
	LLDPPort                    // by what TypeOf holds (LldpPortIdSubtype): 3 is MAC, 1, 2, 5 and 7 are Clean, all else Hex
	NTP                         // eight octets of an NTP timestamp: seconds since 1970
)

// Extract takes a part of text: the first match of Pattern, put together as Template
// says ($1, $2...). Text that does not match gives nothing.
type Extract struct {
	Pattern  *regexp.Regexp
	Template string
	Next     *Extract // tried where Pattern does not match or, where a number is wanted, gives none; mostly nil
}

// Sensor scales readings as ENTITY-SENSOR-MIB and CISCO-ENTITY-SENSOR-MIB have it:
// by 10^(exponent of the row's scale - its precision), in the unit of the row's
// type. Each is the identifier of a column of the same table; an empty one counts as
// "units", 0 and no unit. A row whose sensor type is a truth value or "other" is not
// scaled. Status, where given, is the column that is 1 where the reading is good.
//
// Types, where there are any, are those of another MIB, which Type then holds: their
// units, and factors in place of Scale and Precision. Names are for a MIB that has no
// types at all, only names: Type then holds the name, and the first that matches it
// counts. What is neither among Types nor Names has no unit and is not scaled.
type Sensor struct {
	Type, Scale, Precision, Status []byte
	Types                          map[int64]SensorType
	Names                          []SensorName
}

// SensorType is what a type of sensor counts in.
type SensorType struct {
	Unit   string
	Scale  float64 // 0: 1
	Offset float64 // added after Scale
}

// SensorName is what sensors of a name count in.
type SensorName struct {
	Pattern *regexp.Regexp
	SensorType
}

// Table is a table, or several that share their index.
type Table struct {
	Name    string
	Columns []Metric
	Index   []Index // what the index is made of, in order; empty: one label "index" with all of it
	Labels  []Label
	// Interval of all columns that have none.
	Interval time.Duration
}

// Index is one part of a row's index.
type Index struct {
	Label string // empty: no label
	Type  IndexType
	Size  int              // arcs of one with a fixed size; 0: of variable size, its length before it
	Bare  bool             // the last part, of variable size, without its length (IMPLIED)
	Enum  map[int64]string // words for numbers
}

// IndexType is how a part of an index reads (RFC 2578, 7.7).
type IndexType uint8

// The index types.
const (
	IndexInteger        IndexType = iota // one arc
	IndexText                            // an arc for each octet
	IndexMAC                             // six arcs
	IndexIP4                             // four arcs
	IndexIP6                             // sixteen arcs
	IndexInetAddr                        // type, length, octets: InetAddressType and InetAddress
	IndexOID                             // arcs
	IndexHex                             // octets, as 0x...
	IndexInetAddrNoType                  // length and octets, the type told by the length
	IndexInetAddrNoSize                  // type and octets: snmp_exporter's InetAddressMissingSize
)

// Label says where a label of a row's series comes from: the first of From that
// gives text.
type Label struct {
	Name string
	From []Source
	// Unless leaves the label out where the row has a label of this name that is not
	// empty.
	Unless string
	// Hidden labels are for Unless and other lookups only.
	Hidden bool
}

// Source is one place that a label's text may come from. Value alone is fixed. Arc
// (from 1) is one arc of the row's index. OID is a column, found at the row's own
// index, or, in a table with another index, at what Through or Arcs make of it.
type Source struct {
	Value string
	Arc   int
	OID   []byte
	// Arcs are ranges of arcs of the row's index, from 0 and with their ends, that
	// make up the index at OID.
	Arcs [][2]int
	// Parts of Table.Index, from 1, whose arcs make up the index at OID, in this
	// order: for parts of variable size, whose length before them counts as theirs.
	Parts []int
	// Through is a column, found as above, whose value, a number, is the index at
	// OID: a lookup by what another lookup found.
	Through *Source
	Text    TextForm
	TypeOf  []byte // as in Convert
	Extract *Extract
	Enum    map[int64]string
}
