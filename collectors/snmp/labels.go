package snmp

import (
	"bytes"
	"sort"
	"strconv"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// labelling makes the labels of a device's series out of what was read.
type labelling struct {
	device []collectors.Label // the first labels of each series
	extra  []collectors.Label // the last ones
	tables []*table           // that labels are looked up in
}

// of gives the labels of a row's series: the device's, those of its index, those
// of lists, and the device's last ones. Of two with one name the first counts, and
// there are never more than a series may have.
func (l *labelling) of(t *table, r *row, lists ...[]labelPlan) []collectors.Label {
	most := collectors.MaxLabels - len(l.extra)
	labels := make([]collectors.Label, 0, len(l.device)+4+len(l.extra))
	labels = append(labels, l.device...)
	add := func(name, value string) {
		if len(labels) < most && !named(labels, name) {
			labels = append(labels, collectors.Label{Name: name, Value: value})
		}
	}
	at := placeOf(t, r)
	for i := range t.plan.index {
		if name := t.plan.index[i].Label; name != "" && i < len(at.parts) {
			add(name, at.parts[i].text)
		} else if name != "" {
			add(name, "")
		}
	}
	for _, list := range lists {
		texts := l.texts(at, list)
		for i := range list {
			p := &list[i]
			if !p.hidden && !holds(list, texts, labels, p.unless) {
				add(p.name, texts[i])
			}
		}
	}
	return exact(append(labels, l.extra...))
}

func named(labels []collectors.Label, name string) bool {
	for i := range labels {
		if labels[i].Name == name {
			return true
		}
	}
	return false
}

// holds tells whether there is a label of a name that is not empty.
func holds(list []labelPlan, texts []string, labels []collectors.Label, name string) bool {
	if name == "" {
		return false
	}
	for i := range list {
		if list[i].name == name && texts[i] != "" {
			return true
		}
	}
	for _, l := range labels {
		if l.Name == name && l.Value != "" {
			return true
		}
	}
	return false
}

// place is a row, and its index taken apart.
type place struct {
	t     *table
	r     *row
	arcs  []uint64
	parts []indexPart
}

func placeOf(t *table, r *row) place {
	arcs := arcsOf(r.index)
	return place{t, r, arcs, indexParts(t.plan.index, arcs)}
}

func (l *labelling) texts(at place, list []labelPlan) []string {
	texts := make([]string, len(list))
	for i := range list {
		for k := range list[i].from {
			if texts[i] = l.source(at, &list[i].from[k]); texts[i] != "" {
				break
			}
		}
	}
	return texts
}

// source gives the text of one source, or none.
func (l *labelling) source(at place, s *sourcePlan) string {
	switch {
	case s.Arc > 0:
		if s.Arc > len(at.arcs) {
			return ""
		}
		n := at.arcs[s.Arc-1]
		if word, ok := s.Enum[int64(n)]; ok {
			return collectors.Clip(word, collectors.MaxText)
		}
		return worded(s.Enum, extracted(s.Extract, strconv.FormatUint(n, 10)))
	case len(s.OID) == 0:
		return collectors.Clip(s.Value, collectors.MaxText)
	}
	t, r := l.find(at, s)
	if r == nil {
		return ""
	}
	return worded(s.Enum, extracted(s.Extract, t.text(r, s.object).text(t.form(r, s.Text, s.typeOf), s.Enum)))
}

// form is the form of a text, where need be by what stands in its row.
func (t *table) form(r *row, form profile.TextForm, typeOf int) profile.TextForm {
	if typeOf < 0 {
		return typed(form, 0)
	}
	kind, _ := t.text(r, typeOf).integer()
	return typed(form, kind)
}

// find gives the row that a source's object stands in, or nil.
func (l *labelling) find(at place, s *sourcePlan) (*table, *row) {
	switch {
	case s.object < 0:
		return nil, nil
	case s.table == own:
		return at.t, at.r
	case s.table >= len(l.tables):
		return nil, nil
	}
	var index []byte
	if s.through != nil {
		t, r := l.find(at, s.through)
		if r == nil {
			return nil, nil
		}
		n, ok := t.text(r, s.through.object).integer()
		if !ok || n < 0 {
			return nil, nil
		}
		index = pdu.AppendArc(nil, uint64(n))
	} else {
		var ok bool
		if index, ok = pick(s.Source, at.arcs, at.parts); !ok {
			return nil, nil
		}
	}
	t := l.tables[s.table]
	return t, t.find(index)
}

// find gives the row of an index, or nil.
func (t *table) find(index []byte) *row {
	i := sort.Search(len(t.rows), func(i int) bool { return pdu.Compare(t.rows[i].index, index) >= 0 })
	if i < len(t.rows) && bytes.Equal(t.rows[i].index, index) {
		return &t.rows[i]
	}
	return nil
}
