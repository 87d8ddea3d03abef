package runbook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Card is a card filled in. All texts are single lines without control characters.
type Card struct {
	Name       string   `json:"name"`
	Lang       string   `json:"lang"` // of the text; of a folder's card without a language that of the site
	Title      string   `json:"title"`
	Means      string   `json:"means"`
	Check      []string `json:"check"`                // on site, by anybody
	Technician []string `json:"technician,omitempty"` // then
	Call       []string `json:"call"`                 // whom, the first first
}

// Bounds of a card.
const (
	maxFile  = 16 << 10 // bytes
	maxLine  = 400      // bytes of a line in the file
	maxItems = 12       // of a list
	maxValue = 200      // bytes that a variable stands for
	maxLines = 12       // of the text before the first heading
)

// page is a card as it was written.
type page struct {
	title                   string
	means                   []string
	check, technician, call []string
}

// sections are the headings of a card's file.
const (
	onSite     = "On site"
	technician = "Technician"
	toCall     = "Call"
)

// parse reads a card's file. The error says what is wrong and where.
func parse(data []byte) (*page, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("has more than %d KiB", maxFile>>10)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("is not UTF-8")
	}
	p := &page{}
	var list *[]string // of the heading that the line stands under
	for i, line := range strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if err := p.line(line, &list); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	switch {
	case p.title == "":
		return nil, errors.New("has no title: a first line such as # Device does not answer")
	case len(p.means) == 0:
		return nil, errors.New("does not say what it means: a text below the title")
	case len(p.check) == 0 || len(p.call) == 0:
		return nil, fmt.Errorf("needs the headings ## %s and ## %s, each with lines that begin with -", onSite, toCall)
	}
	return p, nil
}

// line takes in one line that is not empty.
func (p *page) line(line string, list **[]string) error {
	if len(line) > maxLine {
		return fmt.Errorf("has more than %d bytes", maxLine)
	}
	if err := known(line); err != nil {
		return err
	}
	if title, ok := strings.CutPrefix(line, "# "); ok {
		if p.title != "" {
			return errors.New("a second title")
		}
		p.title = strings.TrimSpace(title)
		return nil
	}
	if p.title == "" {
		return errors.New("the first line must be the title: # and a few words")
	}
	if heading, ok := strings.CutPrefix(line, "## "); ok {
		at, ok := map[string]*[]string{onSite: &p.check, technician: &p.technician, toCall: &p.call}[strings.TrimSpace(heading)]
		if !ok {
			return fmt.Errorf("the headings are ## %s, ## %s and ## %s, in every language", onSite, technician, toCall)
		}
		*list = at
		return nil
	}
	if *list == nil {
		if p.means = append(p.means, line); len(p.means) > maxLines {
			return fmt.Errorf("more than %d lines of text before the first heading", maxLines)
		}
		return nil
	}
	item, ok := strings.CutPrefix(line, "- ")
	if !ok {
		return errors.New("below a heading every line is one of a list and begins with -")
	}
	if **list = append(**list, strings.TrimSpace(item)); len(**list) > maxItems {
		return fmt.Errorf("more than %d lines in a list", maxItems)
	}
	return nil
}

// variables are what may stand in braces.
var variables = []string{"what", "site", "isp", "circuit", "hotline", "provider", "contacts", "support", "owner"}

// known refuses braces with anything else than a variable in them.
func known(line string) error {
	for rest := line; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return nil
		}
		name, more, ok := strings.Cut(after, "}")
		if !ok {
			return errors.New("a brace { is not closed")
		}
		if !slices.Contains(variables, name) {
			return fmt.Errorf("{%s} is none of {%s}", Clean(name), strings.Join(variables, "}, {"))
		}
		rest = more
	}
}

// Clean makes a value fit for a line: of one line, without control characters, bounded.
func Clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError, r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	for i := range s {
		if i > maxValue {
			return s[:lastRune(s, maxValue)] + "…"
		}
	}
	return s
}

// lastRune is the beginning of the rune that the byte n belongs to.
func lastRune(s string, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

// fill puts values into a line; ok is false where one of them is empty. The contacts are
// several lines; a line with them comes once for each.
func fill(line string, values map[string][]string) (out []string, ok bool) {
	out = []string{""}
	for {
		before, after, found := strings.Cut(line, "{")
		for i := range out {
			out[i] += before
		}
		if !found {
			return out, true
		}
		name, rest, _ := strings.Cut(after, "}")
		of := values[name]
		if len(of) == 0 {
			return nil, false
		}
		var next []string
		for _, head := range out {
			for _, v := range of {
				next = append(next, head+v)
			}
		}
		out, line = next[:min(len(next), maxItems)], rest
	}
}

// fillAll fills in lines and leaves out those with a hole, and those that were there.
func fillAll(lines []string, values map[string][]string) (out []string) {
	for _, l := range lines {
		filled, _ := fill(l, values)
		for _, f := range filled {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out
}

// card fills in a page.
func (p *page) card(name, lang string, v Vars, w *Words) Card {
	values := v.values(w)
	c := Card{Name: name, Lang: lang, Check: fillAll(p.check, values), Technician: fillAll(p.technician, values), Call: fillAll(p.call, values)}
	if title := fillAll([]string{p.title}, values); len(title) > 0 {
		c.Title = title[0]
	} else {
		c.Title = name
	}
	c.Means = strings.Join(fillAll(p.means, values), " ")
	if len(c.Call) == 0 {
		c.Call = values["support"]
	}
	return c
}
