package config

import (
	"reflect"
	"testing"
)

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
			r := &report{files: []string{"site.yaml"}}
			root := parse(r, 0, []byte(file))
			if err := r.err(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, i := range root.get("x").get("y").items {
				if i.kind != scalar {
					t.Errorf("%v in place of a text", i.kind)
				}
				got = append(got, i.text)
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
		"{name:gw}\n":                  "site.yaml:1:6: a space must follow this colon",
		"x: {a: 1, b:2}\n":             "site.yaml:1:12: a space must follow this colon",
		"x: [{address:192.0.2.1}]\n":   "site.yaml:1:13: a space must follow this colon",
		"{\"name\":gw, 'address':b}\n": "",
	} {
		r := &report{files: []string{"site.yaml"}}
		parse(r, 0, []byte(file))
		got := ""
		if err := r.err(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", file, got, want)
		}
	}
}
