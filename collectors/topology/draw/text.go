package draw

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/siteprobe/siteprobe/collectors/topology"
)

// Text writes the graph as a table whose first column is a tree.
func Text(w io.Writer, g *topology.Graph, o Options) error {
	t := treeOf(g, o)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(t.trees) > 0 {
		fmt.Fprintln(tw, "DEVICE\tPLUGGED IN AT\tITS PORT\tSPEED\tCONFIDENCE\tHOSTS\tIS")
	}
	for _, b := range t.trees {
		row(tw, b, "", "")
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	section := func(title string, n int, line func(int)) {
		for i := range n {
			if i == 0 {
				fmt.Fprintf(w, "\n%s\n", title)
			}
			line(i)
		}
	}
	name := func(e topology.End) string {
		n := g.Node(e.Node)
		return joined(clean(n.Name, 60), port(e))
	}
	section("further links", len(t.rest), func(i int) {
		l := &t.rest[i]
		fmt.Fprintf(tw, "  %s\t- %s\t%s\t%s\n", name(l.A), name(l.B), speed(l), l.Confidence)
	})
	if err := tw.Flush(); err != nil {
		return err
	}
	section("without a link", len(t.alone), func(i int) { fmt.Fprintf(w, "  %s\n", clean(t.alone[i].Name, 60)) })
	section("to be looked at", len(t.notes), func(i int) { fmt.Fprintf(w, "  %s\n", clean(t.notes[i], 250)) })
	var partial []string
	for i := range g.Nodes {
		for _, why := range g.Nodes[i].Partial {
			partial = append(partial, clean(g.Nodes[i].Name, 60)+": "+clean(why, 200))
		}
	}
	section("not read to the end", len(partial), func(i int) { fmt.Fprintf(w, "  %s\n", partial[i]) })
	return nil
}

func row(w io.Writer, b *branch, first, before string) {
	confidence := ""
	if b.link != nil {
		confidence = string(b.link.Confidence)
	}
	hosts := ""
	if b.hosts > 0 {
		hosts = fmt.Sprint(b.hosts)
	}
	fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\t%s\t%s\t%s\n", first, clean(b.node.Name, 60), port(b.up), port(b.down), speed(b.link), confidence, hosts, clean(about(b.node), 48))
	lines := len(b.children)
	if b.hidden > 0 {
		lines++
	}
	for i, c := range b.children {
		if i == lines-1 {
			row(w, c, before+"└─ ", before+"   ")
		} else {
			row(w, c, before+"├─ ", before+"│  ")
		}
	}
	if b.hidden > 0 {
		fmt.Fprintf(w, "%s└─ %s (--all)\t\t\t\t\t\t\n", before, others(b.hidden))
	}
}

func joined(a, b string) string {
	if b == "" {
		return a
	}
	return a + " " + b
}
