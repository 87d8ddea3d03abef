package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// FuzzProfile: whatever a file holds, it becomes a profile soon, each problem has a
// place, and what was taken is such that a collector can rely on it.
func FuzzProfile(f *testing.F) {
	for _, pattern := range []string{"testdata/corpus/*.yaml", "builtin/_*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		slow := time.AfterFunc(10*time.Second, func() { panic("takes too long") })
		defer slow.Stop()
		own, problems := read("x.yaml", data)
		most := 1 + strings.Count(string(data), "\n") + strings.Count(string(data), "\r")
		for _, p := range problems {
			if p.File != "x.yaml" || p.Line < 0 || p.Line > most {
				t.Errorf("problem at %s:%d of %d: %s", p.File, p.Line, most, p.Message)
			}
		}
		p := merge(&part{}, own).profile("x", "x.yaml", func(string, yamlfile.Place, string) {})
		_ = p.Dump()
		again := merge(own, own)
		if n := again.count(); n > own.count() {
			t.Errorf("extending itself makes %d metrics of %d", n, own.count())
		}
		for _, m := range p.Scalars {
			checkMetric(t, m)
		}
		for _, table := range p.Tables {
			if table.Name == "" || len(table.Columns) == 0 {
				t.Errorf("table %q of %d columns", table.Name, len(table.Columns))
			}
			checkLabels(t, table.Labels)
			for _, m := range table.Columns {
				checkMetric(t, m)
			}
		}
		checkLabels(t, p.Labels)
	})
}

func checkMetric(t *testing.T, m Metric) {
	if m.Name == "" || len(m.OID) == 0 || m.Name != cleaned(m.Name) {
		t.Errorf("metric %q at %q", m.Name, dotted(m.OID))
	}
	checkLabels(t, m.Labels)
}

func checkLabels(t *testing.T, labels []Label) {
	for _, l := range labels {
		if l.Name == "" || len(l.From) == 0 || strings.Contains(l.Name, ":") || l.Name != cleaned(l.Name) {
			t.Errorf("label %q from %d sources", l.Name, len(l.From))
		}
		for _, s := range l.From {
			if s.Arc == 0 && s.OID == nil && s.Value == "" {
				t.Logf("label %s has a source that gives nothing", l.Name)
			}
		}
	}
}

// cleaned takes out what a name must not have.
func cleaned(s string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:", c) {
			return c
		}
		return -1
	}, s)
}
