package exporter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// rows are what tells the rows of a metric apart.
type rows struct {
	index  []profile.Index
	labels []profile.Label
	key    string // equal for metrics whose rows have the same labels
}

// has tells whether the rows have a label of that name.
func (r rows) has(name string) bool {
	return slices.ContainsFunc(r.index, func(i profile.Index) bool { return i.Label == name }) ||
		slices.ContainsFunc(r.labels, func(l profile.Label) bool { return l.Name == name && !l.Hidden })
}

// rows reads indexes and lookups.
func (r *reader) rows(m *metricKeys) (out rows, ok bool) {
	before := r.Errors
	if m.indexes != nil {
		r.Items(m.indexes, 32, func(n *node) { out.index = append(out.index, r.index(n)) })
	}
	b := &lookups{reader: r, rows: &out, names: map[string]origin{}}
	for i, x := range out.index {
		b.names[x.Label] = origin{part: i + 1}
	}
	if m.lookups != nil {
		r.Items(m.lookups, collectors.MaxLabels, b.lookup)
	}
	out.key = fingerprint(m.indexes) + "\x00" + fingerprint(m.lookups)
	return out, r.Errors == before
}

// fingerprint writes a node so that what reads the same says the same.
func fingerprint(n *node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	var write func(*node)
	write = func(n *node) {
		fmt.Fprintf(&b, "%d%q(", n.Kind, n.Text)
		for _, i := range n.Items {
			write(i)
		}
		for _, e := range n.Entries {
			fmt.Fprintf(&b, "%q:", e.Key)
			write(e.Value)
		}
		b.WriteByte(')')
	}
	write(n)
	return b.String()
}

// index reads one part of an index.
func (r *reader) index(n *node) profile.Index {
	var i profile.Index
	typ := ""
	r.Keys(n, "an index", keys{
		"labelname":   r.SetText(&i.Label, "labelname"),
		"type":        r.SetText(&typ, "type"),
		"fixed_size":  r.SetInt(&i.Size, "fixed_size", 0, 128),
		"implied":     r.SetBool(&i.Bare, "implied"),
		"enum_values": r.SetEnum(&i.Enum),
	})
	i.Label = values.LabelName(i.Label)
	switch typ {
	case "gauge", "counter", "Integer", "Integer32", "EnumAsInfo", "EnumAsStateSet":
		if typ != "EnumAsInfo" {
			i.Enum = nil
		}
		i.Type = profile.IndexInteger
	case "PhysAddress48":
		i.Type = profile.IndexMAC
	case "DisplayString":
		i.Type = profile.IndexText
	case "OctetString":
		i.Type = profile.IndexHex
	case "InetAddressIPv4", "IpAddr":
		i.Type = profile.IndexIP4
	case "InetAddressIPv6":
		i.Type = profile.IndexIP6
	case "InetAddress":
		i.Type = profile.IndexInetAddr
	case "InetAddressMissingSize":
		i.Type = profile.IndexInetAddrNoSize
	default:
		r.Errorf(n.At, "an index of type %q is not supported", values.Clip(typ))
	}
	if i.Type != profile.IndexText && i.Type != profile.IndexHex {
		i.Size, i.Bare = 0, false // the type says it
	}
	return i
}

// origin is where the text of a label comes from: a part of the index, from 1, or a
// lookup.
type origin struct {
	part   int
	source *profile.Source
}

// lookups turns the lookups of a metric into labels, in their order: each may look
// up by what one before it found, take the place of its label, or remove it.
type lookups struct {
	*reader
	rows  *rows
	names map[string]origin
}

func (b *lookups) lookup(n *node) {
	var from []string
	var oid []byte
	var enum map[int64]string
	name, typ := "", ""
	ok := b.Keys(n, "a lookup", keys{
		"labels": func(n *node) {
			b.Items(n, 32, func(n *node) {
				if s, ok := b.Text(n, "a label"); ok {
					from = append(from, s)
				}
			})
		},
		"labelname":    b.SetText(&name, "labelname"),
		"oid":          b.SetOID(&oid),
		"type":         b.SetText(&typ, "type"),
		"enum_values":  b.SetEnum(&enum),
		"display_hint": func(n *node) { b.Warnf(n.At, "display_hint is left out: octets read as their type says") },
	})
	if !ok {
		return
	}
	name = values.LabelName(name)
	if len(from) == 0 {
		b.remove(name)
		return
	}
	if oid == nil || name == "" {
		b.Errorf(n.At, "a lookup needs labelname and oid")
		return
	}
	source := &profile.Source{OID: oid}
	text, isText := texts()[typ]
	switch {
	case isText:
		source.Text = text
		if text == profile.InetAddress || text == profile.LLDPPort {
			source.TypeOf = before(oid)
		}
	case typ == "EnumAsInfo":
		source.Enum = enum
	}
	if !b.find(n.At, source, from) {
		return
	}
	b.remove(name)
	b.names[name] = origin{source: source}
	b.rows.labels = append(b.rows.labels, profile.Label{Name: name, From: []profile.Source{*source}})
}

// remove takes a label away. What was found by it stays.
func (b *lookups) remove(name string) {
	for i := range b.rows.index {
		if b.rows.index[i].Label == name {
			b.rows.index[i].Label = ""
		}
	}
	b.rows.labels = slices.DeleteFunc(b.rows.labels, func(l profile.Label) bool { return l.Name == name })
}

// find says how a lookup by other labels finds its row.
func (b *lookups) find(at yamlfile.Place, s *profile.Source, from []string) bool {
	var parts []int
	for _, f := range from {
		o, ok := b.names[values.LabelName(f)]
		switch {
		case !ok:
			b.Warnf(at, "the lookup is left out: there is no label %q to look up by", values.Clip(f))
			return false
		case o.source != nil && len(from) > 1:
			b.Warnf(at, "the lookup is left out: by several labels, of which %q is a lookup itself, is not supported", values.Clip(f))
			return false
		case o.source != nil:
			s.Through = o.source
			return true
		}
		parts = append(parts, o.part)
	}
	if whole(parts, len(b.rows.index)) {
		return true // the row's own index
	}
	if arcs, ok := fixed(b.rows.index, parts); ok {
		s.Arcs = arcs
	} else {
		s.Parts = parts
	}
	return true
}

// whole tells whether parts are all of an index, in order.
func whole(parts []int, all int) bool {
	for i, p := range parts {
		if p != i+1 {
			return false
		}
	}
	return len(parts) == all
}

// fixed gives the arcs of parts where those and all before them have fixed sizes.
func fixed(index []profile.Index, parts []int) (arcs [][2]int, ok bool) {
	for _, p := range parts {
		start := 0
		for i := range p {
			size := sizeOf(index[i])
			if size == 0 {
				return nil, false
			}
			if i == p-1 {
				arcs = append(arcs, [2]int{start, start + size - 1})
			}
			start += size
		}
	}
	return arcs, true
}

// sizeOf is the number of arcs of a part of an index, or 0 where it varies.
func sizeOf(i profile.Index) int {
	switch i.Type {
	case profile.IndexInteger:
		return 1
	case profile.IndexMAC:
		return 6
	case profile.IndexIP4:
		return 4
	case profile.IndexIP6:
		return 16
	case profile.IndexText, profile.IndexHex, profile.IndexOID:
		return i.Size
	}
	return 0
}
