package profile

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// entry takes one item of metrics: a scalar, or a table with columns.
func (r *reader) entry(n *node) {
	base := metricKeys{at: n.At}
	var table, symbol, symbols, tags, index *node
	var labels []Label
	var old metricKeys // OID and name in the entry itself
	known := r.common(&base)
	known["OID"] = r.SetOID(&old.OID)
	known["name"] = r.SetText(&old.Name, "name")
	known["table"] = func(n *node) { table = n }
	known["symbol"] = func(n *node) { symbol = n }
	known["symbols"] = func(n *node) { symbols = n }
	known["metric_tags"] = func(n *node) { tags = n }
	known["index"] = func(n *node) { index = n }
	known["static_tags"] = func(n *node) { labels = r.staticTags(n) }
	if !r.Keys(n, "an entry of metrics", known) {
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
		r.Items(symbols, maxMetrics, take)
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
		r.Errorf(n.At, "the table has no symbols: nothing of it would be read")
	case symbol == nil && symbols == nil && old.OID == nil && old.Name == "":
		r.Errorf(n.At, "an entry of metrics needs a symbol, or a table with symbols")
	case isTable:
		r.table(n, table, metrics, labels, tags, index)
	default:
		r.scalars(metrics, labels, tags, index)
	}
}

func (r *reader) scalars(metrics []metricKeys, labels []Label, tags, index *node) {
	if index != nil {
		r.Warnf(index.At, "index has no meaning for a scalar")
	}
	if tags != nil {
		labels = append(labels, r.tags(tags, false)...)
	}
	e := &entry{labels: labels}
	for _, m := range metrics {
		c := r.column(nil, m, e)
		r.part.scalars = append(r.part.scalars, c)
		if oids := instances(m.OID); len(oids) > 1 && m.InsteadOf == "" {
			c.OID, c.InsteadOf = oids[1], c.Name
			r.part.scalars = append(r.part.scalars, c)
		}
	}
}

// instances are the places where a scalar can be: at its OID, which may be a cell of
// a table, and, where that lacks the .0 that scalars have, below it. Profiles of
// others rely on it that both are tried.
func instances(oid []byte) [][]byte {
	if oid[len(oid)-1] == 0 && len(oid) > 1 && oid[len(oid)-2] < 0x80 {
		return [][]byte{oid}
	}
	return [][]byte{oid, append(slices.Clone(oid), 0)}
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
			r.Errorf(m.at, "%s has no OID, and the entry no column that tells which rows there are", m.Name)
			continue
		}
		dst.columns = append(dst.columns, r.column(dst, m, e))
	}
	switch {
	case dst == t:
	case dst.index == nil:
		dst.index = t.index
	case t.index != nil && !reflect.DeepEqual(dst.index, t.index):
		r.Warnf(index.At, "another entry says otherwise what the index of this table is made of; that one counts")
	}
}

// tableName takes {OID, name}, or one of them alone.
func (r *reader) tableName(n *node, t *tablePart) bool {
	if n.Kind == yamlfile.Scalar {
		name, oid, ok := r.bareSymbol(n)
		t.name, t.oid = name, oid
		return ok
	}
	return r.Keys(n, "table", keys{"OID": r.SetOID(&t.oid), "name": r.SetText(&t.name, "name"), "MIB": nil})
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
	c := column{Metric: m.Metric, entry: e, file: r.File, at: m.at}
	first := r.first[metricIn{t, m.Name}]
	switch {
	case first == nil:
		r.first[metricIn{t, m.Name}] = &c
	case !reflect.DeepEqual(first.entry.labels, e.labels):
	case bytes.Equal(first.OID, m.OID):
		r.Warnf(m.at, "%s is there already, in line %d", m.Name, first.at.Line)
	default:
		r.Warnf(m.at, "%s has another OID in line %d; where a device has both, they are one series with two values (instead_of chooses)", m.Name, first.at.Line)
	}
	return c
}
