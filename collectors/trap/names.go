package trap

import (
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Object is what a MIB says of an identifier.
type Object struct {
	Name string           // such as ifOperStatus
	Enum map[int64]string // names of its values, where they have some
}

// Names finds what identifiers are called.
type Names interface {
	// Object returns the object that oid (as it is encoded, see package pdu) is or
	// stands behind, and what of oid comes after it, with dots: the index.
	Object(oid []byte) (o Object, index string, ok bool)
}

// Words are names that others have, such as a profile.Names.
type Words interface {
	// Append appends an identifier as ifName.3, or with a dot before it as numbers.
	Append(dst, oid []byte) []byte
}

// NamesWith knows the standard names and then those of others.
func NamesWith(w Words) Names { return both{StandardNames(), w} }

type both struct {
	standard Names
	words    Words
}

// Object asks both.
func (n both) Object(oid []byte) (o Object, index string, ok bool) {
	if o, index, ok = n.standard.Object(oid); ok {
		return o, index, ok
	}
	name, index, _ := strings.Cut(string(n.words.Append(nil, oid)), ".")
	switch name {
	case "", "iso", "internet", "mib-2", "enterprises": // a name of half the world is none
		return o, "", false
	}
	return Object{Name: name}, index, true
}

// standard is a table by the encoded identifier.
type standard map[string]Object

// StandardNames knows the traps of SNMPv2-MIB and IF-MIB and of a few others that
// every site meets, and the objects that they carry.
func StandardNames() Names {
	t := standard{}
	for oid, name := range map[string]string{
		"1.3.6.1.6.3.1.1.5.1": "coldStart", "1.3.6.1.6.3.1.1.5.2": "warmStart", "1.3.6.1.6.3.1.1.5.3": "linkDown",
		"1.3.6.1.6.3.1.1.5.4": "linkUp", "1.3.6.1.6.3.1.1.5.5": "authenticationFailure", "1.3.6.1.6.3.1.1.5.6": "egpNeighborLoss",
		"1.3.6.1.2.1.17.0.1": "newRoot", "1.3.6.1.2.1.17.0.2": "topologyChange",
		"1.3.6.1.2.1.47.2.0.1": "entConfigChange", "1.3.6.1.2.1.33.2.1": "upsTrapOnBattery", "1.3.6.1.2.1.33.2.2": "upsTrapTestCompleted",
		"1.3.6.1.2.1.33.2.3": "upsTrapAlarmEntryAdded", "1.3.6.1.2.1.33.2.4": "upsTrapAlarmEntryRemoved",
		"1.3.6.1.2.1.16.0.1": "risingAlarm", "1.3.6.1.2.1.16.0.2": "fallingAlarm", "1.3.6.1.2.1.43.18.2.0.1": "printerV2Alert",
		"1.0.8802.1.1.2.0.0.1": "lldpRemTablesChange", "1.3.6.1.2.1.15.7.1": "bgpEstablished", "1.3.6.1.2.1.15.7.2": "bgpBackwardTransition",
		"1.3.6.1.4.1.8072.4.0.2": "nsNotifyShutdown", "1.3.6.1.4.1.8072.4.0.3": "nsNotifyRestart", "1.3.6.1.4.1.8072.4.0.1": "nsNotifyStart",

		"1.3.6.1.2.1.1.1": "sysDescr", "1.3.6.1.2.1.1.2": "sysObjectID", "1.3.6.1.2.1.1.4": "sysContact", "1.3.6.1.2.1.1.5": "sysName", "1.3.6.1.2.1.1.6": "sysLocation",
		"1.3.6.1.2.1.2.2.1.1": "ifIndex", "1.3.6.1.2.1.2.2.1.2": "ifDescr", "1.3.6.1.2.1.2.2.1.3": "ifType",
		"1.3.6.1.2.1.2.2.1.5": "ifSpeed", "1.3.6.1.2.1.2.2.1.6": "ifPhysAddress", "1.3.6.1.2.1.2.2.1.9": "ifLastChange",
		"1.3.6.1.2.1.31.1.1.1.1": "ifName", "1.3.6.1.2.1.31.1.1.1.15": "ifHighSpeed", "1.3.6.1.2.1.31.1.1.1.18": "ifAlias",
		"1.3.6.1.2.1.17.2.2": "dot1dStpPriority", "1.3.6.1.2.1.47.1.1.1.1.2": "entPhysicalDescr", "1.3.6.1.2.1.47.1.1.1.1.7": "entPhysicalName",
		"1.3.6.1.2.1.47.1.1.1.1.11": "entPhysicalSerialNum", "1.3.6.1.2.1.15.3.1.14": "bgpPeerLastError",
		"1.3.6.1.2.1.33.1.2.3": "upsEstimatedMinutesRemaining", "1.3.6.1.2.1.33.1.2.2": "upsSecondsOnBattery", "1.3.6.1.2.1.33.1.9.7": "upsConfigLowBattTime",
		"1.3.6.1.4.1.9.2.1.5": "authAddr", "1.3.6.1.4.1.9.2.2.1.1.20": "locIfReason", "1.3.6.1.6.3.18.1.3": "snmpTrapAddress",
	} {
		t[string(pdu.MustOID(oid))] = Object{Name: name}
	}
	status := map[int64]string{1: "up", 2: "down", 3: "testing", 4: "unknown", 5: "dormant", 6: "notPresent", 7: "lowerLayerDown"}
	t[string(pdu.MustOID("1.3.6.1.2.1.2.2.1.7"))] = Object{Name: "ifAdminStatus", Enum: status}
	t[string(pdu.MustOID("1.3.6.1.2.1.2.2.1.8"))] = Object{Name: "ifOperStatus", Enum: status}
	t[string(pdu.MustOID("1.3.6.1.2.1.15.3.1.2"))] = Object{Name: "bgpPeerState",
		Enum: map[int64]string{1: "idle", 2: "connect", 3: "active", 4: "opensent", 5: "openconfirm", 6: "established"}}
	return t
}

// Object finds the longest identifier that oid begins with.
func (t standard) Object(oid []byte) (o Object, index string, ok bool) {
	for n := min(len(oid), longestKnown); n > 0; n-- {
		if o, ok := t[string(oid[:n])]; ok {
			return o, string(pdu.AppendIndex(nil, oid[n:])), true
		}
	}
	return o, "", false
}

// longestKnown bounds how many octets of an identifier are looked up.
const longestKnown = 64
