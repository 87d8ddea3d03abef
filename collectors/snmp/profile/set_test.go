package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
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

func dotted(oid []byte) string { return string(pdu.AppendDotted(nil, oid)) }
