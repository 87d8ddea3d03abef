package profile

import (
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// tags takes metric_tags: of a table's rows, or of a device's whole series. Tags of
// the same name become one label that takes the first of them that is not empty.
func (r *reader) tags(n *node, table bool) (out []Label) {
	if n.Kind != yamlfile.List {
		r.errorf(n.At, "metric_tags must be a list, not %s", n.Kind)
		return nil
	}
	r.items(n, maxList, func(n *node) {
		if n.Kind == yamlfile.Scalar {
			r.warnf(n.At, "a tag that is only a name is left out; give it an OID and a tag")
			return
		}
		for _, l := range r.tag(n, table) {
			if l.Name == "device" {
				r.errorf(n.At, "the label \"device\" is set by the probe itself; give the tag another name")
				continue
			}
			i := slices.IndexFunc(out, func(o Label) bool { return o.Name == l.Name && o.Unless == l.Unless && o.Hidden == l.Hidden })
			if i >= 0 {
				out[i].From = append(out[i].From, l.From...)
				continue
			}
			if len(out) == maxTags {
				r.errorf(n.At, "there are more than %d tags; the rest is left out", maxTags)
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
	bad     bool
}

// tag takes one item of metric_tags. With match it makes several labels.
func (r *reader) tag(n *node, table bool) []Label {
	t := &tagKeys{}
	known := r.tagKeys(t)
	if !table {
		for _, k := range []string{"index", "index_transform", "through", "table"} {
			known[k] = func(n *node) {
				r.errorf(n.At, "%s has no meaning outside of a table", k)
				t.bad = true
			}
		}
	}
	if !r.keys(n, "a tag", known) || t.bad {
		return nil
	}
	from := r.sources(n, t)
	if len(from) == 0 {
		return nil
	}
	if t.match != nil {
		return r.matched(t, from)
	}
	if t.label.Name == "" && len(t.symbols) > 0 {
		t.label.Name = labelName(t.symbols[0].name)
	}
	if t.label.Name == "" {
		r.errorf(n.At, "has no tag: the name of the label")
		return nil
	}
	t.label.From = from
	return []Label{t.label}
}

func (r *reader) tagKeys(t *tagKeys) keys {
	one := func(n *node) {
		s, ok := r.textSymbol(n)
		t.bad = t.bad || !ok
		if ok {
			t.symbols = append(t.symbols, s)
		}
	}
	form := func(key string) func(*node) {
		return func(n *node) {
			var f TextForm
			word(&r.report, &f, key, textForms())(n)
			t.text = &f
		}
	}
	return keys{
		"tag":     func(n *node) { s, _ := r.text(n, "tag"); t.label.Name = labelName(s) },
		"column":  one,
		"symbol":  one,
		"symbols": func(n *node) { r.items(n, maxList, one) },
		"OID": func(n *node) {
			b, ok := r.oid(n)
			t.oid, t.bad = b, t.bad || !ok
		},
		"index": func(n *node) {
			ok := false
			i, ok := r.integer(n, "index", 1, 128)
			t.arc, t.bad = int(i), t.bad || !ok
		},
		"index_transform": func(n *node) {
			ok := false
			t.arcs, ok = r.arcs(n)
			t.bad = t.bad || !ok
		},
		"through": func(n *node) {
			ok := false
			t.through, ok = r.through(n)
			t.bad = t.bad || !ok
		},
		"mapping": r.setEnum(&t.enum),
		"enum":    r.setEnum(&t.enum),
		"match":   func(n *node) { t.match = n },
		"tags":    func(n *node) { t.tags = n },
		"unless":  func(n *node) { s, _ := r.text(n, "unless"); t.label.Unless = labelName(s) },
		"hidden":  r.setBool(&t.label.Hidden, "hidden"),
		"format":  form("format"),
		"convert": form("convert"),
		"table":   nil, // the OID of the column says it
		"MIB":     nil,
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
			r.errorf(n.At, "the symbol of this tag has no OID")
			return nil
		}
		if t.text != nil {
			s.text = *t.text
		}
		out = append(out, Source{OID: s.oid, Arcs: t.arcs, Through: t.through, Text: s.text, Extract: s.extract, Enum: t.enum})
	}
	if len(out) == 0 {
		r.errorf(n.At, "a tag needs a symbol with an OID, or index: N")
	}
	return out
}

// matched makes the labels of match and tags.
func (r *reader) matched(t *tagKeys, from []Source) (out []Label) {
	re, ok := r.regexp(t.match, "match")
	if !ok {
		return nil
	}
	if t.tags == nil || t.tags.Kind == yamlfile.Empty {
		r.errorf(t.match.At, "match needs tags, such as {name: '\\1'}")
		return nil
	}
	entries := t.tags.Entries
	for _, i := range t.tags.Items { // a list of mappings is seen, too
		entries = append(entries, i.Entries...)
	}
	for _, e := range entries {
		template, ok := r.template(e.Value, "a tag", re)
		if !ok {
			continue
		}
		l := t.label
		l.Name, l.From = labelName(e.Key), nil
		for _, s := range from {
			s.Extract = &Extract{Pattern: re, Template: template}
			l.From = append(l.From, s)
		}
		out = append(out, l)
	}
	if len(out) == 0 {
		r.errorf(t.tags.At, "tags must be names with templates, such as {name: '\\1'}")
	}
	return out
}

// arcs takes index_transform: ranges of the row's index, from 0 and with their ends.
func (r *reader) arcs(n *node) (out [][2]int, ok bool) {
	ok = true
	r.items(n, 64, func(n *node) {
		a := [2]int{-1, -1}
		fine := r.keys(n, "index_transform", keys{
			"start": r.setInt(&a[0], "start", 0, 127),
			"end":   r.setInt(&a[1], "end", 0, 127),
		})
		if fine && (a[0] < 0 || a[1] < a[0]) {
			r.errorf(n.At, "index_transform needs a start and an end that is not before it")
			fine = false
		}
		ok = ok && fine
		out = append(out, a)
	})
	return out, ok
}

// through takes a column whose value is an index: {OID, name, index_transform}, or
// an OID alone.
func (r *reader) through(n *node) (*Source, bool) {
	s, ok := &Source{}, true
	oid := func(n *node) {
		b, fine := r.oid(n)
		s.OID, ok = b, ok && fine
	}
	if n.Kind == yamlfile.Scalar {
		oid(n)
		return s, ok
	}
	fine := r.keys(n, "through", keys{
		"OID":  oid,
		"name": nil,
		"index_transform": func(n *node) {
			a, fine := r.arcs(n)
			s.Arcs, ok = a, ok && fine
		},
		"through": func(n *node) {
			x, fine := r.through(n)
			s.Through, ok = x, ok && fine
		},
	})
	if ok && fine && s.OID == nil {
		r.errorf(n.At, "through needs the OID of a column")
		ok = false
	}
	return s, ok && fine
}

// bareSymbol takes a symbol that is one text: a name, an OID, or both.
func (r *report) bareSymbol(n *node) (name string, oid []byte, ok bool) {
	s, ok := r.text(n, "a symbol")
	if !ok {
		return "", nil, false
	}
	for _, f := range strings.Fields(s) {
		if strings.Trim(f, ".0123456789") == "" {
			if oid, ok = pdu.AppendOID(nil, f); !ok {
				r.errorf(n.At, "%q is no OID in numbers, such as 1.3.6.1.2.1.1.3.0", clip(f))
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
		r.errorf(n.At, "index must be a list, such as [{label: ifIndex}], not %s", n.Kind)
		return nil, false
	}
	ok = true
	variable := map[IndexType]bool{IndexText: true, IndexOID: true, IndexHex: true}
	r.items(n, 16, func(n *node) {
		if len(out) > 0 && out[len(out)-1].Bare {
			r.errorf(n.At, "nothing can follow a part of the index that is bare")
			ok = false
		}
		var i Index
		fine := r.keys(n, "a part of the index", keys{
			"label": func(n *node) { s, _ := r.text(n, "label"); i.Label = labelName(s) },
			"type":  word(&r.report, &i.Type, "type", indexTypes()),
			"size":  r.setInt(&i.Size, "size", 1, 128),
			"bare":  r.setBool(&i.Bare, "bare"),
			"enum":  r.setEnum(&i.Enum),
		})
		if (i.Bare || i.Size > 0) && !variable[i.Type] {
			r.errorf(n.At, "size and bare are for parts of type %s", strings.Join([]string{"hex", "oid", "text"}, ", "))
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
