package profile

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
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
	bad        bool
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
	metricType := word(&r.report, &m.typ, "metric_type", metricTypes())
	c := &m.Convert
	return keys{
		"MIB":         nil,
		"metric_type": metricType,
		"forced_type": metricType,
		"options":     func(n *node) { r.options(n, m) },
		"interval":    r.setInterval(&m.Interval),
		"unit":        r.setText(&m.Unit, "unit"),
		"kind": word(&r.report, &m.Kind, "kind", map[string]collectors.Kind{
			"counter": collectors.Counter, "gauge": collectors.Gauge, "state": collectors.State, "text": collectors.Text,
		}),
		"form":          word(&r.report, &m.Form, "form", map[string]Form{"plain": Plain, "info": Info, "state_set": StateSet, "bits": Bits}),
		"scale":         r.setNumber(&c.Scale, "scale"),
		"scale_factor":  r.setNumber(&c.Scale, "scale_factor"),
		"offset":        r.setNumber(&c.Offset, "offset"),
		"invalid":       func(n *node) { c.Invalid = r.integers(n, "invalid") },
		"enum":          r.setEnum(&c.Enum),
		"mapping":       r.setEnum(&c.Enum),
		"words":         r.setWords(&c.Words),
		"convert":       func(n *node) { r.convert(n, m) },
		"format":        func(n *node) { r.convert(n, m) },
		"sensor":        func(n *node) { c.Sensor = r.sensor(n) },
		"instead_of":    r.setText(&m.InsteadOf, "instead_of"),
		"pinned":        r.setBool(&m.Pinned, "pinned"),
		"extract_value": m.extract.set(&m.extract.value),
		"match_pattern": m.extract.set(&m.extract.pattern),
		"match_value":   m.extract.set(&m.extract.template),
	}
}

func (r *reader) integers(n *node, what string) (out []int64) {
	r.items(n, maxList, func(n *node) {
		if i, ok := r.integer(n, what, math.MinInt64, math.MaxInt64); ok {
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
	r.items(n, 4, func(n *node) {
		form := unsigned - 1
		word(&r.report, &form, "convert", forms)(n)
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
	r.keys(n, "options", keys{
		"placement":     r.setInt(&m.flag, "placement", 1, 4096),
		"metric_suffix": r.setText(&m.flagSuffix, "metric_suffix"),
	})
}

func (r *reader) sensor(n *node) *Sensor {
	s := &Sensor{}
	r.keys(n, "sensor", keys{
		"type":      r.setOID(&s.Type),
		"scale":     r.setOID(&s.Scale),
		"precision": r.setOID(&s.Precision),
		"status":    r.setOID(&s.Status),
	})
	return s
}

// entry takes one item of metrics: a scalar, or a table with columns.
func (r *reader) entry(n *node) {
	base := metricKeys{at: n.At}
	var table, symbol, symbols, tags, index *node
	var labels []Label
	var old metricKeys // OID and name in the entry itself
	known := r.common(&base)
	known["OID"] = func(n *node) { old.OID, _ = r.oid(n); old.bad = old.OID == nil }
	known["name"] = r.setText(&old.Name, "name")
	known["table"] = func(n *node) { table = n }
	known["symbol"] = func(n *node) { symbol = n }
	known["symbols"] = func(n *node) { symbols = n }
	known["metric_tags"] = func(n *node) { tags = n }
	known["index"] = func(n *node) { index = n }
	known["static_tags"] = func(n *node) { labels = r.staticTags(n) }
	if !r.keys(n, "an entry of metrics", known) || old.bad {
		return
	}

	isTable := table != nil || symbols != nil
	var metrics []metricKeys
	take := func(n *node) {
		if m, ok := r.symbol(n, base, isTable); ok {
			metrics = append(metrics, m)
		}
	}
	if symbol != nil {
		if symbol.Kind == yamlfile.Scalar && old.OID != nil { // symbol: NAME beside OID
			old.Name, _, _ = r.bareSymbol(symbol)
		} else {
			take(symbol)
		}
	}
	if symbols != nil {
		r.items(symbols, maxMetrics, take)
	}
	if old.OID != nil || old.Name != "" {
		m := base
		m.Name, m.OID = old.Name, old.OID
		if m, ok := r.finish(m, isTable); ok {
			metrics = append(metrics, m)
		}
	}
	switch {
	case isTable && symbol == nil && symbols == nil:
		r.errorf(n.At, "the table has no symbols: nothing of it would be read")
	case symbol == nil && symbols == nil && old.OID == nil && old.Name == "":
		r.errorf(n.At, "an entry of metrics needs a symbol, or a table with symbols")
	case isTable:
		r.table(n, table, metrics, labels, tags, index)
	default:
		r.scalars(metrics, labels, tags, index)
	}
}

func (r *reader) scalars(metrics []metricKeys, labels []Label, tags, index *node) {
	if index != nil {
		r.warnf(index.At, "index has no meaning for a scalar")
	}
	if tags != nil {
		labels = append(labels, r.tags(tags, false)...)
	}
	e := &entry{labels: labels}
	for _, m := range metrics {
		r.part.scalars = append(r.part.scalars, r.column(nil, m, e))
	}
}

func (r *reader) table(n, table *node, metrics []metricKeys, labels []Label, tags, index *node) {
	t := &tablePart{}
	if table != nil {
		if !r.tableName(table, t) {
			return
		}
	}
	e := &entry{bare: tags == nil && len(labels) == 0}
	if tags != nil {
		labels = append(labels, r.tags(tags, true)...)
	}
	if index != nil {
		parts, ok := r.index(index)
		if !ok {
			return
		}
		t.index = parts
	}
	if len(metrics) == 0 {
		return // has been said
	}
	r.constants(metrics, labels)
	if t.oid == nil { // the entry's, or near it
		for _, m := range metrics {
			if m.OID != nil {
				t.oid = parent(m.OID)
				break
			}
		}
	}
	dst := r.part.tableFor(t)
	e.labels = labels
	for _, m := range metrics {
		if m.OID == nil {
			r.errorf(m.at, "%s has no OID, and the entry no column that tells which rows there are", m.Name)
			continue
		}
		dst.columns = append(dst.columns, r.column(dst, m, e))
	}
	switch {
	case dst == t:
	case dst.index == nil:
		dst.index = t.index
	case t.index != nil && !reflect.DeepEqual(dst.index, t.index):
		r.warnf(index.At, "another entry says otherwise what the index of this table is made of; that one counts")
	}
}

// tableName takes {OID, name}, or one of them alone.
func (r *reader) tableName(n *node, t *tablePart) bool {
	if n.Kind == yamlfile.Scalar {
		name, oid, ok := r.bareSymbol(n)
		t.name, t.oid = name, oid
		return ok
	}
	bad := false
	ok := r.keys(n, "table", keys{
		"OID":  func(n *node) { t.oid, _ = r.oid(n); bad = t.oid == nil },
		"name": r.setText(&t.name, "name"),
		"MIB":  nil,
	})
	return ok && !bad
}

// tableFor finds the table that t is a further entry of, or takes t in: the one with
// the same OID, or that has columns below it.
func (p *part) tableFor(t *tablePart) *tablePart {
	for _, have := range p.tables {
		if bytes.Equal(have.oid, t.oid) {
			return have
		}
	}
	for _, have := range p.tables {
		if slices.ContainsFunc(have.columns, func(c column) bool { _, below := pdu.Below(c.OID, t.oid); return below }) {
			return have
		}
	}
	p.tables = append(p.tables, t)
	return t
}

// parent is an identifier without its last arc.
func parent(oid []byte) []byte {
	end := len(oid) - 1
	for end > 0 && oid[end-1] >= 0x80 {
		end--
	}
	return oid[:max(end, 0)]
}

// constants gives metrics without an OID, which count rows, the identifier of a
// column that tells which rows there are: one of the metrics', or one of a label.
func (r *reader) constants(metrics []metricKeys, labels []Label) {
	var oid []byte
	for _, m := range metrics {
		if oid == nil {
			oid = m.OID
		}
	}
	for _, l := range labels {
		for _, s := range l.From {
			if oid == nil && s.Arcs == nil && s.Through == nil {
				oid = s.OID
			}
		}
	}
	for i := range metrics {
		if metrics[i].OID == nil {
			metrics[i].OID = oid
		}
	}
}

// column makes a column of a table, or a scalar, and warns where it is there already.
func (r *reader) column(t *tablePart, m metricKeys, e *entry) column {
	c := column{Metric: m.Metric, entry: e, file: r.file, at: m.at}
	first := r.first[metricIn{t, m.Name}]
	switch {
	case first == nil:
		r.first[metricIn{t, m.Name}] = &c
	case !reflect.DeepEqual(first.entry.labels, e.labels):
	case bytes.Equal(first.OID, m.OID):
		r.warnf(m.at, "%s is there already, in line %d", m.Name, first.at.Line)
	default:
		r.warnf(m.at, "%s has another OID in line %d; where a device has both, they are one series with two values (instead_of chooses)", m.Name, first.at.Line)
	}
	return c
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
	known["OID"] = func(n *node) { m.OID, _ = r.oid(n); m.bad = m.OID == nil }
	known["name"] = r.setText(&m.Name, "name")
	known["constant_value_one"] = r.setBool(&m.Convert.Constant, "constant_value_one")
	if !r.keys(n, "a symbol", known) || m.bad {
		return m, false
	}
	return r.finish(m, isTable)
}

// finish checks a metric and fills in what follows from what is set.
func (r *reader) finish(m metricKeys, isTable bool) (metricKeys, bool) {
	switch {
	case m.Name == "":
		r.errorf(m.at, "has no name")
		return m, false
	case m.OID == nil && !(m.Convert.Constant && isTable):
		r.errorf(m.at, "%s has no OID; a name alone would need its MIB", clip(m.Name))
		return m, false
	case m.Convert.Constant && !isTable:
		r.errorf(m.at, "constant_value_one counts rows, so it is for tables")
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
	m.Name = metricName(m.Name)
	m.InsteadOf = metricName(m.InsteadOf)
	if m.Pinned && m.InsteadOf == "" {
		r.warnf(m.at, "pinned has no meaning without instead_of")
		m.Pinned = false
	}
	if m.Kind == 0 {
		m.Kind = impliedKind(&m)
	}
	if s := m.Convert.Scale; m.Kind == collectors.Counter && (s != 0 && (s != math.Trunc(s) || s < 0) || m.Convert.Offset != 0) {
		r.warnf(m.at, "%s is a counter, which is an exact total, so it is neither scaled by parts nor moved; kind: gauge if it is none", m.Name)
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
		r.warnf(m.at, "%s is kept as the counter that it is; a percentage is its rate times 100", clip(m.Name))
	case "flag_stream":
		if m.flag == 0 || m.flagSuffix == "" {
			r.errorf(m.at, "a flag_stream needs options: {placement: N, metric_suffix: NAME}")
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
