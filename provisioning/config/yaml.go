package config

import (
	"cmp"

	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// Bounds of one file. 100,000 tokens are some 5,000 devices.
const (
	maxFile   = 1 << 20 // bytes
	maxTokens = 100_000
)

// parse reads one file into nodes. It returns nil when the file holds nothing, or
// after a problem that leaves no tree to look at.
func parse(r *report, file int, data []byte) *node {
	root, problems := yamlfile.Parse(data, yamlfile.Limits{Bytes: maxFile, Tokens: maxTokens, What: "a site file", Rest: "conf.d"})
	for _, p := range problems {
		r.errorf(at(file, p.At), "%s", p.Message)
	}
	if root == nil {
		return nil
	}
	return builder{r, file}.node(root)
}

func at(file int, p yamlfile.Place) pos { return pos{file, p.Line, p.Column} }

// builder makes nodes of what was read, which are those of one file.
type builder struct {
	r    *report
	file int
}

func (b builder) node(n *yamlfile.Node) *node {
	out := &node{
		at: at(b.file, n.At), kind: n.Kind,
		text: n.Text, plain: n.Plain, number: n.Number, boolean: n.Boolean,
	}
	for _, i := range n.Items {
		out.items = append(out.items, b.node(i))
	}
	first := make(map[string]pos, len(n.Entries))
	for _, v := range n.Entries {
		e := entry{key: v.Key, at: at(b.file, v.At), value: b.node(v.Value)}
		if before, twice := first[e.key]; twice {
			b.r.errorf(e.at, "%s is set twice, first at %s", cmp.Or(shown(e), "this key"), b.r.place(before))
			continue
		}
		first[e.key] = e.at
		out.entries = append(out.entries, e)
	}
	return out
}
