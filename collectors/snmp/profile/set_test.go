package profile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
)

// folder writes files into a folder of their own.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// said writes problems one a line, with the folder taken out.
func said(dir string, problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(strings.ReplaceAll(p.String(), dir+"/", "") + "\n")
	}
	return b.String()
}

// open opens a folder that has to be without problems.
func open(t testing.TB, files map[string]string) *Set {
	t.Helper()
	dir := folder(t, files)
	set, problems := Open(dir)
	if len(problems) > 0 {
		t.Fatal(said(dir, problems))
	}
	return set
}

// TestBuiltIn: what comes with the program has no problems.
func TestBuiltIn(t *testing.T) {
	set := open(t, nil)
	for _, p := range set.List() {
		if p.Origin != BuiltIn {
			t.Errorf("%s comes from %s", p.Name, p.Origin)
		}
	}
	if p := set.For("1.3.6.1.4.1.99999.1", "nobody"); p == nil || p.Name != Generic {
		t.Errorf("for an unknown device: %v", p)
	}
	if p := set.For("", ""); p == nil || p.Name != Generic {
		t.Errorf("for a device that says nothing: %v", p)
	}
}

// TestGeneric: what every device is asked for.
func TestGeneric(t *testing.T) {
	p := open(t, nil).Named(Generic)
	if len(p.Scalars) != 4 || len(p.Tables) != 1 || len(p.Tables[0].Columns) != 12 {
		t.Fatalf("%d scalars, %d tables", len(p.Scalars), len(p.Tables))
	}
	ifs := p.Tables[0]
	if len(ifs.Index) != 1 || ifs.Index[0].Label != "ifIndex" || ifs.Index[0].Type != IndexInteger {
		t.Errorf("index: %+v", ifs.Index)
	}
	var labels []string
	for _, l := range ifs.Labels {
		labels = append(labels, l.Name)
	}
	if got := strings.Join(labels, " "); got != "ifName _ifName ifDescr ifAlias" {
		t.Errorf("labels: %s", got)
	}
	for _, m := range ifs.Columns {
		if m.Labels != nil {
			t.Errorf("%s has labels of its own", m.Name)
		}
		if m.Name == "ifInOctets" && (m.InsteadOf != "ifHCInOctets" || !m.Pinned || m.Kind != collectors.Counter || m.Unit != "bytes") {
			t.Errorf("ifInOctets: %+v", m)
		}
	}
}

// least makes a profile of a few lines.
func least(head string) string {
	return head + "\nmetrics:\n  - symbol: {OID: 1.3.6.1.4.1.99999.1.0, name: x}\n"
}

// TestPrecedence: which profile a device gets.
func TestPrecedence(t *testing.T) {
	set := open(t, map[string]string{
		"vendor.yaml":    least("sysobjectid: 1.3.6.1.4.1.99999.*"),
		"family.yaml":    least("sysobjectid: 1.3.6.1.4.1.99999.5.*"),
		"middle.yaml":    least("sysobjectid: 1.3.6.1.4.1.99999.*.7"),
		"model.yaml":     least("sysobjectid: [.1.3.6.1.4.1.99999.5.1, 1.3.6.1.4.1.99999.5.2]"),
		"os.yaml":        least("sysobjectid: 1.3.6.1.4.1.99999.5.2\nsysdescr: 'NewOS'"),
		"os-exact.yaml":  least("sysobjectid: 1.3.6.1.4.1.99999.5.2\nsysdescr: 'NewOS 2'"),
		"descr.yaml":     least("sysdescr: '^Room'"),
		"_extended.yaml": least(""),
		"_generic.yml":   least(""),
	})
	for _, c := range []struct{ id, descr, want string }{
		{"1.3.6.1.4.1.99999.1", "", "vendor"},
		{"1.3.6.1.4.1.99999.1.2.3", "", "vendor"},
		{"1.3.6.1.4.1.99999", "", "_generic"}, // a star is at least one number
		{"1.3.6.1.4.1.999991", "", "_generic"},
		{"1.3.6.1.4.1.99999.5.9", "", "family"},
		{"1.3.6.1.4.1.99999.5.1", "", "model"},
		{".1.3.6.1.4.1.99999.5.1", "", "model"},
		{"1.3.6.1.4.1.99999.5.1.1", "", "family"}, // a pattern without a star is the whole
		{"1.3.6.1.4.1.99999.9.7", "", "middle"},
		{"1.3.6.1.4.1.99999.5.7", "", "middle"}, // as many numbers as family, and says how long it is
		{"1.3.6.1.4.1.99999.5.2", "NewOS 1", "os"},
		{"1.3.6.1.4.1.99999.5.2", "NewOS 2", "os-exact"},
		{"1.3.6.1.4.1.99999.5.2", "OldOS", "model"},
		{"1.3.6.1.4.1.99999.5.2", "", "model"},
		{"1.3.6.1.4.1.88888.1", "Room monitor", "descr"},
		{"1.3.6.1.4.1.8072.3.2.10", "Room monitor", "linux"}, // the agent has a profile: name its identifier, too, to be before it
		{"1.3.6.1.4.1.99999.5.1", "Room monitor", "model"},   // any number beats none
		{"", "Room monitor", "descr"},
		{"", "", "_generic"},
		{"not an OID", "", "_generic"},
	} {
		if p := set.For(c.id, c.descr); p.Name != c.want {
			t.Errorf("%q %q gets %s, want %s", c.id, c.descr, p.Name, c.want)
		}
	}
	if p := set.Named("_generic.yaml"); p == nil || p.Origin == BuiltIn {
		t.Errorf("the user's _generic does not take the place of the built-in one: %+v", p)
	}
	if set.Named("nothing") != nil {
		t.Error("there is a profile named nothing")
	}
}

// TestTies: two profiles that nothing tells apart are a warning; the first counts.
func TestTies(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.yaml":    least("sysobjectid: 1.3.6.1.4.1.99999.1"),
		"b.yaml":    least("sysobjectid: [1.3.6.1.4.1.99999.2, 1.3.6.1.4.1.99999.1]"),
		"notes.txt": "not a profile",
	})
	set, problems := Open(dir)
	want := "notes.txt: warning: is left out: profiles are *.yaml\n" +
		"b.yaml: warning: matches 1.3.6.1.4.1.99999.1 just as a.yaml does, which counts\n"
	if got := said(dir, problems); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if p := set.For("1.3.6.1.4.1.99999.1", ""); p.Name != "a" {
		t.Errorf("%s counts", p.Name)
	}
}

// TestExtends: what is added and who wins.
func TestExtends(t *testing.T) {
	set := open(t, map[string]string{
		"a.yaml": `
extends: [_b.yaml, _c]
sysobjectid: 1.3.6.1.4.1.99999.1
agent: {max_columns: 3}
metadata: {device: {fields: {vendor: {value: a}}}}
metrics:
  - symbol: {OID: 1.3.6.1.4.1.99999.1.0, name: one, unit: a}
  - table: {OID: 1.3.6.1.4.1.99999.9, name: table}
    symbols: [{OID: 1.3.6.1.4.1.99999.9.1.2, name: two, unit: a}]
  - table: {OID: 1.3.6.1.4.1.99999.8, name: elsewhere}
    symbols: [{OID: 1.3.6.1.4.1.99999.8.1.2, name: eight, unit: a}]
    metric_tags: [{tag: own, index: 1}]
`,
		"_b.yaml": `
sysobjectid: 1.3.6.1.4.1.99999.2
class: switch
agent: {bulk: false, max_columns: 1}
metadata: {device: {fields: {vendor: {value: b}, model: {value: b}}}}
metric_tags: [{tag: t, symbol: {OID: 1.3.6.1.4.1.99999.3.0, name: t}}]
metrics:
  - symbol: {OID: 1.3.6.1.4.1.99999.1.0, name: one, unit: b}
  - symbol: {OID: 1.3.6.1.4.1.99999.2.0, name: both, unit: b}
  - table: {OID: 1.3.6.1.4.1.99999.9, name: table}
    index: [{label: row}]
    symbols:
      - {OID: 1.3.6.1.4.1.99999.9.1.1, name: one, unit: b}
      - {OID: 1.3.6.1.4.1.99999.9.1.2, name: two, unit: b}
      - {OID: 1.3.6.1.4.1.99999.8.1.1, name: augmented, unit: b}
    metric_tags: [{tag: name, symbol: {OID: 1.3.6.1.4.1.99999.9.1.7, name: name}}]
`,
		"_c.yaml": least("extends: _b.yaml\nclass: router") + "  - symbol: {OID: 1.3.6.1.4.1.99999.2.0, name: both, unit: c}\n",
	})
	p := set.Named("a")
	want := `matches sysobjectid=1.3.6.1.4.1.99999.1
agent no-bulk max-columns=3
class router
field model value="b"
field vendor value="a"
label t <- 1.3.6.1.4.1.99999.3.0
scalar x 1.3.6.1.4.1.99999.1.0 kind=as-sent
scalar both 1.3.6.1.4.1.99999.2.0 kind=as-sent unit="c"
scalar one 1.3.6.1.4.1.99999.1.0 kind=as-sent unit="a"
table table
  index row integer
  column one 1.3.6.1.4.1.99999.9.1.1 kind=as-sent unit="b"
    label name <- 1.3.6.1.4.1.99999.9.1.7
  column augmented 1.3.6.1.4.1.99999.8.1.1 kind=as-sent unit="b"
    label name <- 1.3.6.1.4.1.99999.9.1.7
  column two 1.3.6.1.4.1.99999.9.1.2 kind=as-sent unit="a"
  column eight 1.3.6.1.4.1.99999.8.1.2 kind=as-sent unit="a"
    label own <- arc=1
`
	if d := cmp.Diff(want, p.Dump()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestExtendsEndless: cycles, chains without an end and metrics without number.
func TestExtendsEndless(t *testing.T) {
	files := map[string]string{
		"a.yaml":    least("extends: b.yaml"),
		"b.yaml":    least("extends: c.yaml"),
		"c.yaml":    least("extends: [a.yaml, _base.yaml]"),
		"self.yaml": least("extends: self.yaml"),
		// A user's file may extend the built-in one whose place it takes.
		"_base.yaml": least("extends: _base.yaml"),
	}
	// Each of a level extends all of the next: 4 to the power of 9 ways.
	for level := range 10 {
		var next []string
		for i := range 4 {
			next = append(next, fmt.Sprintf("l%d-%d", level+1, i))
		}
		if level == 9 {
			next = nil
		}
		for i := range 4 {
			files[fmt.Sprintf("l%d-%d.yaml", level, i)] = least("extends: [" + strings.Join(next, ", ") + "]")
		}
	}
	for i := range 14 {
		files[fmt.Sprintf("m%02d.yaml", i)] = least(fmt.Sprintf("extends: m%02d", i+1))
	}
	files["m14.yaml"] = least("")
	var many strings.Builder
	many.WriteString("metrics:\n")
	for i := range 3000 {
		fmt.Fprintf(&many, "  - symbol: {OID: 1.3.6.1.4.1.99999.%d.0, name: m%d}\n", i, i)
	}
	files["n1.yaml"] = many.String()
	files["n2.yaml"] = "extends: n1\n" + strings.ReplaceAll(many.String(), "name: m", "name: n")
	dir := folder(t, files)
	set, problems := Open(dir)
	want := `c.yaml:1:11: "a" extends this profile, so this cannot extend it
m03.yaml:1:10: profiles extend each other over more than 10 steps
n2.yaml: has 6000 metrics with all that it extends; 4096 is the most, so what it extends is left out
self.yaml:1:10: a profile cannot extend itself
`
	if d := cmp.Diff(want, said(dir, problems)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if p := set.Named("_base"); p.Origin == BuiltIn || len(p.Scalars) != 5 {
		t.Errorf("the user's _base: %d scalars of %s", len(p.Scalars), p.Origin)
	}
	if p := set.Named(Generic); p.Origin != BuiltIn || len(p.Scalars) != 4 {
		t.Errorf("the built-in generic profile has %d scalars", len(p.Scalars))
	}
}

// TestHostileFiles: whatever stands in the folder, Open comes back with a word about it.
func TestHostileFiles(t *testing.T) {
	dir := folder(t, map[string]string{
		"big.yaml":    strings.Repeat("# comment\n", maxFile/10+1),
		"long.yaml":   "metrics: [" + strings.Repeat("a,", maxTokens) + "]",
		"deep.yaml":   strings.Repeat("[", 1000),
		"bomb.yaml":   "a: &a [x]\nb: &b [*a, *a]\n",
		"regexp.yaml": "sysdescr: '" + strings.Repeat("a", values.MaxRegexp+1) + "'",
		"repeat.yaml": "sysdescr: '((a{1000}){1000}){1000}'",
		"nul.yaml":    "class: \"sw\\0itch\"",
		"same.yaml":   least(""),
		"same.yml":    least(""),
	})
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	_, problems := Open(dir)
	want := `same.yml: is left out: same.yaml has the same name
big.yaml: is larger than 1 MiB
bomb.yaml:1:4: anchors (&), aliases (*) and merge keys (<<) are not used in a profile; write the value out
bomb.yaml:2:4: anchors (&), aliases (*) and merge keys (<<) are not used in a profile; write the value out
bomb.yaml:2:8: anchors (&), aliases (*) and merge keys (<<) are not used in a profile; write the value out
bomb.yaml:2:12: anchors (&), aliases (*) and merge keys (<<) are not used in a profile; write the value out
deep.yaml:1:17: is nested too deeply
folder.yaml: cannot be read: it is no file
link.yaml: cannot be read: no such file or directory
long.yaml: is too long
nul.yaml:1:8: class holds characters that are no text
pipe.yaml: cannot be read: it is no file
regexp.yaml:1:11: sysdescr is longer than 1024 bytes
repeat.yaml:1:11: sysdescr is no regular expression (RE2): invalid repeat count: ` + "`{1000}`" + `
`
	got := said(dir, problems)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestLoad: what a file extends is looked for beside it, then in the set.
func TestLoad(t *testing.T) {
	set := open(t, map[string]string{"_mine.yaml": least("class: ups"), "_other.yaml": least("class: nas")})
	dir := folder(t, map[string]string{
		"new.yaml":   least("extends: [_mine.yaml, _other.yaml, _base.yaml]"),
		"_mine.yaml": least("class: switch") + "  - symbol: {OID: 1.3.6.1.4.1.99999.2.0, name: y}\n",
	})
	p, problems := set.Load(filepath.Join(dir, "new.yaml"))
	if len(problems) > 0 || p == nil || p.Device.Class != "nas" || len(p.Scalars) != 6 || p.Name != "new" {
		t.Errorf("%v %+v", problems, p)
	}
	if p, problems := set.Load(filepath.Join(dir, "none.yaml")); p != nil || said(dir, problems) != "none.yaml: cannot be read: no such file or directory\n" {
		t.Errorf("a file that is not there: %v", problems)
	}
	if _, problems := Open(filepath.Join(dir, "new.yaml")); len(problems) != 1 || problems[0].Message != "cannot be read: not a directory" {
		t.Errorf("a folder that is a file: %v", problems)
	}
	if _, problems := Open(filepath.Join(dir, "nowhere")); len(problems) != 0 {
		t.Errorf("a folder that is not there: %v", problems)
	}
}

// TestHash: equal for the same files, else not.
func TestHash(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": least("")})
	hash := func() string {
		set, _ := Open(dir)
		return set.Hash()
	}
	before := hash()
	if before == "" || hash() != before {
		t.Errorf("%q, then %q", before, hash())
	}
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(least("class: ups")), 0o600); err != nil {
		t.Fatal(err)
	}
	if hash() == before {
		t.Error("the hash of other content is the same")
	}
}
