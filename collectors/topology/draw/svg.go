package draw

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/siteprobe/siteprobe/collectors/topology"
)

// Measures of the drawing, in pixels. Every leaf has a line of its own, and every
// level a column whose gap has room for the ports, so nothing can overlap.
const (
	margin    = 24
	boxWidth  = 196
	boxHeight = 40
	lineStep  = 56
	gap       = 230
	column    = boxWidth + gap
	listLine  = 16

	// Characters that fit.
	nameChars  = 23
	aboutChars = 31
	portChars  = 16
	listChars  = 150
)

const style = `text{font-family:system-ui,"DejaVu Sans",Verdana,sans-serif;fill:#1b2733}
.n{font-size:12px;font-weight:600}.a{font-size:9.5px;fill:#5b6b7a}.p{font-size:10px}.t{font-size:11px}.h{font-size:12px;font-weight:600}
rect{stroke:#2f6f9f;stroke-width:1.2;fill:#e9f3fa}.neighbour rect{fill:#fff;stroke:#8796a5}.segment rect{fill:#f3efe4;stroke:#b09a5f;stroke-dasharray:4 3}
path{fill:none;stroke:#2f6f9f;stroke-width:1.6}.medium path{stroke-dasharray:7 4}.low path{stroke-dasharray:2 4}.rest path{stroke:#c0574b;stroke-width:1.1}`

// SVG writes the graph as a drawing that stands by itself.
func SVG(w io.Writer, g *topology.Graph, o Options) error {
	d := &drawing{g: g, at: map[string][2]int{}}
	t := treeOf(g, o)
	for _, b := range t.trees {
		d.place(b, 0)
		d.y += lineStep / 2
	}
	for _, n := range t.alone {
		d.place(&branch{node: n}, 0)
	}
	for _, b := range t.trees {
		d.lines(b)
	}
	for i := range t.rest {
		d.beside(&t.rest[i])
	}
	for _, b := range t.trees {
		d.boxes(b)
	}
	for _, n := range t.alone {
		d.boxes(&branch{node: n})
	}
	d.lists(t)
	width := 2*margin + (t.depth+1)*column - gap
	if len(t.rest) > 0 {
		width += gap / 2 // the arcs
	}
	width = max(width, 760)
	height := 2*margin + d.y
	var head bytes.Buffer
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"><style>%s</style><rect width="100%%" height="100%%" style="fill:#fff;stroke:none"/>`+"\n",
		width, height, width, height, style)
	if _, err := w.Write(head.Bytes()); err != nil {
		return err
	}
	if _, err := w.Write(d.out.Bytes()); err != nil {
		return err
	}
	_, err := io.WriteString(w, "</svg>\n")
	return err
}

// drawing is an SVG that is being made.
type drawing struct {
	g   *topology.Graph
	out bytes.Buffer
	y   int // the next free line
	at  map[string][2]int
}

// place gives a branch and those below it their places: leaves one below the other,
// a parent in the middle of its children.
func (d *drawing) place(b *branch, depth int) (y int) {
	if len(b.children) == 0 {
		y = d.y
		d.y += lineStep
	}
	for i, c := range b.children {
		cy := d.place(c, depth+1)
		if i == 0 {
			y = cy
		}
		if i == len(b.children)-1 {
			y = (y + cy) / 2
		}
	}
	d.at[b.node.ID] = [2]int{margin + depth*column, margin + y}
	return y
}

// lines draws the links to a branch's children, with the ports at both ends.
func (d *drawing) lines(b *branch) {
	from := d.at[b.node.ID]
	x0, y0 := from[0]+boxWidth, from[1]+boxHeight/2
	for _, c := range b.children {
		to := d.at[c.node.ID]
		x1, y1 := to[0], to[1]+boxHeight/2
		fmt.Fprintf(&d.out, `<g class="%s"><path d="M%d %dH%dV%dH%d"/>`, c.link.Confidence, x0, y0, x0+18, y1, x1)
		d.title(c.link)
		// All stands on the child's own line: above it the ports, below it the speed.
		d.text(x0+24, y1-5, "p", "", brief(c.up.Port))
		d.text(x1-6, y1-5, "p", "end", brief(c.down.Port))
		d.text(x0+24, y1+12, "a", "", speed(c.link))
		d.out.WriteString("</g>\n")
		d.lines(c)
	}
}

// beside draws a link that is no part of the tree as an arc at the right.
func (d *drawing) beside(l *topology.Link) {
	a, ok := d.at[l.A.Node]
	b, also := d.at[l.B.Node]
	if !ok || !also {
		return
	}
	x0, y0, x1, y1 := a[0]+boxWidth, a[1]+boxHeight-8, b[0]+boxWidth, b[1]+boxHeight-8
	bend := max(x0, x1) + gap/2
	fmt.Fprintf(&d.out, `<g class="rest %s"><path d="M%d %dC%d %d %d %d %d %d"/>`, l.Confidence, x0, y0, bend, y0, bend, y1, x1, y1)
	d.title(l)
	d.out.WriteString("</g>\n")
}

// brief shortens the name of a port that is too long as Cisco does, and then so that
// its end stays, which tells it from the others.
func brief(s string) string {
	r := []rune(s)
	if i := strings.IndexAny(s, "0123456789"); len(r) > portChars && i > 2 && !strings.ContainsRune(s[:i], ' ') {
		r = append(r[:2:2], []rune(s[i:])...)
	}
	if n := len(r); n > portChars {
		return "…" + string(r[n-portChars+1:])
	}
	return string(r)
}

// title lets a browser show what a link is when it is pointed at.
func (d *drawing) title(l *topology.Link) {
	d.out.WriteString("<title>")
	d.escape(d.name(l.A) + " - " + d.name(l.B) + ", confidence " + string(l.Confidence))
	for _, e := range l.Evidence {
		d.escape("\n" + e)
	}
	d.out.WriteString("</title>")
}

func (d *drawing) name(e topology.End) string {
	if n := d.g.Node(e.Node); n != nil {
		return joined(n.Name, port(e))
	}
	return port(e)
}

func (d *drawing) boxes(b *branch) {
	at := d.at[b.node.ID]
	n := b.node
	fmt.Fprintf(&d.out, `<g class="%s"><rect x="%d" y="%d" width="%d" height="%d" rx="5"/><title>`, n.Kind, at[0], at[1], boxWidth, boxHeight)
	d.escape(n.Name + "\n" + n.Descr)
	d.out.WriteString("</title>")
	name, under := n.Name, about(n)
	if before, after, ok := strings.Cut(name, " at "); ok && n.Kind == topology.KindSegment {
		name, under = before, "at "+after
	}
	d.text(at[0]+8, at[1]+17, "n", "", shorten(name, nameChars))
	if b.hidden > 0 {
		under = "+ " + others(b.hidden)
	}
	d.text(at[0]+8, at[1]+32, "a", "", shorten(under, aboutChars))
	d.out.WriteString("</g>\n")
	for _, c := range b.children {
		d.boxes(c)
	}
}

// lists writes below the drawing what it has no room for.
func (d *drawing) lists(t *tree) {
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		d.y += 2 * listLine
		d.text(margin, margin+d.y, "h", "", title)
		for _, l := range lines {
			d.y += listLine
			d.text(margin, margin+d.y, "t", "", shorten(l, listChars))
		}
	}
	var rest []string
	for i := range t.rest {
		l := &t.rest[i]
		rest = append(rest, d.name(l.A)+" - "+d.name(l.B)+"  "+speed(l)+"  "+string(l.Confidence))
	}
	list("Further links (red)", rest)
	list("To be looked at", t.notes)
	d.y += 2 * listLine
	d.text(margin, margin+d.y, "a", "", "Lines: solid, both ends say so; dashed, one end says so or both have learned the other; dotted, uncertain.")
}

// text writes one line; what comes from devices is escaped here and nowhere else.
func (d *drawing) text(x, y int, class, anchor, s string) {
	if s == "" {
		return
	}
	if anchor != "" {
		anchor = ` text-anchor="` + anchor + `"`
	}
	fmt.Fprintf(&d.out, `<text x="%d" y="%d" class="%s"%s>`, x, y, class, anchor)
	d.escape(s)
	d.out.WriteString("</text>")
}

func (d *drawing) escape(s string) { _ = xml.EscapeText(&d.out, []byte(s)) } // it replaces what XML cannot hold
