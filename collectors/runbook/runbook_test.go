package runbook

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// constants lists the values of the constants of a type in a file.
func constants(t *testing.T, file, typ string) (out []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			s := s.(*ast.ValueSpec)
			if id, ok := s.Type.(*ast.Ident); ok && id.Name == typ {
				v, err := strconv.Unquote(s.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, v)
			}
		}
	}
	return out
}

// all are the names that must have a card.
func all(t *testing.T) []string {
	t.Helper()
	verdicts := constants(t, "../diagnosis/verdict.go", "Code")
	kinds := constants(t, "../incident/incident.go", "Kind")
	if len(verdicts) < 25 || len(kinds) < 8 {
		t.Fatalf("found %d verdicts and %d kinds only", len(verdicts), len(kinds))
	}
	return append(verdicts, kinds...)
}

var full = Vars{What: "core-sw1", Site: "acme-berlin", ISP: "Telekom", Circuit: "49-30-1234", Hotline: "+49 800 330 1000",
	Contacts: []Contact{{"Front desk", "+49 30 1234", ""}, {"Janitor", "+49 30 99", "j@acme.example"}},
	Support:  Contact{"Northwind", "+49 40 1", "help@northwind.example"}, Owner: diagnosis.ISP}

// Everything that can break has a card in every built-in language, and no card is there
// for nothing.
func TestEveryVerdictAndKindHasACard(t *testing.T) {
	want := map[string]bool{}
	for _, name := range all(t) {
		want[name] = true
		for _, w := range words {
			for _, v := range []Vars{{}, full} {
				cards, _ := Open("", w.Lang)
				c := cards.Card(v, name)
				if c.Name != name || c.Lang != w.Lang || c.Title == "" || c.Means == "" || len(c.Call) == 0 {
					t.Errorf("%s in %s: %+v", name, w.Lang, c)
				}
			}
		}
	}
	entries, err := builtin.ReadDir("cards")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		k, err := idOf(e.Name())
		if err != nil || !want[k.name] {
			t.Errorf("%s is a card of nothing (%v)", e.Name(), err)
		}
		data, err := builtin.ReadFile("cards/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(data); err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
}

// jargon are words that nobody on site has to know. A technician has.
var jargon = regexp.MustCompile(`(?i)\b(ARP|DHCP|TLS|SSL|MTU|SNMP|MQTT|NTP|DNS|ICMP|TCP|UDP|VLAN|PoE|LLDP|FDB|broker|resolver|gateway|carrier|lease|packet|Paket|anchor|NXDOMAIN|traceroute|payload|daemon|subnet|hash|socket\(|ping|MAC|CPE|WAN|PPPoE)\b`)

// The texts are short and plain, and have no hole with whatever is known of a site.
func TestCardsAreShortAndPlain(t *testing.T) {
	for _, w := range words {
		cards, _ := Open("", w.Lang)
		for _, name := range all(t) {
			for what, v := range map[string]Vars{"an empty site": {}, "a full site": full, "no contacts": {ISP: "Telekom", Owner: diagnosis.Customer}} {
				c := cards.Card(v, name)
				where := fmt.Sprintf("%s in %s for %s", name, w.Lang, what)
				if n := len(c.Check); n < 3 || n > 6 {
					t.Errorf("%s: %d steps on site, want 3 to 6", where, n)
				}
				if n := len(c.Technician); n < 2 || n > 5 {
					t.Errorf("%s: %d steps of a technician, want 2 to 5", where, n)
				}
				if len(c.Call) == 0 {
					t.Errorf("%s: nobody to call", where)
				}
				checkLine(t, where+": title", c.Title, 60, true)
				checkLine(t, where+": means", c.Means, 200, true)
				for _, s := range c.Check {
					checkLine(t, where, s, 110, true)
					sentence(t, where, s)
				}
				for _, s := range c.Technician {
					checkLine(t, where, s, 120, false)
				}
				for _, s := range strings.SplitAfter(c.Means, ". ") {
					sentence(t, where, strings.TrimSpace(s))
					if n := len(strings.Fields(s)); n > 22 {
						t.Errorf("%s: a sentence of %d words: %s", where, n, s)
					}
				}
			}
		}
	}
}

func checkLine(t *testing.T, where, s string, most int, plain bool) {
	t.Helper()
	if n := utf8.RuneCountInString(s); n == 0 || n > most {
		t.Errorf("%s: %d characters, at most %d: %s", where, n, most, s)
	}
	if strings.ContainsAny(s, "{}<>\n\t") || strings.Contains(s, "  ") || strings.Contains(s, " .") || strings.Contains(s, " ,") {
		t.Errorf("%s: has a hole or a mark: %q", where, s)
	}
	if word := jargon.FindString(s); plain && word != "" {
		t.Errorf("%s: nobody on site knows the word %q: %s", where, word, s)
	}
}

func sentence(t *testing.T, where, s string) {
	t.Helper()
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") {
		t.Errorf("%s: is no sentence: %q", where, s)
	}
}

func TestCardIsFilledIn(t *testing.T) {
	cards, problems := Open(filepath.Join(t.TempDir(), "missing"), "")
	if len(problems) > 0 {
		t.Error(problems)
	}
	v := full
	v.Owner = diagnosis.Customer
	c := cards.Card(v, "device_down")
	if !strings.HasSuffix(c.Means, "Concerned: core-sw1.") {
		t.Errorf("means %q", c.Means)
	}
	want := []string{"Front desk, +49 30 1234", "Janitor, +49 30 99, j@acme.example", "Northwind, +49 40 1, help@northwind.example"}
	if strings.Join(c.Call, "|") != strings.Join(want, "|") {
		t.Errorf("call %q, want %q", c.Call, want)
	}
	v.Owner = diagnosis.ISP
	c = cards.Card(v, "WAN_PORT_DOWN")
	if want := "Telekom, +49 800 330 1000, line 49-30-1234"; c.Call[0] != want || len(c.Call) != 2 {
		t.Errorf("call %q, want %q once and the support", c.Call, want)
	}
	if c := cards.Card(Vars{}, "no such card", "port_down"); c.Name != "port_down" || c.Call[0] != "your IT support" {
		t.Errorf("%+v", c)
	}
	if c := cards.Card(Vars{}, "no such card"); c.Name != Fallback {
		t.Errorf("%+v", c)
	}
}

// What comes from devices and people is a value: it opens no line, no variable, no mark.
func TestHostileValues(t *testing.T) {
	v := full
	v.What = "sw\r\nBcc: x@y\u2028\x1b[31m\u202e{support} {nope} " + strings.Repeat("å", 500)
	v.ISP = "{contacts}\n"
	cards, _ := Open("", "en")
	c := cards.Card(v, "device_down")
	if strings.ContainsAny(c.Means, "\r\n\x1b\u2028\u202e") || !strings.Contains(c.Means, "{support} {nope}") || len(c.Means) > 450 {
		t.Errorf("%q", c.Means)
	}
	if c.Call[0] != "{contacts}, +49 800 330 1000, line 49-30-1234" {
		t.Errorf("%q", c.Call)
	}
	if !utf8.ValidString(c.Text(76)) {
		t.Error("a rune was cut")
	}
}

const good = "# Title {what}\n\nIt means {site}.\nAnd more.\n\n## On site\n- a\n## Call\n- {isp}\n"

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("GW_DOWN.md", strings.ReplaceAll(good, "Title", "Own"))
	put("GW_DOWN.fr.md", strings.ReplaceAll(good, "Title", "Panne"))
	put("LINK_DOWN.fr.md", strings.ReplaceAll(good, "Title", "Câble"))
	put("coffee.md", good)
	put("OK.md", "no title")
	put("PARTIAL.md", good+"- {exec}\n")
	put("bad name.md", good)
	put("x.klingon_.md", good)
	put("large.md", good+strings.Repeat("- a\n", maxFile))
	put("notes.txt", "left alone")
	put(".hidden.md", "left alone")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.md"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.md"), 0o700); err != nil {
		t.Fatal(err)
	}

	title := func(c *Cards, name string) string { return c.Card(Vars{What: "x"}, name).Title }
	fr, problems := Open(dir, "fr-CA")
	for name, want := range map[string]string{"GW_DOWN": "Panne x", "LINK_DOWN": "Câble x", "coffee": "Title x", "OK": "All is well", "PARTIAL": "Only a part of the internet works"} {
		if got := title(fr, name); got != want {
			t.Errorf("%s in fr-CA: %q, want %q", name, got, want)
		}
	}
	de, _ := Open(dir, "de")
	if got := title(de, "GW_DOWN"); got != "Own x" {
		t.Errorf("%q: what the MSP wrote counts before what is built in", got)
	}
	if got := title(de.In("fr"), "GW_DOWN"); got != "Panne x" {
		t.Errorf("%q", got)
	}
	var told []string
	for _, p := range problems {
		told = append(told, strings.TrimPrefix(p.String(), dir+"/"))
	}
	want := []string{
		"OK.md: line 1: the first line must be the title: # and a few words",
		"PARTIAL.md: line 10: {exec} is none of {what}, {site}, {isp}, {circuit}, {hotline}, {provider}, {contacts}, {support}, {owner}",
		"bad name.md: is not called NAME.md or NAME.LANG.md, with a name of letters, digits, - and _",
		"folder.md: is not a regular file",
		"large.md: has more than 16 KiB",
		"pipe.md: is not a regular file",
		"x.klingon_.md: what stands before .md is no language such as de or pt-BR",
	}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

func TestBrokenCards(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "has no title",
		"# t\n":                         "does not say what it means",
		"# t\nx\n":                      "needs the headings",
		"# t\n# u\n":                    "line 2: a second title",
		"# t\n## Hm\n":                  "line 2: the headings are",
		"# t\nx {what\n":                "line 2: a brace { is not closed",
		"# t\nx\n## On site\nno mark\n": "line 4: below a heading",
		"# t\nx\n## On site\n" + strings.Repeat("- a\n", maxItems+1): "more than 12 lines",
		"# t\n" + strings.Repeat("x", maxLine+1):                     "more than 400 bytes",
		"# t\n" + strings.Repeat("x\n", maxLines+1):                  "more than 12 lines of text",
		"# t\n\xff": "is not UTF-8",
		"# t\nx\n## On site\n- a\n## Call\n- {what {site}}\n":         "{what {site} is none",
		strings.Replace(good, "## Call", "## Call\n- {{support}}", 1): "{{support} is none",
	} {
		if _, err := parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	if _, err := parse([]byte("\ufeff" + strings.ReplaceAll(good, "\n", "\r\n"))); err != nil {
		t.Errorf("as some editors of Windows write: %v", err)
	}
}

func TestText(t *testing.T) {
	cards, _ := Open("", "en")
	c := cards.Card(full, "LINK_DOWN")
	for _, line := range strings.Split(c.Text(60), "\n") {
		if utf8.RuneCountInString(line) > 60 || strings.HasSuffix(line, " ") {
			t.Errorf("%q", line)
		}
	}
	if !strings.Contains(c.Text(76), "\nWhat you can check\n  1. Follow the network cable") {
		t.Errorf("%s", c.Text(76))
	}
}

// FuzzCard: whatever a file holds, it is a card that can be shown, or an error.
func FuzzCard(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("# t\nx\n## On site\n- {what}{what}{contacts}{contacts}{contacts}{contacts}\n## Call\n- x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parse(data)
		if err != nil {
			return
		}
		c := p.card("x", "en", full, WordsOf("en"))
		if text := c.Text(76); len(text) > 20*maxFile || !utf8.ValidString(text) {
			t.Errorf("%d bytes", len(text))
		}
	})
}
