package config

import (
	"strings"

	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// kind of a node.
type kind = yamlfile.Kind

const (
	empty   = yamlfile.Empty
	scalar  = yamlfile.Scalar
	list    = yamlfile.List
	mapping = yamlfile.Mapping
)

// node is a value of the site file and where it stands, in which of the files that
// are read together. It is all that the rest of this package sees of YAML.
type node struct {
	at      pos
	kind    kind
	text    string // of a scalar
	plain   bool   // a scalar without quotes
	number  bool   // a plain scalar that YAML takes for a whole number
	boolean bool   // a plain scalar that YAML takes for true or false
	items   []*node
	entries []entry
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    pos // of the key
	value *node
}

// get returns the value of a key, or nil. It is nil too for what is no mapping.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := range n.entries {
		if n.entries[i].key == key {
			return n.entries[i].value
		}
	}
	return nil
}

// item returns the i-th item of a list, or nil.
func (n *node) item(i int) *node {
	if n == nil || i >= len(n.items) {
		return nil
	}
	return n.items[i]
}

// merge adds what the file of src says to dst: lists are appended, mappings
// joined; a value that both set is a problem.
func merge(r *report, dst, src *node, path string) {
	for _, e := range src.entries {
		old := dst.get(e.key)
		switch {
		case old == nil:
			dst.entries = append(dst.entries, e)
		case e.value.kind == empty:
		case old.kind == empty:
			*old = *e.value
		case old.kind == list && e.value.kind == list:
			old.items = append(old.items, e.value.items...)
		case old.kind == mapping && e.value.kind == mapping:
			merge(r, old, e.value, join(path, e.key))
		default:
			r.errorf(e.at, "%s is set here and at %s; leave one of them", join(path, e.key), r.place(old.at))
		}
	}
}

// join is the path of a key within path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// canonical writes the node so that equal settings read equal: keys sorted, no
// comments, no style. It goes into the site's hash.
func (n *node) canonical(b *strings.Builder) {
	switch n.kind {
	case empty:
		b.WriteString("-")
	case scalar:
		quote(b, n.text)
	case list:
		b.WriteByte('[')
		for _, i := range n.items {
			i.canonical(b)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case mapping:
		b.WriteByte('{')
		for _, e := range sortedEntries(n.entries) {
			quote(b, e.key)
			b.WriteByte(':')
			e.value.canonical(b)
			b.WriteByte(',')
		}
		b.WriteByte('}')
	}
}
