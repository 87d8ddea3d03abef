package runbook

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text writes a card for a terminal or a mail: plain text of lines of at most width
// characters, as far as its words allow.
func (c *Card) Text(width int) string {
	return c.Title + "\n" + strings.Repeat("=", utf8.RuneCountInString(c.Title)) + "\n\n" + c.Body(width)
}

// Body is the card's text without its title.
func (c *Card) Body(width int) string {
	w := WordsOf(c.Lang)
	var b strings.Builder
	if c.Means != "" {
		b.WriteString(Wrap(c.Means, width, "", "") + "\n")
	}
	steps(&b, w.Check, c.Check, width, true)
	steps(&b, w.Technician, c.Technician, width, false)
	steps(&b, w.Call, c.Call, width, false)
	return b.String()
}

func steps(b *strings.Builder, heading string, items []string, width int, numbered bool) {
	if len(items) == 0 {
		return
	}
	b.WriteString("\n" + heading + "\n")
	for i, s := range items {
		mark := "  - "
		if numbered {
			mark = fmt.Sprintf("%3d. ", i+1)
		}
		b.WriteString(Wrap(s, width, mark, strings.Repeat(" ", len(mark))) + "\n")
	}
}

// Wrap breaks a text between words into lines of at most width characters, as far as its
// words allow. The first line begins with first, the others with rest.
func Wrap(s string, width int, first, rest string) string {
	var b strings.Builder
	b.WriteString(first)
	at, begun := utf8.RuneCountInString(first), false
	for _, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case begun && at+1+n > width:
			b.WriteString("\n" + rest)
			at = utf8.RuneCountInString(rest)
		case begun:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, begun = at+n, true
	}
	return b.String()
}
