package walkfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

func show(vars []pdu.Varbind) (out []string) {
	for _, v := range vars {
		out = append(out, fmt.Sprintf("%s %s", pdu.AppendDotted(nil, v.OID), pdu.AppendValue(nil, &v, true)))
	}
	return out
}

func TestReadWalk(t *testing.T) {
	vars, problems, err := Read(strings.NewReader(`.1.3.6.1.2.1.1.1.0 = STRING: "Linux \"box\"
second line"
.1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.8072
iso.3.6.1.2.1.1.3.0 = Timeticks: (12345) 0:02:03.45
.1.3.6.1.2.1.1.5.0 = ""
.1.3.6.1.2.1.2.2.1.6.1 = Hex-STRING: 00 1B 44
 11 3A B7 
.1.3.6.1.2.1.2.2.1.7.1 = INTEGER: up(1)
.1.3.6.1.2.1.2.2.1.8.1 = Wrong Type (should be INTEGER): Gauge32: 5
.1.3.6.1.2.1.2.2.1.9.1 = INTEGER: -5 seconds
.1.3.6.1.2.1.4.20.1.1.10.0.0.1 = IpAddress: 10.0.0.1
.1.3.6.1.2.1.31.1.1.1.6.1 = Counter64: 18446744073709551615
.1.3.6.1.2.1.31.1.1.1.7.1 = STRING: unquoted: yes
.1.3.6.1.4.1.2021.10.1.6.1 = Opaque: Float: 0.250000
.1.3.6.1.4.1.9.1 = No Such Object available on this agent at this OID
.1.3.6.1.4.1.9.2 = Weird: 5
.1.3.6.1.4.1.9.3 = BITS: 80 01 first(0) last(15)
.1.3.6.1.2.1.1.5.0 = STRING: twice
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"1.3.6.1.2.1.1.1.0 Hex-STRING: 4C 69 6E 75 78 20 22 62 6F 78 22 0A 73 65 63 6F 6E 64 20 6C 69 6E 65 ",
		"1.3.6.1.2.1.1.2.0 OID: .1.3.6.1.4.1.8072",
		"1.3.6.1.2.1.1.3.0 Timeticks: (12345) 0:02:03.45",
		`1.3.6.1.2.1.1.5.0 ""`,
		"1.3.6.1.2.1.2.2.1.6.1 Hex-STRING: 00 1B 44 11 3A B7 ",
		"1.3.6.1.2.1.2.2.1.7.1 INTEGER: 1",
		"1.3.6.1.2.1.2.2.1.8.1 Gauge32: 5",
		"1.3.6.1.2.1.2.2.1.9.1 INTEGER: -5",
		"1.3.6.1.2.1.4.20.1.1.10.0.0.1 IpAddress: 10.0.0.1",
		"1.3.6.1.2.1.31.1.1.1.6.1 Counter64: 18446744073709551615",
		`1.3.6.1.2.1.31.1.1.1.7.1 STRING: "unquoted: yes"`,
		"1.3.6.1.4.1.9.3 Hex-STRING: 80 01 ",
		"1.3.6.1.4.1.2021.10.1.6.1 Opaque: Float: 0.250000",
	}
	if diff := cmp.Diff(want, show(vars)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`line 16: type "Weird" is not known`}, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestReadRecording(t *testing.T) {
	vars, problems, err := Read(strings.NewReader(`# a comment
1.3.6.1.2.1.1.1.0|4|text|with a bar
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9
1.3.6.1.2.1.1.3.0|67|500
1.3.6.1.2.1.4.1|64|10.0.0.1
1.3.6.1.2.1.4.2|64x|0a000002
1.3.6.1.2.1.5.1|2|-7
1.3.6.1.2.1.5.2|2:numeric|scale=5,initial=154
1.3.6.1.2.1.5.3|68x|9f78043e800000
1.3.6.1.2.1.5.4|4x|0a0b
1.3.6.1.2.xx.5.5|2|1
1.3.6.1.2.1.5.6|2:writecache|1
1.3.6.1.2.1.5.7|4x|zz
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`1.3.6.1.2.1.1.1.0 STRING: "text|with a bar"`, "1.3.6.1.2.1.1.2.0 OID: .1.3.6.1.4.1.9", "1.3.6.1.2.1.1.3.0 Timeticks: (500) 0:00:05.00",
		"1.3.6.1.2.1.4.1 IpAddress: 10.0.0.1", "1.3.6.1.2.1.4.2 IpAddress: 10.0.0.2", "1.3.6.1.2.1.5.1 INTEGER: -7", "1.3.6.1.2.1.5.2 INTEGER: 154",
		"1.3.6.1.2.1.5.3 Opaque: Float: 0.250000", "1.3.6.1.2.1.5.4 Hex-STRING: 0A 0B ",
	}
	if diff := cmp.Diff(want, show(vars)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(problems) != 3 {
		t.Errorf("problems %q", problems)
	}
}

func TestReadNothing(t *testing.T) {
	for _, text := range []string{"", "hello\nworld", "\x00\xff|4|"} {
		if _, _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q is a walk", text)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(".1.3.6.1 = STRING: \"a\nb\"\n1.3.6|4x|0a\n")
	f.Add(".1.3.6.1 = Hex-STRING: 0\n.1.3 = BITS: \n.1.3.1 = Opaque: Float: x")
	f.Fuzz(func(t *testing.T, text string) {
		vars, _, _ := Read(strings.NewReader(text))
		for i := range vars {
			if i > 0 && pdu.Compare(vars[i-1].OID, vars[i].OID) >= 0 {
				t.Fatal("not in order")
			}
		}
	})
}
