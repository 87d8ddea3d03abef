package profile

import (
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// tags takes metric_tags: of a table's rows, or of a device's whole series. Tags of
// the same name become one label that takes the first of them that is not empty.
func (r *reader) tags(n *node, table bool) (out []Label) {
	if n.Kind != yamlfile.List {
		r.Errorf(n.At, "metric_tags must be a list, not %s", n.Kind)
		return nil
	}
	r.Items(n, values.MaxList, func(n *node) {
		if n.Kind == yamlfile.Scalar {
			r.Warnf(n.At, "a tag that is only a name is left out; give it an OID and a tag")
			return
		}
		for _, l := range r.tag(n, table) {
			if l.Name == "device" {
				r.Errorf(n.At, "the label \"device\" is set by the probe itself; give the tag another name")
				continue
			}
			i := slices.IndexFunc(out, func(o Label) bool { return o.Name == l.Name && o.Unless == l.Unless && o.Hidden == l.Hidden })
			if i >= 0 {
				out[i].From = append(out[i].From, l.From...)
				continue
			}
			if len(out) == maxTags {
				r.Errorf(n.At, "there are more than %d tags; the rest is left out", maxTags)
				return
			}
			out = append(out, l)
		}
	})
	return out
}

// tagKeys are what a tag says before it is put together.
type tagKeys struct {
	label   Label
	symbols []textSymbol
	oid     []byte // the old form, beside symbol: NAME
	arc     int
	arcs    [][2]int
	through *Source
	enum    map[int64]string
	match   *node
	tags    *node
	text    *TextForm // of an index or of all symbols
}

// tag takes one item of metric_tags. With match it makes several labels.
func (r *reader) tag(n *node, table bool) []Label {
	t := &tagKeys{}
	known := r.tagKeys(t)
	if !table {
		for _, k := range []string{"index", "index_transform", "through", "table"} {
			known[k] = func(n *node) {
				r.Errorf(n.At, "%s has no meaning outside of a table", k)
			}
		}
	}
	if !r.Keys(n, "a tag", known) {
		return nil
	}
	from := r.sources(n, t)
	if !table {
		from = scalarSources(from)
	}
	if len(from) == 0 {
		return nil
	}
	if t.match != nil {
		return r.matched(t, from)
	}
	if t.label.Name == "" && len(t.symbols) > 0 {
		t.label.Name = values.LabelName(t.symbols[0].name)
	}
	if t.label.Name == "" {
		r.Errorf(n.At, "has no tag: the name of the label")
		return nil
	}
	t.label.From = from
	return []Label{t.label}
}

func (r *reader) tagKeys(t *tagKeys) keys {
	one := func(n *node) {
		if s, ok := r.textSymbol(n); ok {
			t.symbols = append(t.symbols, s)
		}
	}
	form := func(key string) func(*node) {
		return func(n *node) {
			var f TextForm
			values.Word(&r.Report, &f, key, textForms())(n)
			t.text = &f
		}
	}
	return keys{
		"tag":             func(n *node) { s, _ := r.Text(n, "tag"); t.label.Name = values.LabelName(s) },
		"column":          one,
		"symbol":          one,
		"symbols":         func(n *node) { r.Items(n, values.MaxList, one) },
		"OID":             r.SetOID(&t.oid),
		"index":           r.SetInt(&t.arc, "index", 1, 128),
		"index_transform": func(n *node) { t.arcs = r.arcs(n) },
		"through":         func(n *node) { t.through = r.through(n) },
		"mapping":         r.SetEnum(&t.enum),
		"enum":            r.SetEnum(&t.enum),
		"match":           func(n *node) { t.match = n },
		"tags":            func(n *node) { t.tags = n },
		"unless":          func(n *node) { s, _ := r.Text(n, "unless"); t.label.Unless = values.LabelName(s) },
		"hidden":          r.SetBool(&t.label.Hidden, "hidden"),
		"format":          form("format"),
		"convert":         form("convert"),
		"table":           nil, // the OID of the column says it
		"MIB":             nil,
	}
}

// sources puts the places together that a tag's text comes from.
func (r *reader) sources(n *node, t *tagKeys) (out []Source) {
	if t.oid != nil {
		if len(t.symbols) == 0 {
			t.symbols = []textSymbol{{}}
		}
		if t.symbols[0].oid == nil {
			t.symbols[0].oid = t.oid
		}
	}
	if t.arc > 0 {
		s := Source{Arc: t.arc, Enum: t.enum}
		if t.text != nil {
			s.Text = *t.text
		}
		out = append(out, s)
	}
	for _, s := range t.symbols {
		if s.oid == nil {
			r.Errorf(n.At, "the symbol of this tag has no OID")
			return nil
		}
		if t.text != nil {
			s.text = *t.text
		}
		out = append(out, Source{OID: s.oid, Arcs: t.arcs, Through: t.through, Text: s.text, Extract: s.extract, Enum: t.enum})
	}
	if len(out) == 0 {
		r.Errorf(n.At, "a tag needs a symbol with an OID, or index: N")
	}
	return out
}

// scalarSources adds the places where the scalars can be, too.
func scalarSources(from []Source) (out []Source) {
	for _, s := range from {
		for _, oid := range instances(s.OID) {
			s.OID = oid
			out = append(out, s)
		}
	}
	return out
}

// matched makes the labels of match and tags.
func (r *reader) matched(t *tagKeys, from []Source) (out []Label) {
	re, ok := r.Regexp(t.match, "match")
	if !ok {
		return nil
	}
	if t.tags == nil || t.tags.Kind == yamlfile.Empty {
		r.Errorf(t.match.At, "match needs tags, such as {name: '\\1'}")
		return nil
	}
	entries := t.tags.Entries
	for _, i := range t.tags.Items { // a list of mappings is seen, too
		entries = append(entries, i.Entries...)
	}
	if len(entries) == 0 {
		r.Errorf(t.tags.At, "tags must be names with templates, such as {name: '\\1'}")
	}
	for _, e := range entries {
		template, ok := r.Template(e.Value, "a tag", re)
		if !ok {
			continue
		}
		l := t.label
		l.Name, l.From = values.LabelName(e.Key), nil
		for _, s := range from {
			s.Extract = &Extract{Pattern: re, Template: template}
			l.From = append(l.From, s)
		}
		out = append(out, l)
	}
	return out
}

// arcs takes index_transform: ranges of the row's index, from 0 and with their ends.
func (r *reader) arcs(n *node) (out [][2]int) {
	r.Items(n, 64, func(n *node) {
		a := [2]int{-1, -1}
		ok := r.Keys(n, "index_transform", keys{
			"start": r.SetInt(&a[0], "start", 0, 127),
			"end":   r.SetInt(&a[1], "end", 0, 127),
		})
		if ok && (a[0] < 0 || a[1] < a[0]) {
			r.Errorf(n.At, "index_transform needs a start and an end that is not before it")
		}
		out = append(out, a)
	})
	return out
}

// through takes a column whose value is an index: {OID, name, index_transform}, or
// an OID alone.
func (r *reader) through(n *node) *Source {
	s := &Source{}
	if n.Kind == yamlfile.Scalar {
		s.OID, _ = r.OID(n)
		return s
	}
	ok := r.Keys(n, "through", keys{
		"OID":             r.SetOID(&s.OID),
		"name":            nil,
		"index_transform": func(n *node) { s.Arcs = r.arcs(n) },
		"through":         func(n *node) { s.Through = r.through(n) },
	})
	if ok && s.OID == nil {
		r.Errorf(n.At, "through needs the OID of a column")
	}
	return s
}

// bareSymbol takes a symbol that is one text: a name, an OID, or both.
func (r *reader) bareSymbol(n *node) (name string, oid []byte, ok bool) {
	s, ok := r.Text(n, "a symbol")
	if !ok {
		return "", nil, false
	}
	for _, f := range strings.Fields(s) {
		if strings.Trim(f, ".0123456789") == "" {
			if oid, ok = pdu.AppendOID(nil, f); !ok {
				r.Errorf(n.At, "%q is no OID in numbers, such as 1.3.6.1.2.1.1.3.0", values.Clip(f))
				return "", nil, false
			}
			continue
		}
		name = f
	}
	return name, oid, true
}

// indexTypes are the types of index parts.
func indexTypes() map[string]IndexType {
	return map[string]IndexType{
		"integer": IndexInteger, "text": IndexText, "mac": IndexMAC, "ip": IndexIP4, "ip6": IndexIP6,
		"inet": IndexInetAddr, "inet_without_type": IndexInetAddrNoType, "inet_without_size": IndexInetAddrNoSize,
		"oid": IndexOID, "hex": IndexHex,
	}
}

// index takes what a table's index is made of.
func (r *reader) index(n *node) (out []Index, ok bool) {
	if n.Kind != yamlfile.List {
		r.Errorf(n.At, "index must be a list, such as [{label: ifIndex}], not %s", n.Kind)
		return nil, false
	}
	ok = true
	variable := map[IndexType]bool{IndexText: true, IndexOID: true, IndexHex: true}
	r.Items(n, 16, func(n *node) {
		if len(out) > 0 && out[len(out)-1].Bare {
			r.Errorf(n.At, "nothing can follow a part of the index that is bare")
			ok = false
		}
		var i Index
		fine := r.Keys(n, "a part of the index", keys{
			"label": func(n *node) { s, _ := r.Text(n, "label"); i.Label = values.LabelName(s) },
			"type":  values.Word(&r.Report, &i.Type, "type", indexTypes()),
			"size":  r.SetInt(&i.Size, "size", 1, 128),
			"bare":  r.SetBool(&i.Bare, "bare"),
			"enum":  r.SetEnum(&i.Enum),
		})
		if (i.Bare || i.Size > 0) && !variable[i.Type] {
			r.Errorf(n.At, "size and bare are for parts of type %s", strings.Join([]string{"hex", "oid", "text"}, ", "))
			fine = false
		}
		ok = ok && fine
		out = append(out, i)
	})
	return out, ok
}

// maxTags bounds the tags of one entry, those included that are hidden or often empty.
const maxTags = 64

// maxLabels leaves room for those of the device and the site file.
const maxLabels = collectors.MaxLabels - 4
