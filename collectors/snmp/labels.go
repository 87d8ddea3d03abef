package snmp

import (
	"bytes"
	"sort"
	"strconv"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
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
func (l *labelling) of(t *table, r *row, index bool, lists ...[]labelPlan) []collectors.Label {
	most := collectors.MaxLabels - len(l.extra)
	labels := make([]collectors.Label, 0, len(l.device)+4+len(l.extra))
	labels = append(labels, l.device...)
	add := func(name, value string) {
		if len(labels) < most && !named(labels, name) {
			labels = append(labels, collectors.Label{Name: name, Value: value})
		}
	}
	arcs := arcsOf(r.index)
	if index {
		for i, text := range indexTexts(t.plan.index, arcs) {
			if name := t.plan.index[i].Label; name != "" {
				add(name, text)
			}
		}
	}
	for _, list := range lists {
		texts := l.texts(t, r, arcs, list)
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

func (l *labelling) texts(t *table, r *row, arcs []uint64, list []labelPlan) []string {
	texts := make([]string, len(list))
	for i := range list {
		for k := range list[i].from {
			if texts[i] = l.source(t, r, arcs, &list[i].from[k]); texts[i] != "" {
				break
			}
		}
	}
	return texts
}

// source gives the text of one source, or none.
func (l *labelling) source(t *table, r *row, arcs []uint64, s *sourcePlan) string {
	switch {
	case s.Arc > 0:
		if s.Arc > len(arcs) {
			return ""
		}
		n := arcs[s.Arc-1]
		if word, ok := s.Enum[int64(n)]; ok {
			return collectors.Clip(word, collectors.MaxText)
		}
		return extracted(s.Extract, strconv.FormatUint(n, 10))
	case len(s.OID) == 0:
		return collectors.Clip(s.Value, collectors.MaxText)
	}
	return extracted(s.Extract, l.kept(t, r, arcs, s).text(s.Text, s.Enum))
}

// kept finds the value that a source names.
func (l *labelling) kept(t *table, r *row, arcs []uint64, s *sourcePlan) kept {
	if s.object < 0 {
		return ""
	}
	if s.table == own {
		return *t.text(r, s.object)
	}
	var index []byte
	if s.through != nil {
		n, ok := l.kept(t, r, arcs, s.through).integer()
		if !ok || n < 0 {
			return ""
		}
		index = pdu.AppendArc(nil, uint64(n))
	} else {
		var ok bool
		if index, ok = pick(s.Arcs, arcs); !ok {
			return ""
		}
	}
	if s.table >= len(l.tables) {
		return ""
	}
	look := l.tables[s.table]
	if found := look.find(index); found != nil {
		return *look.text(found, s.object)
	}
	return ""
}

// find gives the row of an index, or nil.
func (t *table) find(index []byte) *row {
	i := sort.Search(len(t.rows), func(i int) bool { return pdu.Compare(t.rows[i].index, index) >= 0 })
	if i < len(t.rows) && bytes.Equal(t.rows[i].index, index) {
		return &t.rows[i]
	}
	return nil
}
