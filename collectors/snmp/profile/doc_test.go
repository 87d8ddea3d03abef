package profile

import (
	"os"
	"strings"
	"testing"
)

// TestExample loads the example of the manual.
func TestExample(t *testing.T) {
	manual, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(manual), "// # An example\n//\n")
	text, _, ok2 := strings.Cut(text, "//\n// #")
	if !ok || !ok2 {
		t.Fatal("the manual has no example")
	}
	set := open(t, map[string]string{"example.yaml": strings.ReplaceAll(text, "//\t", "")})
	p := set.For("1.3.6.1.4.1.99999.1.7", "Example Router 5")
	if p.Name != "example" || set.For("1.3.6.1.4.1.99999.1.7", "Something") == p {
		t.Fatalf("the example does not match: %s", p.Name)
	}
	if len(p.Scalars) != 6 || len(p.Tables) != 2 || len(p.Tables[1].Columns) != 2 || len(p.Tables[1].Labels) != 2 {
		t.Errorf("%d scalars, %d tables", len(p.Scalars), len(p.Tables))
	}
	if serial := p.Device.Fields["serial_number"]; len(serial) != 2 || serial[0].Extract == nil {
		t.Errorf("serial number: %+v", serial)
	}
}

// TestManualIsWhole: whatever key the reader knows stands in the manual.
func TestManualIsWhole(t *testing.T) {
	manual, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{}
	for _, known := range []keys{r.common(&metricKeys{}), r.tagKeys(&tagKeys{})} {
		for key, take := range known {
			if take != nil && !strings.Contains(string(manual), key) {
				t.Errorf("the manual does not know %s", key)
			}
		}
	}
}
