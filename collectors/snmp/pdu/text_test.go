package pdu

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"Gi1/0/1":                      "Gi1/0/1",
		" eth0\x00\x00":                "eth0",
		"\x00\x00":                     "",
		"Büro":                         "Büro",
		"B\xfcro":                      "Büro",
		"line one\r\nline two":         "line one  line two",
		"\x00\x1b\xfe\x01":             "0x1bfe01",
		"a\x00b":                       "0x610062",
		"\x1b[31mred":                  "0x1b5b33316d726564",
		"safe\u202egnp.exe":            "safegnp.exe",
		"\x85\x86":                     "0x8586",
		strings.Repeat("x", 2000):      strings.Repeat("x", collectors.MaxText),
		strings.Repeat("ä", 1100):      strings.Repeat("ä", 127),
		"x" + strings.Repeat("€", 400): "x" + strings.Repeat("€", 84),
	} {
		if got := CleanText([]byte(in)); got != want {
			t.Errorf("CleanText(%.40q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add([]byte("B\xfcro\x00"))
	f.Add([]byte(strings.Repeat("€", 400)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := CleanText(b)
		if !utf8.ValidString(s) || len(s) > collectors.MaxText || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("CleanText(%q) = %q", b, s)
		}
	})
}
