package exporter

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

type (
	node = yamlfile.Node
	keys = values.Keys
)

// read reads a module.
func (r *reader) read(n *node) {
	r.tables = map[string]int{}
	var metrics *node
	a := &r.profile.Agent
	left := func(n *node) { r.Warnf(n.At, "is left out: that is the site file's to say") }
	r.Keys(n, "a module", keys{
		"walk":                       func(n *node) { r.oids(n, &r.walk) },
		"get":                        func(n *node) { r.oids(n, &r.get) },
		"metrics":                    func(n *node) { metrics = n },
		"max_repetitions":            r.SetInt(&a.MaxRepetitions, "max_repetitions", 0, 127),
		"allow_nonincreasing_oids":   r.SetBool(&a.AllowUnordered, "allow_nonincreasing_oids"),
		"filters":                    func(n *node) { r.Warnf(n.At, "filters are not applied: all rows are read") },
		"retries":                    left,
		"timeout":                    left,
		"use_unconnected_udp_socket": nil, // learned
		"version":                    nil, // these two: credentials, before version 0.23
		"auth":                       nil,
	})
	if metrics == nil {
		r.Errorf(n.At, "the module has no metrics")
		return
	}
	r.Items(metrics, maxMetrics, r.metric)
}

func (r *reader) oids(n *node, to *[][]byte) {
	r.Items(n, maxMetrics, func(n *node) {
		if oid, ok := r.OID(n); ok {
			*to = append(*to, oid)
		}
	})
}

// metricKeys are what a metric says.
type metricKeys struct {
	name, typ     string
	oid           []byte
	indexes       *node
	lookups       *node
	extracts      *node
	enum          map[int64]string
	scale, offset float64
	layout        string
	at            yamlfile.Place
}

// metric reads one metric.
func (r *reader) metric(n *node) {
	m := metricKeys{at: n.At}
	ok := r.Keys(n, "a metric", keys{
		"name":             r.SetText(&m.name, "name"),
		"oid":              r.SetOID(&m.oid),
		"type":             r.SetText(&m.typ, "type"),
		"help":             nil,
		"indexes":          func(n *node) { m.indexes = n },
		"lookups":          func(n *node) { m.lookups = n },
		"regex_extracts":   func(n *node) { m.extracts = n },
		"enum_values":      r.SetEnum(&m.enum),
		"scale":            r.SetNumber(&m.scale, "scale"),
		"offset":           r.SetNumber(&m.offset, "offset"),
		"datetime_pattern": func(n *node) { m.layout = r.layout(n) },
		"display_hint":     func(n *node) { r.Warnf(n.At, "display_hint is left out: octets read as their type says") },
	})
	switch {
	case !ok:
		return
	case m.name == "" || m.oid == nil || m.typ == "":
		r.Errorf(n.At, "a metric needs name, oid and type")
		return
	case values.MetricName(m.name) != m.name:
		r.Errorf(n.At, "%q is no name of a metric", values.Clip(m.name))
		return
	case !r.asked(&m):
		return
	}
	rows, ok := r.rows(&m)
	if !ok {
		return
	}
	for _, metric := range r.metrics(&m, rows) {
		r.add(metric, rows)
	}
}

// asked tells whether walk or get ask for anything of a metric: if not, there is no
// series of it.
func (r *reader) asked(m *metricKeys) bool {
	for _, w := range r.walk {
		if _, below := pdu.Below(m.oid, w); below || bytes.Equal(m.oid, w) {
			return true
		}
		if _, above := pdu.Below(w, m.oid); above {
			r.Warnf(m.at, "only a part of %s is asked for; all of it is read", m.name)
			return true
		}
	}
	for _, g := range r.get {
		if index, below := pdu.Below(g, m.oid); below {
			if m.indexes != nil {
				r.Warnf(m.at, "only single rows of %s are asked for; all of them are read", m.name)
			} else {
				m.oid = append(m.oid[:len(m.oid):len(m.oid)], index...)
			}
			return true
		}
		if bytes.Equal(m.oid, g) {
			return true
		}
	}
	r.Warnf(m.at, "neither walk nor get asks for %s", m.name)
	return false
}

// add puts a metric into its table, or among the scalars.
func (r *reader) add(m profile.Metric, rows rows) {
	p := r.profile
	if rows.index == nil {
		m.Labels = rows.labels
		p.Scalars = append(p.Scalars, m)
		return
	}
	entry := parent(m.OID)
	key := string(entry) + "\x00" + rows.key
	i, ok := r.tables[key]
	if !ok {
		i = len(p.Tables)
		r.tables[key] = i
		p.Tables = append(p.Tables, profile.Table{Name: m.Name, Index: rows.index, Labels: rows.labels})
	}
	p.Tables[i].Columns = append(p.Tables[i].Columns, m)
}

// parent is an identifier without its last arc.
func parent(oid []byte) []byte {
	end := len(oid) - 1
	for end > 0 && oid[end-1] >= 0x80 {
		end--
	}
	return oid[:max(end, 0)]
}

// before is the column before another one, which tells the type of what that holds.
func before(oid []byte) []byte {
	last := oid[len(parent(oid)):]
	n, _ := pdu.ReadArc(last)
	if n == 0 {
		return nil
	}
	out, _ := pdu.AppendOID(nil, fmt.Sprintf("%s.%d", pdu.AppendDotted(nil, parent(oid)), n-1))
	return out
}

// texts are the types that snmp_exporter shows as a label, and how they read.
func texts() map[string]profile.TextForm {
	return map[string]profile.TextForm{
		"OctetString": profile.Hex, "DisplayString": profile.Clean, "PhysAddress48": profile.MAC,
		"InetAddressIPv4": profile.IP, "InetAddressIPv6": profile.IP, "IpAddr": profile.IP,
		"InetAddress": profile.InetAddress, "InetAddressMissingSize": profile.InetAddress, "LldpPortId": profile.LLDPPort,
	}
}

// metrics makes the metrics that one of the module becomes.
func (r *reader) metrics(m *metricKeys, rows rows) []profile.Metric {
	out := profile.Metric{Name: m.name, OID: m.oid, Kind: collectors.Gauge}
	if rows.index == nil && r.scalar(m.oid) {
		out.OID = append(m.oid[:len(m.oid):len(m.oid)], 0)
	}
	c := &out.Convert
	c.Scale, c.Offset = m.scale, m.offset
	text, isText := texts()[m.typ]
	switch m.typ {
	case "gauge", "Float", "Double", "Integer", "Integer32":
	case "counter":
		if m.scale == 0 && m.offset == 0 {
			out.Kind = collectors.Counter
		}
	case "DateAndTime":
		c.Text = profile.Date
	case "ParseDateAndTime":
		c.Text, c.Layout = profile.Date, m.layout
		if m.layout == "" {
			r.Errorf(m.at, "%s has no datetime_pattern that can be read", m.name)
			return nil
		}
	case "NTPTimeStamp":
		c.Text = profile.NTP
	case "EnumAsInfo":
		out.Name, out.FormLabel, out.Form = m.name+"_info", m.name, profile.Info
		c.Enum, c.Scale, c.Offset = m.enum, 0, 0
	case "EnumAsStateSet":
		out.Form = profile.StateSet
		c.Enum, c.Scale, c.Offset = m.enum, 0, 0
	case "Bits":
		out.Form = profile.Bits
		c.Enum, c.Scale, c.Offset = m.enum, 0, 0
	default:
		if !isText {
			r.Warnf(m.at, "%s is left out: its type %q is not supported", m.name, values.Clip(m.typ))
			return nil
		}
		c.Text = text
		if text == profile.InetAddress || text == profile.LLDPPort {
			c.TypeOf = before(m.oid)
		}
		c.Scale, c.Offset = 0, 0
		if m.extracts != nil {
			return r.extracts(m, out)
		}
		out.Form = profile.Info
		if rows.has(m.name) { // its text is a label already
			c.Text, c.TypeOf, c.Constant, out.Form = profile.Clean, nil, true, profile.Plain
		}
	}
	return []profile.Metric{out}
}

// scalar tells whether an identifier lacks the .0 of a scalar.
func (r *reader) scalar(oid []byte) bool {
	for _, g := range r.get {
		if bytes.Equal(g, oid) {
			return false
		}
	}
	return true
}

// extracts makes a metric of each of regex_extracts: the first of its expressions
// that gives a number counts. The text itself is then no metric.
func (r *reader) extracts(m *metricKeys, base profile.Metric) (out []profile.Metric) {
	known := m.extracts.Kind == yamlfile.Mapping
	if !known {
		r.Errorf(m.extracts.At, "regex_extracts must be suffixes with lists, not %s", m.extracts.Kind)
	}
	for _, e := range m.extracts.Entries {
		var first *profile.Extract
		next := &first
		before := r.Errors
		r.Items(e.Value, 64, func(n *node) {
			if x, ok := r.extract(n); ok {
				*next = x
				next = &x.Next
			}
		})
		if first == nil || r.Errors > before {
			continue
		}
		metric := base
		metric.Name = values.MetricName(m.name + e.Key)
		metric.Convert.Extract = first
		out = append(out, metric)
	}
	return out
}

func (r *reader) extract(n *node) (*profile.Extract, bool) {
	var expression, value *node
	if !r.Keys(n, "an extract", keys{"regex": func(n *node) { expression = n }, "value": func(n *node) { value = n }}) {
		return nil, false
	}
	if expression == nil {
		r.Errorf(n.At, "has no regex")
		return nil, false
	}
	re, ok := r.Regexp(expression, "regex")
	if !ok {
		return nil, false
	}
	whole, err := regexp.Compile("^(?:" + re.String() + ")$")
	if err != nil {
		r.Errorf(expression.At, "regex cannot be anchored")
		return nil, false
	}
	x := &profile.Extract{Pattern: whole, Template: "$1"}
	if value != nil {
		x.Template, ok = r.Text(value, "value")
	}
	return x, ok
}

// layout turns a pattern of strftime into one of package time.
func (r *reader) layout(n *node) string {
	s, ok := r.Text(n, "datetime_pattern")
	if !ok {
		return ""
	}
	parts := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
		'b': "Jan", 'h': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'z': "-0700", 'Z': "MST", 'j': "002",
		'D': "01/02/06", 'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'f': "000000", '%': "%", 'n': "\n", 't': "\t",
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		part := ""
		if i < len(s) {
			part = parts[s[i]]
		}
		if part == "" {
			r.Warnf(n.At, "datetime_pattern has what is not supported: %q", values.Clip(s[i-1:min(i+1, len(s))]))
			return ""
		}
		b.WriteString(part)
	}
	return b.String()
}
