package profile

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// merge adds what p says to what those say that it extends: p wins where both name
// the same metric of a table, the same label of the device or the same field. Neither
// is changed.
func merge(base, p *part) *part {
	out := &part{match: p.match, class: base.class, agent: base.agent, fields: map[string][]Field{}, extends: p.extends}
	if p.class != "" {
		out.class = p.class
	}
	maps.Copy(out.fields, base.fields)
	maps.Copy(out.fields, p.fields)
	out.agent.override(p.agent)
	out.labels = mergeLabels(base.labels, p.labels)
	out.scalars = mergeColumns(base.scalars, p.scalars)
	for _, t := range base.tables {
		c := *t
		out.tables = append(out.tables, &c)
	}
	for _, t := range p.tables {
		c := *t
		dst := out.tableFor(&c)
		if dst == &c {
			continue
		}
		dst.columns = mergeColumns(dst.columns, t.columns)
		if t.index != nil {
			dst.index = t.index
		}
	}
	return out
}

// override takes what o sets.
func (a *agent) override(o agent) {
	set(&a.bulk, o.bulk)
	set(&a.allowUnordered, o.allowUnordered)
	set(&a.maxRepetitions, o.maxRepetitions)
	set(&a.maxColumns, o.maxColumns)
	set(&a.uptimeSource, o.uptimeSource)
}

func set[T any](to **T, v *T) {
	if v != nil {
		*to = v
	}
}

func mergeLabels(base, add []Label) []Label {
	return mergeBy(base, add, func(l *Label) string { return l.Name })
}

func mergeColumns(base, add []column) []column {
	return mergeBy(base, add, func(c *column) string { return c.Name })
}

// mergeBy leaves those of base out whose name add has, too.
func mergeBy[T any](base, add []T, name func(*T) string) (out []T) {
	named := make(map[string]bool, len(add))
	for i := range add {
		named[name(&add[i])] = true
	}
	for i := range base {
		if !named[name(&base[i])] {
			out = append(out, base[i])
		}
	}
	return append(out, add...)
}

// count is the number of metrics.
func (p *part) count() int {
	n := len(p.scalars)
	for _, t := range p.tables {
		n += len(t.columns)
	}
	return n
}

// profile makes a Profile of a part that is whole. What it reports is about the
// whole: names that nothing has, and too many labels.
func (p *part) profile(name, origin string, warn func(file string, at yamlfile.Place, message string)) *Profile {
	out := &Profile{Name: name, Origin: origin, Match: p.match, Labels: p.labels}
	out.Device = Device{Class: p.class, Fields: deviceOf(p.fields)}
	a := p.agent
	out.Agent = Agent{
		NoBulk:         a.bulk != nil && !*a.bulk,
		MaxRepetitions: value(a.maxRepetitions),
		MaxColumns:     value(a.maxColumns),
		AllowUnordered: value(a.allowUnordered),
		UptimeSource:   value(a.uptimeSource),
	}
	out.Scalars = chosen(p.scalars, warn)
	for i := range out.Scalars {
		out.Scalars[i].Labels = p.scalars[i].entry.labels
	}
	for _, t := range p.tables {
		if len(t.columns) > 0 {
			out.Tables = append(out.Tables, t.table(len(p.labels), warn))
		}
	}
	return out
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// deviceOf adds to the fields that an inventory has what Datadog's profiles call
// otherwise.
func deviceOf(fields map[string][]Field) map[string][]Field {
	out := maps.Clone(fields)
	for name, other := range map[string]string{"os_version": "version", "model": "product_name"} {
		if from := fields[other]; from != nil {
			out[name] = append(slices.Clip(out[name]), from...)
		}
		delete(out, other)
	}
	return out
}

// chosen makes metrics of columns. A metric that would stand in for one that is not
// there, or for itself by a detour, stands for itself.
func chosen(columns []column, warn func(string, yamlfile.Place, string)) (out []Metric) {
	instead := make(map[string]string, len(columns))
	for _, c := range columns {
		if c.InsteadOf != c.Name {
			instead[c.Name] = c.InsteadOf
		}
	}
	before := map[string]bool{}
	for _, c := range columns {
		m := c.Metric
		if m.InsteadOf != "" && !(m.InsteadOf == m.Name && before[m.Name]) {
			if _, ok := instead[m.InsteadOf]; !ok {
				warn(c.file, c.at, fmt.Sprintf("%s would be read instead of %s, which is not there", m.Name, values.Clip(m.InsteadOf)))
				m.InsteadOf, m.Pinned = "", false
			} else if loops(instead, m.Name) {
				warn(c.file, c.at, fmt.Sprintf("%s would be read instead of itself, by way of instead_of", m.Name))
				m.InsteadOf, m.Pinned = "", false
			}
		}
		before[m.Name] = true
		out = append(out, m)
	}
	return out
}

func loops(instead map[string]string, from string) bool {
	at := from
	for range len(instead) {
		if at = instead[at]; at == from {
			return true
		}
	}
	return false
}

// table makes a Table. Labels that all columns have become the table's; a column of
// an entry without tags has no others.
func (t *tablePart) table(device int, warn func(string, yamlfile.Place, string)) Table {
	out := Table{Name: t.name, Index: t.index, Columns: chosen(t.columns, warn)}
	var entries []*entry
	for _, c := range t.columns {
		if !c.entry.bare && !slices.Contains(entries, c.entry) {
			entries = append(entries, c.entry)
		}
	}
	out.Labels = common(entries)
	own := map[*entry][]Label{}
	most := 0
	for _, e := range entries {
		for _, l := range e.labels {
			if !has(out.Labels, l) {
				own[e] = append(own[e], l)
			}
		}
		most = max(most, visible(own[e]))
	}
	for i := range out.Columns {
		out.Columns[i].Labels = own[t.columns[i].entry]
	}
	if n := device + max(len(t.index), 1) + visible(out.Labels) + most; n > maxLabels {
		c := t.columns[0]
		warn(c.file, c.at, fmt.Sprintf("the series of this table have %d labels; beyond %d some will be missing", n, maxLabels))
	}
	if out.Name == "" {
		out.Name = t.columns[0].Name
	}
	return out
}

// common gives the labels that all entries have. One that depends on another is
// common only together with it.
func common(entries []*entry) (out []Label) {
	if len(entries) == 0 {
		return nil
	}
	first := entries[0].labels
	for _, l := range first {
		all := !slices.ContainsFunc(entries[1:], func(e *entry) bool { return !has(e.labels, l) })
		if all && (l.Unless == "" || named(out, l.Unless) || !named(first, l.Unless)) {
			out = append(out, l)
		}
	}
	return out
}

// visible counts the labels that a series can have.
func visible(labels []Label) int {
	names := map[string]bool{}
	for _, l := range labels {
		if !l.Hidden {
			names[l.Name] = true
		}
	}
	return len(names)
}

func has(labels []Label, l Label) bool {
	return slices.ContainsFunc(labels, func(o Label) bool { return o.Name == l.Name && reflect.DeepEqual(o, l) })
}

func named(labels []Label, name string) bool {
	return slices.ContainsFunc(labels, func(o Label) bool { return o.Name == name })
}
