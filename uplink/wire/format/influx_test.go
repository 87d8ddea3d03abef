package format_test

import (
	"math"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

func TestInfluxEscapes(t *testing.T) {
	for _, c := range []struct {
		metric, label, value, want string
	}{
		{"m", "a", "plain", `m,a=plain value=1i 5000000`},
		{"m", "a", "with space", `m,a=with\ space value=1i 5000000`},
		{"m", "a", "x,y", `m,a=x\,y value=1i 5000000`},
		{"m", "a", "x=y", `m,a=x\=y value=1i 5000000`},
		{"m", "a", `say "hi"`, `m,a=say\ "hi" value=1i 5000000`},
		{"m", "a", "two\nlines", `m,a=two\ lines value=1i 5000000`},
		{"m", "a", "cr\r\ttab", `m,a=cr\ \ tab value=1i 5000000`},
		{"m", "a", `C:\ Label`, `m,a=C:/\ Label value=1i 5000000`},
		{"m", "a", `ends\`, `m,a=ends/ value=1i 5000000`},
		{"m", "a", "Zürich", `m,a=Zürich value=1i 5000000`},
		{"m", "a b=c,d", "v", `m,a\ b\=c\,d=v value=1i 5000000`},
		{"m", "a", "", `m value=1i 5000000`},
		{"my metric,x=1", "a", "b", `my\ metric\,x=1,a=b value=1i 5000000`},
		{"#m", "a", "b", `_m,a=b value=1i 5000000`},
	} {
		got := format.AppendInflux(nil, &collectors.Batch{Source: "box"}, &collectors.Series{Metric: c.metric, Kind: collectors.State, Labels: label(c.label, c.value)},
			collectors.StateValue(1), 5, nil)
		if string(got) != c.want {
			t.Errorf("%q %q %q:\ngot  %s\nwant %s", c.metric, c.label, c.value, got, c.want)
		}
	}
}

func TestInfluxValues(t *testing.T) {
	for _, c := range []struct {
		kind collectors.Kind
		v    collectors.Value
		want string
	}{
		{collectors.Counter, collectors.CounterValue(math.MaxInt64), "9223372036854775807i"},
		{collectors.Counter, collectors.CounterValue(math.MaxInt64 + 1), "9223372036854776000"}, // a float
		{collectors.State, collectors.StateValue(-3), "-3i"},
		{collectors.Gauge, collectors.GaugeValue(2), "2"},
		{collectors.Gauge, collectors.GaugeValue(1e-9), "1e-09"},
		{collectors.Gauge, collectors.GaugeValue(math.NaN()), ""},
		{collectors.Gauge, collectors.GaugeValue(math.Inf(-1)), ""},
		{collectors.Counter, collectors.Value{}, ""},
		{collectors.Text, collectors.TextValue(`a "b" \ c` + "\nd"), `"a \"b\" \\ c d"`},
		{collectors.Text, collectors.TextValue(""), `""`},
	} {
		got := string(format.AppendInflux([]byte("x"), &collectors.Batch{Source: "box"}, &collectors.Series{Metric: "m", Kind: c.kind}, c.v, 1, nil))
		want := "x"
		if c.want != "" {
			want = "xm value=" + c.want + " 1000000"
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzInflux: whatever text a device has, the line stays one line.
func FuzzInflux(f *testing.F) {
	f.Add("a", "b\n", "c\\")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		s := &collectors.Series{Metric: "m" + a, Kind: collectors.Text, Labels: label("x"+b, c)}
		line := format.AppendInflux(nil, &collectors.Batch{Source: b}, s, collectors.TextValue(c), 1, nil)
		line = append(line, format.AppendInfluxEvent(nil, &collectors.Batch{Source: b}, &collectors.Event{Kind: a, Text: c, Labels: s.Labels}, 1, nil)...)
		if strings.ContainsAny(string(line), "\n\r\x00") {
			t.Errorf("%q", line)
		}
	})
}
