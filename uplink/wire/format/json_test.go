package format_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

type reading struct {
	Device  string            `json:"device"`
	Metric  string            `json:"metric"`
	Labels  map[string]string `json:"labels"`
	Value   any               `json:"value"`
	Unit    string            `json:"unit"`
	Kind    string            `json:"kind"`
	Time    time.Time         `json:"time"`
	Quality []string          `json:"quality"`
}

func decode(t *testing.T, line []byte) (r reading) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(line)))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return r
}

// What encoding/json reads back is what was written.
func TestJSONRoundTrip(t *testing.T) {
	odd := "q\" b\\ n\n r\r t\t nul\x00 us\x1f del\x7f ü 漢 🎉 \u2028 </script>"
	s := &collectors.Series{Metric: "m " + odd, Unit: odd, Kind: collectors.Text, Labels: label("device", "d"+odd, "a"+odd, odd, "a"+odd, "twice")}
	got := decode(t, format.AppendReading(nil, &collectors.Batch{Source: "x"}, s, collectors.TextValue(odd), offset+7, []string{format.QualityPartial}))
	want := reading{Device: "d" + odd, Metric: s.Metric, Labels: map[string]string{"a" + odd: odd}, Value: odd, Unit: odd, Kind: "text",
		Time: time.UnixMilli(offset + 7).UTC(), Quality: []string{"partial"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	bad := format.AppendReading(nil, &collectors.Batch{Source: "x"}, &collectors.Series{Metric: "a\xff\xe6b\xc3", Kind: collectors.State}, collectors.StateValue(1), 0, nil)
	if got := decode(t, bad); got.Metric != "a\uFFFD\uFFFDb\uFFFD" {
		t.Errorf("not UTF-8: %q", got.Metric)
	}
}

func TestJSONValues(t *testing.T) {
	for _, c := range []struct {
		kind collectors.Kind
		v    collectors.Value
		want string
	}{
		{collectors.Counter, collectors.CounterValue(math.MaxUint64), "18446744073709551615"},
		{collectors.State, collectors.StateValue(math.MinInt64), "-9223372036854775808"},
		{collectors.Gauge, collectors.GaugeValue(math.NaN()), "null"},
		{collectors.Gauge, collectors.GaugeValue(math.Inf(1)), "null"},
		{collectors.Gauge, collectors.GaugeValue(math.Inf(-1)), "null"},
		{collectors.Gauge, collectors.GaugeValue(0.1), "0.1"},
		{collectors.Gauge, collectors.GaugeValue(1_000_000), "1000000"},
		{collectors.Counter, collectors.Value{}, "null"},
	} {
		line := format.AppendReading(nil, &collectors.Batch{Source: "x"}, &collectors.Series{Metric: "m", Kind: c.kind}, c.v, 0, nil)
		if !strings.Contains(string(line), `"value":`+c.want+`,`) {
			t.Errorf("%s, want the value %s", line, c.want)
		}
		decode(t, line)
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1e-7, 5e-324, 1e20, 1e21, -math.MaxFloat64, math.Pi} {
		n := decode(t, format.AppendReading(nil, &collectors.Batch{Source: "x"}, &collectors.Series{Metric: "m", Kind: collectors.Gauge}, collectors.GaugeValue(f), 0, nil)).Value
		if got, err := strconv.ParseFloat(fmt.Sprint(n), 64); err != nil || got != f {
			t.Errorf("%v became %v", f, n)
		}
	}
}

func TestJSONEvent(t *testing.T) {
	e := &collectors.Event{Kind: "link", Severity: collectors.Error, Text: "down\n", Labels: label("device", "sw", "port", `"1"`)}
	line := format.AppendEvent(nil, &collectors.Batch{Source: "device/other"}, e, offset, nil)
	var got map[string]map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	want := map[string]map[string]any{"event": {"device": "sw", "source": "device/other", "kind": "link", "severity": "error", "text": "down\n",
		"labels": map[string]any{"port": `"1"`}, "time": "2026-03-01T12:00:00.000Z", "quality": []any{}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// FuzzJSON: whatever text a device has, the line is one JSON object.
func FuzzJSON(f *testing.F) {
	f.Add("a", "b\xff", "c\n\"", 1.5)
	f.Fuzz(func(t *testing.T, a, b, c string, v float64) {
		s := &collectors.Series{Metric: a, Unit: b, Kind: collectors.Gauge, Labels: label("x"+a, c, "y", b)}
		line := format.AppendReading(nil, &collectors.Batch{Source: c}, s, collectors.GaugeValue(v), 1, nil)
		if !json.Valid(line) || strings.ContainsAny(string(line), "\n\r") {
			t.Errorf("%q", line)
		}
		line = format.AppendEvent(nil, &collectors.Batch{Source: c}, &collectors.Event{Kind: a, Text: b, Labels: s.Labels}, 1, nil)
		if !json.Valid(line) || strings.ContainsAny(string(line), "\n\r") {
			t.Errorf("%q", line)
		}
	})
}
