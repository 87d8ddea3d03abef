package profile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
)

func (f TextForm) String() string {
	return nth(int(f), "text", "mac", "ip", "hex", "date", "bits", "hexle", "hexbe", "inet-address", "lldp-port", "ntp")
}

func (f Form) String() string { return nth(int(f), "plain", "info", "state_set", "bits") }

func (t IndexType) String() string {
	return nth(int(t), "integer", "text", "mac", "ip", "ip6", "inet", "oid", "hex", "inet_without_type", "inet_without_size")
}

func nth(i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return strconv.Itoa(i)
}

// Dump writes what the profile asks for and what becomes of it: a line for each
// thing, with what is not as usual.
func (p *Profile) Dump() string {
	var b strings.Builder
	d := dump{&b}
	d.some("", "matches", list("sysobjectid", p.Match.ObjectIDs), text("sysdescr", p.descr()), oidOf("answers", p.Match.Answers))
	a := p.Agent
	d.some("", "agent", onlyIf("no-bulk", a.NoBulk), number("max-repetitions", a.MaxRepetitions), number("max-columns", a.MaxColumns),
		onlyIf("allow-unordered", a.AllowUnordered), text("uptime", a.UptimeSource))
	if p.Device.Class != "" {
		d.line("", "class", p.Device.Class)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Device.Fields)) {
		for _, f := range p.Device.Fields[name] {
			d.line("", "field "+name, text("value", f.Value), dotted(f.OID), form(f.Text), f.Extract.dump())
		}
	}
	d.labels("", p.Labels)
	for i := range p.Scalars {
		d.metric("", "scalar ", &p.Scalars[i])
	}
	for i := range p.Tables {
		t := &p.Tables[i]
		every := ""
		if t.Interval > 0 {
			every = "every=" + t.Interval.String()
		}
		d.line("", "table "+t.Name, every)
		for _, x := range t.Index {
			name := x.Label
			if name == "" {
				name = "(no label)"
			}
			d.line("  ", "index "+name, x.Type.String(), number("size", x.Size), onlyIf("bare", x.Bare), enum(x.Enum))
		}
		d.labels("  ", t.Labels)
		for i := range t.Columns {
			d.metric("  ", "column ", &t.Columns[i])
		}
	}
	return b.String()
}

type dump struct{ *strings.Builder }

// line writes what is not empty.
func (d dump) line(indent string, parts ...string) {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	d.WriteString(indent + strings.Join(parts, " ") + "\n")
}

// some writes a line where there is more of it than what it begins with.
func (d dump) some(indent, what string, parts ...string) {
	if strings.Join(parts, "") != "" {
		d.line(indent, append([]string{what}, parts...)...)
	}
}

func (d dump) metric(indent, what string, m *Metric) {
	c := &m.Convert
	kind := "kind=as-sent"
	if m.Kind != 0 {
		kind = "kind=" + m.Kind.String()
	}
	every, formed, words := "", "", ""
	if m.Interval > 0 {
		every = "every=" + m.Interval.String()
	}
	if m.Form != Plain {
		formed = "form=" + m.Form.String()
	}
	if c.Words != nil {
		words = strings.Replace(fmt.Sprintf("words=%v", c.Words), "map", "", 1)
	}
	sensor := ""
	if s := c.Sensor; s != nil {
		sensor = "sensor=(" + strings.Join([]string{dotted(s.Type), dotted(s.Scale), dotted(s.Precision), dotted(s.Status)}, " ") + ")"
		for _, n := range slices.Sorted(maps.Keys(s.Types)) {
			sensor += fmt.Sprintf(" %d=(%s)", n, s.Types[n].dump())
		}
		for _, n := range s.Names {
			sensor += fmt.Sprintf(" %q=(%s)", values.Clip(n.Pattern.String()), n.dump())
		}
	}
	d.line(indent, what+m.Name, dotted(m.OID), kind, text("unit", m.Unit), every,
		ints("invalid", c.Invalid), onlyIf("unsigned", c.Unsigned), form(c.Text), oidOf("type-of", c.TypeOf), text("layout", c.Layout),
		c.Extract.dump(), enum(c.Enum), words, sensor, float("scale", c.Scale), float("offset", c.Offset), onlyIf("constant", c.Constant),
		formed, text("form-label", m.FormLabel), text("instead-of", m.InsteadOf), onlyIf("pinned", m.Pinned))
	d.labels(indent+"  ", m.Labels)
}

func (t SensorType) dump() string {
	parts := []string{text("unit", t.Unit), float("scale", t.Scale), float("offset", t.Offset)}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

func (d dump) labels(indent string, labels []Label) {
	for _, l := range labels {
		parts := []string{"label " + l.Name, text("unless", l.Unless), onlyIf("hidden", l.Hidden)}
		for i := range l.From {
			parts = append(parts, "<- "+l.From[i].dump())
		}
		d.line(indent, parts...)
	}
}

func (s *Source) dump() string {
	through := ""
	if s.Through != nil {
		through = "through=(" + s.Through.dump() + ")"
	}
	arcs := ""
	for _, a := range s.Arcs {
		arcs += fmt.Sprintf(",%d-%d", a[0], a[1])
	}
	if arcs != "" {
		arcs = "arcs=" + arcs[1:]
	}
	parts := []string{text("value", s.Value), number("arc", s.Arc), dotted(s.OID), arcs, ints("parts", s.Parts), through,
		form(s.Text), oidOf("type-of", s.TypeOf), s.Extract.dump(), enum(s.Enum)}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

func (x *Extract) dump() string {
	out := ""
	for ; x != nil; x = x.Next {
		if out += "|"; out == "|" {
			out = "extract="
		}
		out += fmt.Sprintf("%q->%q", values.Clip(x.Pattern.String()), x.Template)
	}
	return out
}

func dotted(oid []byte) string { return string(pdu.AppendDotted(nil, oid)) }

func oidOf(name string, oid []byte) string {
	if oid == nil {
		return ""
	}
	return name + "=" + dotted(oid)
}

func form(f TextForm) string {
	if f == Clean {
		return ""
	}
	return "as=" + f.String()
}

func text(name, s string) string {
	if s == "" {
		return ""
	}
	return name + "=" + strconv.Quote(s)
}

func list(name string, s []string) string {
	if s == nil {
		return ""
	}
	return name + "=" + strings.Join(s, ",")
}

func onlyIf(name string, set bool) string {
	if !set {
		return ""
	}
	return name
}

func number(name string, i int) string {
	if i == 0 {
		return ""
	}
	return name + "=" + strconv.Itoa(i)
}

func float(name string, f float64) string {
	if f == 0 {
		return ""
	}
	return name + "=" + strconv.FormatFloat(f, 'g', -1, 64)
}

func ints[T int | int64](name string, s []T) string {
	if s == nil {
		return ""
	}
	return strings.ReplaceAll(fmt.Sprint(name, "=", s), " ", ",")
}

func enum(words map[int64]string) string {
	if words == nil {
		return ""
	}
	return strings.Replace(fmt.Sprintf("enum=%v", words), "map", "", 1)
}
