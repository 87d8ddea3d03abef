package profile

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
)

var update = flag.Bool("update", false, "write what the files of testdata/corpus say and become now into their .want files; then read the diff")

// TestCorpus compares what is said about each file of the corpus, to the letter, and
// what it becomes.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.yaml")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		name := baseName(filepath.Base(file))
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set, _ := Open("")
			dir := folder(t, map[string]string{name + ".yaml": string(text)})
			p, problems := set.Load(filepath.Join(dir, name+".yaml"))
			got := said(dir, problems)
			if p != nil {
				got += "\n" + dump(p)
			}
			wantFile := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// dump writes a profile so that a person can check it.
func dump(p *Profile) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("match %v sysdescr %q", p.Match.ObjectIDs, p.descr())
	line("class %q agent %+v", p.Device.Class, p.Agent)
	for _, name := range slices.Sorted(maps.Keys(p.Device.Fields)) {
		for _, f := range p.Device.Fields[name] {
			line("field %s: %s", name, trim(fmt.Sprintf("value=%q oid=%s text=%d extract=%s", f.Value, dotted(f.OID), f.Text, dumpExtract(f.Extract))))
		}
	}
	for _, l := range p.Labels {
		line("label %s", dumpLabel(l))
	}
	for _, m := range p.Scalars {
		line("scalar %s", dumpMetric(m))
		for _, l := range m.Labels {
			line("  label %s", dumpLabel(l))
		}
	}
	for _, t := range p.Tables {
		line("table %s", t.Name)
		for _, i := range t.Index {
			line("  index %+v", i)
		}
		for _, l := range t.Labels {
			line("  label %s", dumpLabel(l))
		}
		for _, m := range t.Columns {
			line("  column %s", dumpMetric(m))
			for _, l := range m.Labels {
				line("    label %s", dumpLabel(l))
			}
		}
	}
	return b.String()
}

func dumpMetric(m Metric) string {
	c := m.Convert
	sensor := ""
	if c.Sensor != nil {
		sensor = dotted(c.Sensor.Type) + "," + dotted(c.Sensor.Scale) + "," + dotted(c.Sensor.Precision) + "," + dotted(c.Sensor.Status)
	}
	return trim(fmt.Sprintf("%s %s kind=%v unit=%q form=%d label=%q every=%v instead=%q pinned=%v invalid=%v unsigned=%v text=%d typeof=%s layout=%q extract=%s enum=%v words=%v sensor=%s scale=%v offset=%v constant=%v",
		m.Name, dotted(m.OID), m.Kind, m.Unit, m.Form, m.FormLabel, m.Interval, m.InsteadOf, m.Pinned, c.Invalid, c.Unsigned, c.Text, dotted(c.TypeOf), c.Layout, dumpExtract(c.Extract), c.Enum, c.Words, sensor, c.Scale, c.Offset, c.Constant))
}

func dumpLabel(l Label) string {
	out := trim(fmt.Sprintf("%s unless=%q hidden=%v", l.Name, l.Unless, l.Hidden))
	for _, s := range l.From {
		out += " <- " + dumpSource(s)
	}
	return out
}

func dumpSource(s Source) string {
	through := ""
	if s.Through != nil {
		through = "(" + dumpSource(*s.Through) + ")"
	}
	return trim(fmt.Sprintf("value=%q arc=%d oid=%s arcs=%v parts=%v through=%s text=%d typeof=%s extract=%s enum=%v",
		s.Value, s.Arc, dotted(s.OID), s.Arcs, s.Parts, through, s.Text, dotted(s.TypeOf), dumpExtract(s.Extract), s.Enum))
}

func dumpExtract(x *Extract) string {
	if x == nil {
		return ""
	}
	out := fmt.Sprintf("%q->%q", values.Clip(x.Pattern.String()), x.Template)
	if x.Next != nil {
		out += "|" + dumpExtract(x.Next)
	}
	return out
}

// trim leaves out what is not set.
func trim(s string) string {
	var out []string
	for _, f := range strings.Split(s, " ") {
		switch _, v, ok := strings.Cut(f, "="); {
		case ok && (v == "" || v == `""` || v == "0" || v == "0s" || v == "[]" || v == "map[]" || v == "false" || v == "kind 0"):
		case f == "0": // of kind=kind 0
		default:
			out = append(out, f)
		}
	}
	return strings.ReplaceAll(strings.Join(out, " "), "kind=kind", "kind=?")
}
