package trap

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/receive"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// severe are the standard traps that somebody should look at.
var severe = map[string]collectors.Severity{
	"linkDown": collectors.Warning, "coldStart": collectors.Warning, "warmStart": collectors.Warning, "authenticationFailure": collectors.Warning,
	"egpNeighborLoss": collectors.Warning, "bgpBackwardTransition": collectors.Warning, "upsTrapOnBattery": collectors.Warning,
	"upsTrapAlarmEntryAdded": collectors.Warning, "risingAlarm": collectors.Warning,
}

// maxLabelled is how many variables become labels of the event, besides its text.
const maxLabelled = 6

// describe makes a note of a notification. A hint is one that anyone on the LAN could
// have sent.
func describe(n *notification, names Names, from netip.Addr, hint bool) receive.Note {
	name := nameOf(names, n.oid)
	note := receive.Note{From: from, Kind: "trap", Severity: severe[name], Key: key(n)}
	note.Labels = []collectors.Label{{Name: "trap", Value: name}, {Name: "version", Value: versionName(n.version)}}
	if hint {
		note.Labels = append(note.Labels, collectors.Label{Name: "hint", Value: "true"})
	}
	if n.agent.IsValid() && n.agent != from && !n.agent.IsUnspecified() {
		note.Labels = append(note.Labels, collectors.Label{Name: "agent", Value: n.agent.String()}) // as it says
	}
	fixed := len(note.Labels)
	var text strings.Builder
	text.WriteString(name)
	for i := range n.vars {
		v := &n.vars[i]
		o, index, ok := names.Object(v.OID)
		if !ok {
			o.Name, index = string(pdu.AppendDotted(nil, v.OID)), ""
		}
		value := valueOf(v, &o, names)
		if text.Len() < 2*collectors.MaxText { // the rest is cut anyway
			text.WriteByte(' ')
			text.WriteString(o.Name)
			if index != "" && index != "0" {
				text.WriteString("." + index)
			}
			text.WriteByte('=')
			text.WriteString(value)
		}
		if len(note.Labels) < fixed+maxLabelled && ok && free(note.Labels, o.Name) {
			note.Labels = append(note.Labels, collectors.Label{Name: o.Name, Value: value})
		}
		if v.Tag == pdu.TagIPAddress && note.Culprit == "" {
			note.Culprit = value
		}
	}
	if n.more > 0 {
		text.WriteString(" and " + strconv.Itoa(n.more) + " more")
	}
	note.Text = collectors.Clip(text.String(), collectors.MaxText)
	if name == "authenticationFailure" {
		note.Alarm = receive.AuthenticationFailures
		note.Labels = append(note.Labels, collectors.Label{Name: "security", Value: "true"})
	}
	return note
}

// free tells whether no label has the name, the probe's own included.
func free(labels []collectors.Label, name string) bool {
	switch name {
	case "device", "source", "security", "count", "first_ms":
		return false
	}
	for _, l := range labels {
		if l.Name == name {
			return false
		}
	}
	return true
}

func versionName(version int64) string {
	switch version {
	case version1:
		return "1"
	case version2c:
		return "2c"
	}
	return "3"
}

// nameOf is what a MIB calls an identifier, with what comes after, or its numbers.
func nameOf(names Names, oid []byte) string {
	o, index, ok := names.Object(oid)
	switch {
	case !ok:
		return collectors.Clip(string(pdu.AppendDotted(nil, oid)), collectors.MaxText)
	case index == "":
		return o.Name
	}
	return collectors.Clip(o.Name+"."+index, collectors.MaxText)
}

// valueOf writes a variable's value for people.
func valueOf(v *pdu.Varbind, o *Object, names Names) string {
	switch v.Tag {
	case pdu.TagInteger:
		n := int64(v.Num)
		if name, ok := o.Enum[n]; ok {
			return name
		}
		return strconv.FormatInt(n, 10)
	case pdu.TagCounter32, pdu.TagGauge32, pdu.TagTimeTicks, pdu.TagUinteger32, pdu.TagCounter64:
		return strconv.FormatUint(v.Num, 10)
	case pdu.TagOID:
		return nameOf(names, v.Bytes)
	case pdu.TagIPAddress:
		return netip.AddrFrom4([4]byte(v.Bytes)).String()
	case pdu.TagOctets, pdu.TagOpaque:
		return pdu.CleanText(v.Bytes)
	}
	return "-"
}

// key holds all that a notification says but for when.
func key(n *notification) string {
	b := append([]byte{byte(n.version), 0}, n.oid...)
	for i := range n.vars {
		v := &n.vars[i]
		b = append(append(append(b, 0, v.Tag), v.OID...), 0)
		b = strconv.AppendUint(b, v.Num, 36)
		b = append(append(b, 0), v.Bytes...)
	}
	return string(b)
}
