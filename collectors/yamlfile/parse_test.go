package yamlfile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var limits = Limits{Bytes: 1 << 20, Tokens: 100_000, What: "a test"}

// TestColons: however a list is written, what stands in it is text with colons.
func TestColons(t *testing.T) {
	want := []string{"mqtts://mqtt.msp.example:8883", "192.168.10.1:161", "outlook.office365.com:443", "2001:db8::1", "::1", ":9162", "fd00::/8", "a:b", "12:30"}
	text := "mqtts://mqtt.msp.example:8883, 192.168.10.1:161, outlook.office365.com:443, 2001:db8::1, ::1, :9162, fd00::/8, \"a:b\", 12:30"
	block := ""
	for _, w := range want {
		block += "\n      - '" + w + "'"
	}
	for name, file := range map[string]string{
		"list":             "x:\n  y: [" + text + "]\n",
		"list in braces":   "x: {y: [" + text + "]}\n",
		"after a value":    "x: {z: a:b, y: [" + text + ", ]}\n",
		"lines":            "x: {y: [\n   " + text + "\n ],\n z: 1}\n",
		"lists in a list":  "x: {y: [" + text + "], z: [[a:b], {c: d:e}]}\n",
		"quoted, in lines": "x:\n  y:" + block + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			root, problems := Parse([]byte(file), limits)
			if problems != nil {
				t.Fatal(problems)
			}
			var got []string
			for _, i := range root.Get("x").Get("y").Items {
				if i.Kind != Scalar {
					t.Errorf("%v in place of a text", i.Kind)
				}
				got = append(got, i.Text)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// TestColonWithoutSpace: what other readers of YAML read otherwise is refused.
func TestColonWithoutSpace(t *testing.T) {
	for file, want := range map[string]string{
		"{name:gw}\n":                  "1:6: a space must follow this colon",
		"x: {a: 1, b:2}\n":             "1:12: a space must follow this colon",
		"x: [{address:192.0.2.1}]\n":   "1:13: a space must follow this colon",
		"{\"name\":gw, 'address':b}\n": "",
	} {
		_, problems := Parse([]byte(file), limits)
		got := ""
		for _, p := range problems {
			got += fmt.Sprintf("%d:%d: %s", p.At.Line, p.At.Column, p.Message)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", file, got, want)
		}
	}
}

// TestBreadth: what would take the parser minutes is refused before it begins, at its
// place; many mappings that are broad enough for anybody are not.
func TestBreadth(t *testing.T) {
	keys := func(indent string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%s%d: v%d\n", indent, i, i)
		}
		return b.String()
	}
	many := "x:\n"
	for range 20 {
		many += "- name: a\n  enum:\n" + keys("    ", 1000) + "  b: {c: d}\n"
	}
	for name, c := range map[string]struct{ file, want string }{
		"as many as may be":     {"x:\n" + keys("  ", maxKeys) + "y:\n" + keys("  ", maxKeys), ""},
		"many mappings":         {many, ""},
		"one more":              {"x:\n" + keys("  ", maxKeys+1), "2002:3: is one of too many keys side by side; the most are 2000"},
		"with mappings between": {strings.ReplaceAll(keys("", maxKeys+1), ": v", ":\n  a: v"), "4001:1: is one of too many keys side by side; the most are 2000"},
		"in a list":             {"- b: c\n- a:\n" + keys("   ", 90_000), "2003:4: is one of too many keys side by side; the most are 2000"},
	} {
		_, problems := Parse([]byte(c.file), Limits{Bytes: 4 << 20, Tokens: 400_000, What: "a test"})
		got := ""
		for _, p := range problems {
			got += fmt.Sprintf("%d:%d: %s", p.At.Line, p.At.Column, p.Message)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"name", "address", "interval", "community"}
	for s, want := range map[string]string{
		"adress": "address", "Name": "name", "nmae": "name", "comunity": "community",
		"intervall": "interval", "flavour": "", "x": "", "": "", strings.Repeat("name", 100): "",
	} {
		if got := Nearest(s, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", s, got, want)
		}
	}
}
