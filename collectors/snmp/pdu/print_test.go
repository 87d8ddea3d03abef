package pdu

import "testing"

func TestAppendValue(t *testing.T) {
	for _, test := range []struct {
		v             Varbind
		quoted, plain string // plain empty: the same
	}{
		{Varbind{Tag: TagInteger, Num: ^uint64(0)}, "INTEGER: -1", ""},
		{Varbind{Tag: TagCounter64, Num: 5}, "Counter64: 5", ""},
		{Varbind{Tag: TagTimeTicks, Num: 8640000*2 + 123}, "Timeticks: (17280123) 2 days, 0:00:01.23", ""},
		{Varbind{Tag: TagTimeTicks, Num: 12345}, "Timeticks: (12345) 0:02:03.45", ""},
		{Varbind{Tag: TagOctets, Bytes: []byte(`a "b" \c`)}, `STRING: "a \"b\" \\c"`, `STRING: a "b" \c`},
		{Varbind{Tag: TagOctets, Bytes: []byte("a\r\nb")}, "Hex-STRING: 61 0D 0A 62 ", "STRING: a  b"},
		{Varbind{Tag: TagOctets, Bytes: []byte("\x1b[31mred")}, "Hex-STRING: 1B 5B 33 31 6D 72 65 64 ", ""},
		{Varbind{Tag: TagOctets, Bytes: []byte{0, 0x1b, 0x44}}, "Hex-STRING: 00 1B 44 ", ""},
		{Varbind{Tag: TagOctets}, `""`, ""},
		{Varbind{Tag: TagOID, Bytes: []byte{0x2b, 6}}, "OID: .1.3.6", ""},
		{Varbind{Tag: TagIPAddress, Bytes: []byte{10, 0, 0, 1}}, "IpAddress: 10.0.0.1", ""},
		{Varbind{Tag: TagNoSuchObject}, "No Such Object available on this agent at this OID", ""},
		{Varbind{Tag: TagNull}, "NULL", ""},
	} {
		if got := string(AppendValue(nil, &test.v, true)); got != test.quoted {
			t.Errorf("%q, want %q", got, test.quoted)
		}
		if test.plain == "" {
			test.plain = test.quoted
		}
		if got := string(AppendValue(nil, &test.v, false)); got != test.plain {
			t.Errorf("%q, want %q", got, test.plain)
		}
	}
}
