package snmp

import (
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// indexOf is the encoding of a dotted index.
func indexOf(t *testing.T, dotted string) []byte {
	t.Helper()
	b, ok := pdu.AppendOID(nil, "1.3."+dotted)
	if !ok {
		t.Fatalf("%q is no index", dotted)
	}
	return b[1:]
}

func TestIndexParts(t *testing.T) {
	part := func(kind profile.IndexType) profile.Index { return profile.Index{Label: "x", Type: kind} }
	number := part(profile.IndexInteger)
	for _, test := range []struct {
		name  string
		parts []profile.Index
		index string
		want  string // with | between the parts
	}{
		{"a number", []profile.Index{number}, "7", "7"},
		{"a large number", []profile.Index{number}, "4294967295", "4294967295"},
		{"a word", []profile.Index{{Type: profile.IndexInteger, Enum: map[int64]string{2: "two"}}}, "2", "two"},
		{"two numbers", []profile.Index{number, number}, "7.8", "7|8"},
		{"too short", []profile.Index{number, number}, "7", "7"},
		{"text", []profile.Index{part(profile.IndexText), number}, "2.72.105.5", "Hi|5"},
		{"text longer than the index", []profile.Index{part(profile.IndexText)}, "9.72.105", ""},
		{"text of a fixed size", []profile.Index{{Type: profile.IndexText, Size: 2}, number}, "72.105.5", "Hi|5"},
		{"bare text", []profile.Index{{Type: profile.IndexText, Bare: true}}, "72.105", "Hi"},
		{"text that is none", []profile.Index{{Type: profile.IndexText, Bare: true}}, "72.300", ""},
		{"a MAC", []profile.Index{number, part(profile.IndexMAC)}, "1.0.27.68.17.58.183", "1|00:1B:44:11:3A:B7"},
		{"an address", []profile.Index{number, part(profile.IndexIP4)}, "3.10.0.0.1", "3|10.0.0.1"},
		{"an IPv6 address", []profile.Index{part(profile.IndexIP6)}, "32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1", "2001:0DB8:0000:0000:0000:0000:0000:0001"},
		{"an InetAddress", []profile.Index{part(profile.IndexInetAddr), number}, "1.4.10.0.0.1.9", "10.0.0.1|9"},
		{"an InetAddress of no known type", []profile.Index{part(profile.IndexInetAddr)}, "5.2.10.11", "0x0A0B"},
		{"a DNS name", []profile.Index{part(profile.IndexInetAddr)}, "16.2.97.98", "ab"},
		{"an InetAddress without its type", []profile.Index{part(profile.IndexInetAddrNoType), number}, "4.10.0.0.1.9", "10.0.0.1|9"},
		{"an InetAddress without its size", []profile.Index{part(profile.IndexInetAddrNoSize), number}, "1.10.0.0.1.9", "10.0.0.1|9"},
		{"an identifier", []profile.Index{part(profile.IndexOID), number}, "3.1.3.6.5", "1.3.6|5"},
		{"octets", []profile.Index{part(profile.IndexHex)}, "2.10.11", "0x0A0B"},
		{"a hostile length", []profile.Index{part(profile.IndexText)}, "4294967295.72", ""},
	} {
		var texts []string
		for _, p := range indexParts(test.parts, arcsOf(indexOf(t, test.index))) {
			texts = append(texts, p.text)
		}
		if got := strings.Join(texts, "|"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestPick(t *testing.T) {
	arcs := arcsOf(indexOf(t, "5.2.72.105.9"))
	parts := indexParts([]profile.Index{{Type: profile.IndexInteger}, {Type: profile.IndexText}, {Type: profile.IndexInteger}}, arcs)
	for _, test := range []struct {
		s    profile.Source
		want string
	}{
		{profile.Source{}, "5.2.72.105.9"},
		{profile.Source{Arcs: [][2]int{{0, 0}}}, "5"},
		{profile.Source{Arcs: [][2]int{{4, 4}, {1, 2}}}, "9.2.72"},
		{profile.Source{Arcs: [][2]int{{4, 5}}}, ""},
		{profile.Source{Arcs: [][2]int{{-1, 0}}}, ""},
		{profile.Source{Parts: []int{2, 1}}, "2.72.105.5"},
		{profile.Source{Parts: []int{4}}, ""},
	} {
		index, ok := pick(&test.s, arcs, parts)
		if got := string(pdu.AppendIndex(nil, index)); ok != (test.want != "") || ok && got != test.want {
			t.Errorf("%+v: %q %v, want %q", test.s, got, ok, test.want)
		}
	}
}
