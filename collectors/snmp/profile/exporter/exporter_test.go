package exporter

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the modules of testdata become now into the .want files; then read the diff")

// TestModules compares what is said about modules, to the letter, and what each
// becomes.
func TestModules(t *testing.T) {
	for _, c := range []struct{ file, module string }{
		{"snmp.yml", "anchored"}, {"snmp.yml", "tables"}, {"snmp.yml", "mistakes"}, {"snmp.yml", "empty"}, {"snmp.yml", "table"},
		{"old.yml", "first"}, {"old.yml", "second"}, {"old.yml", "auth"}, {"flow.yml", "flow"}, {"flow.yml", "other"},
	} {
		t.Run(c.file+" "+c.module, func(t *testing.T) {
			data, err := os.ReadFile("testdata/" + c.file)
			if err != nil {
				t.Fatal(err)
			}
			p, problems := Parse(c.file, data, c.module)
			var b strings.Builder
			for _, p := range problems {
				b.WriteString(p.String() + "\n")
			}
			if p != nil {
				if p.Name != c.module || p.Origin != c.file {
					t.Errorf("%s of %s", p.Name, p.Origin)
				}
				b.WriteString("\n" + p.Dump())
			}
			got := b.String()
			if strings.Contains(got, "canary") {
				t.Errorf("says a credential:\n%s", got)
			}
			wantFile := "testdata/" + strings.TrimSuffix(c.file, ".yml") + "-" + c.module + ".want"
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

// TestLoadFails: files that cannot be read.
func TestLoadFails(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yml")
	if err := os.WriteFile(big, []byte(strings.Repeat("# comment\n", maxFile/10+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none.yml"): "none.yml: cannot be read: no such file or directory",
		dir:                            ": cannot be read: it is no file",
		big:                            "big.yml: is larger than 16 MiB",
	} {
		p, problems := Load(file, "x")
		if p != nil || len(problems) != 1 || !strings.HasSuffix(problems[0].String(), want) {
			t.Errorf("%v, want %s", problems, want)
		}
	}
}

// FuzzExporter: whatever the file holds, the answer is a profile or a problem, soon.
func FuzzExporter(f *testing.F) {
	for file, modules := range map[string][]string{"snmp.yml": {"tables", "mistakes"}, "old.yml": {"second"}, "flow.yml": {"flow"}} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range modules {
			f.Add(data, m)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, module string) {
		slow := time.AfterFunc(10*time.Second, func() { panic("takes too long") })
		defer slow.Stop()
		p, problems := Parse("snmp.yml", data, module)
		if p == nil && len(problems) == 0 {
			t.Fatal("neither a profile nor a problem")
		}
		if p != nil {
			_ = p.Dump()
		}
		most := 1 + strings.Count(string(data), "\n") + strings.Count(string(data), "\r")
		for _, p := range problems {
			if p.Line < 0 || p.Line > most {
				t.Errorf("problem at line %d of %d: %s", p.Line, most, p.Message)
			}
		}
	})
}
