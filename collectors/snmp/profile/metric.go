package profile

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// metricKeys are what an entry of metrics, or one symbol, says of a metric. A symbol
// begins with what its entry says.
type metricKeys struct {
	Metric
	converted  bool // Convert.Text is set
	extract    extractKeys
	typ        string // metric_type
	flag       int    // of a flag_stream: which flag, from 1
	flagSuffix string
	at         yamlfile.Place
}

// metricTypes are Datadog's.
func metricTypes() map[string]string {
	types := map[string]string{}
	for _, t := range []string{"gauge", "rate", "counter", "monotonic_count", "monotonic_count_and_rate", "percent", "flag_stream"} {
		types[t] = t
	}
	return types
}

// common are the keys that both an entry and a symbol may have.
func (r *reader) common(m *metricKeys) keys {
	metricType := values.Word(&r.Report, &m.typ, "metric_type", metricTypes())
	c := &m.Convert
	return keys{
		"MIB":         nil,
		"metric_type": metricType,
		"forced_type": metricType,
		"options":     func(n *node) { r.options(n, m) },
		"interval":    r.SetInterval(&m.Interval),
		"unit":        r.SetText(&m.Unit, "unit"),
		"kind": values.Word(&r.Report, &m.Kind, "kind", map[string]collectors.Kind{
			"counter": collectors.Counter, "gauge": collectors.Gauge, "state": collectors.State, "text": collectors.Text,
		}),
		"form":          values.Word(&r.Report, &m.Form, "form", map[string]Form{"plain": Plain, "info": Info, "state_set": StateSet, "bits": Bits}),
		"scale":         r.SetNumber(&c.Scale, "scale"),
		"scale_factor":  r.SetNumber(&c.Scale, "scale_factor"),
		"offset":        r.SetNumber(&c.Offset, "offset"),
		"invalid":       func(n *node) { c.Invalid = r.integers(n, "invalid") },
		"enum":          r.SetEnum(&c.Enum),
		"mapping":       r.SetEnum(&c.Enum),
		"words":         r.SetWords(&c.Words),
		"convert":       func(n *node) { r.convert(n, m) },
		"format":        func(n *node) { r.convert(n, m) },
		"sensor":        func(n *node) { c.Sensor = r.sensor(n) },
		"instead_of":    r.SetText(&m.InsteadOf, "instead_of"),
		"pinned":        r.SetBool(&m.Pinned, "pinned"),
		"extract_value": m.extract.set(&m.extract.value),
		"match_pattern": m.extract.set(&m.extract.pattern),
		"match_value":   m.extract.set(&m.extract.template),
	}
}

func (r *reader) integers(n *node, what string) (out []int64) {
	r.Items(n, values.MaxList, func(n *node) {
		if i, ok := r.Integer(n, what, math.MinInt64, math.MaxInt64); ok {
			out = append(out, i)
		}
	})
	return out
}

// convert takes one step or a list of them.
func (r *reader) convert(n *node, m *metricKeys) {
	const unsigned = TextForm(math.MaxUint8)
	forms := textForms()
	forms["unsigned32"] = unsigned
	r.Items(n, 4, func(n *node) {
		form := unsigned - 1
		values.Word(&r.Report, &form, "convert", forms)(n)
		switch form {
		case unsigned - 1: // has been said
			return
		case unsigned:
			m.Convert.Unsigned = true
			return
		}
		m.Convert.Text, m.converted = form, true
	})
}

// options are those of a flag_stream.
func (r *reader) options(n *node, m *metricKeys) {
	r.Keys(n, "options", keys{
		"placement":     r.SetInt(&m.flag, "placement", 1, 4096),
		"metric_suffix": r.SetText(&m.flagSuffix, "metric_suffix"),
	})
}

func (r *reader) sensor(n *node) *Sensor {
	s := &Sensor{}
	r.Keys(n, "sensor", keys{
		"type":      r.SetOID(&s.Type),
		"scale":     r.SetOID(&s.Scale),
		"precision": r.SetOID(&s.Precision),
		"status":    r.SetOID(&s.Status),
		"types":     func(n *node) { s.Types = r.sensorTypes(n) },
		"names":     func(n *node) { s.Names = r.sensorNames(n) },
	})
	return s
}

// maxTypes bounds the types of a sensor.
const maxTypes = 256

// sensorTypes takes {NUMBER: {unit: UNIT, scale: FACTOR}}.
func (r *reader) sensorTypes(n *node) map[int64]SensorType {
	out := map[int64]SensorType{}
	if n.Kind != yamlfile.Mapping {
		r.Errorf(n.At, "types must be keys with values, not %s", n.Kind)
		return out
	}
	for _, e := range n.Entries {
		number, err := strconv.ParseInt(e.Key, 10, 64)
		if err != nil || len(out) == maxTypes {
			r.Warnf(e.At, "%q is left out: a type is a whole number, and %d of them are the most", values.Clip(e.Key), maxTypes)
			continue
		}
		var t SensorType
		r.Keys(e.Value, "a type", r.sensorType(&t))
		out[number] = t
	}
	return out
}

func (r *reader) sensorType(t *SensorType) keys {
	return keys{
		"unit":   r.SetText(&t.Unit, "unit"),
		"scale":  r.SetNumber(&t.Scale, "scale"),
		"offset": r.SetNumber(&t.Offset, "offset"),
	}
}

// sensorNames takes [{match: REGEXP, unit: UNIT, scale: FACTOR}].
func (r *reader) sensorNames(n *node) (out []SensorName) {
	r.Items(n, maxTypes, func(n *node) {
		var s SensorName
		known := r.sensorType(&s.SensorType)
		known["match"] = func(n *node) { s.Pattern, _ = r.Regexp(n, "match") }
		if r.Keys(n, "a name", known) && s.Pattern != nil {
			out = append(out, s)
		}
	})
	return out
}

// symbol takes one symbol of an entry.
func (r *reader) symbol(n *node, base metricKeys, isTable bool) (metricKeys, bool) {
	m := base
	m.at = n.At
	if n.Kind == yamlfile.Scalar {
		name, oid, ok := r.bareSymbol(n)
		m.Name, m.OID = name, oid
		if !ok {
			return m, false
		}
		return r.finish(m, isTable)
	}
	known := r.common(&m)
	known["OID"] = r.SetOID(&m.OID)
	known["name"] = r.SetText(&m.Name, "name")
	known["constant_value_one"] = r.SetBool(&m.Convert.Constant, "constant_value_one")
	if !r.Keys(n, "a symbol", known) {
		return m, false
	}
	return r.finish(m, isTable)
}

// finish checks a metric and fills in what follows from what is set.
func (r *reader) finish(m metricKeys, isTable bool) (metricKeys, bool) {
	switch {
	case m.Name == "":
		r.Errorf(m.at, "has no name")
		return m, false
	case m.OID == nil && !(m.Convert.Constant && isTable):
		r.Errorf(m.at, "%s has no OID; a name alone would need its MIB", values.Clip(m.Name))
		return m, false
	case m.Convert.Constant && !isTable:
		r.Errorf(m.at, "constant_value_one counts rows, so it is for tables")
		return m, false
	}
	x, ok := r.extract(m.extract)
	if !ok {
		return m, false
	}
	m.Convert.Extract = x
	if !r.metricType(&m) {
		return m, false
	}
	m.Name = values.MetricName(m.Name)
	m.InsteadOf = values.MetricName(m.InsteadOf)
	if m.Pinned && m.InsteadOf == "" {
		r.Warnf(m.at, "pinned has no meaning without instead_of")
		m.Pinned = false
	}
	if m.Kind == 0 {
		m.Kind = impliedKind(&m)
	}
	if s := m.Convert.Scale; m.Kind == collectors.Counter && (s != 0 && (s != math.Trunc(s) || s < 0) || m.Convert.Offset != 0) {
		r.Warnf(m.at, "%s is a counter, which is an exact total, so it is neither scaled by parts nor moved; kind: gauge if it is none", m.Name)
		m.Convert.Scale, m.Convert.Offset = 0, 0
	}
	return m, true
}

// impliedKind is the kind that follows from how values are converted.
func impliedKind(m *metricKeys) collectors.Kind {
	c := &m.Convert
	switch {
	case m.Form != Plain, c.Words != nil, c.Sensor != nil, c.Constant:
		return collectors.Gauge
	case m.converted && c.Text != Date && c.Text != HexLE && c.Text != HexBE:
		return collectors.Text
	case m.converted:
		return collectors.Gauge
	case c.Enum != nil:
		return collectors.State
	case c.Extract != nil:
		return collectors.Gauge
	}
	return 0
}

// metricType turns Datadog's types into kinds. Its rates are made of counters, which
// travel as they are.
func (r *reader) metricType(m *metricKeys) bool {
	kind := collectors.Counter
	switch m.typ {
	case "":
		return true
	case "gauge":
		kind = collectors.Gauge
	case "percent":
		r.Warnf(m.at, "%s is kept as the counter that it is; a percentage is its rate times 100", values.Clip(m.Name))
	case "flag_stream":
		if m.flag == 0 || m.flagSuffix == "" {
			r.Errorf(m.at, "a flag_stream needs options: {placement: N, metric_suffix: NAME}")
			return false
		}
		kind = collectors.Gauge
		m.Name += "_" + m.flagSuffix
		m.Convert.Extract = &Extract{Pattern: regexp.MustCompile(flagPattern(m.flag)), Template: "${1}"}
	}
	if m.Kind == 0 {
		m.Kind = kind
	}
	return true
}

// flagPattern finds the n-th flag, from 1, of a text of zeros and ones. A repeat
// count of RE2 ends at 1000.
func flagPattern(n int) string {
	const most = 1000
	p := "^"
	for n--; n > most; n -= most {
		p += fmt.Sprintf("[01]{%d}", most)
	}
	return p + fmt.Sprintf("[01]{%d}([01])", n)
}
