package check

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

const exposition = `# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1 0.25
# TYPE node_filesystem_avail_bytes gauge
node_filesystem_avail_bytes{device="/dev/sda1",mountpoint="/"} 1.5e+10
node_filesystem_avail_bytes{device="/dev/sdb1",mountpoint="/srv, \"data\""} 7 1700000000000
# TYPE http_seconds histogram
http_seconds_bucket{le="0.1"} 3
http_seconds_bucket{le="+Inf"} 5
http_seconds_sum 1.25
http_seconds_count 5
up{check="x",job="y"} NaN
probe_success 1
# EOF
`

func TestPrometheus(t *testing.T) {
	var page atomic.Value
	page.Store(exposition)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "probe" || p != "hush" {
			w.WriteHeader(401)
			return
		}
		_, _ = io.WriteString(w, page.Load().(string))
	}))
	t.Cleanup(s.Close)
	cfg := Config{Device: "db1", Prometheus: &Prometheus{URL: s.URL + "/metrics", BasicAuth: &BasicAuth{"probe", "hush"}, Metrics: []Pick{
		{Name: "node_load1"}, {Name: "node_filesystem_.*", Match: map[string]string{"mountpoint": "/|/boot"}},
		{Name: "http_seconds_(count|bucket)"}, {Name: "up"}, {Name: "probe_success"}}}}
	c := mustNew(t, cfg, &scope{}, Options{})
	r := collect(t, c)
	r.up()
	r.want("node_load1=0.25", "node_filesystem_avail_bytes//dev/sda1=15000000000", "http_seconds_bucket/0.1=3", "http_seconds_bucket/+Inf=5",
		"http_seconds_count=5", "up=", "scrape_samples_scraped=9", "scrape_samples_post_metric_relabeling=6", "probe_scrape_samples_left_out=1")
	series := map[string]bool{}
	for i := range r.batch.Schema.Series {
		series[r.batch.Schema.Series[i].String()] = true
	}
	for _, want := range []string{`up{check="test",device="db1",exported_check="x",job="y"}`, `node_load1{check="test",device="db1"}`} {
		if !series[want] {
			t.Errorf("no series %s", want)
		}
	}

	if again := collect(t, c); again.batch.Schema != r.batch.Schema {
		t.Error("the same series, another schema")
	}
	page.Store("node_load1 1\n") // what is gone is missing
	fewer := collect(t, c)
	fewer.up()
	fewer.want("node_load1=1", "http_seconds_count=", "probe_scrape_samples_left_out=0")
	page.Store("<html>")
	broken := collect(t, c)
	broken.down("not Prometheus's text format")
	broken.want("node_load1=")
	if fewer.batch.Schema != r.batch.Schema || broken.batch.Schema != r.batch.Schema {
		t.Error("fewer series, another schema")
	}
	page.Store(exposition + "node_filesystem_avail_bytes{mountpoint=\"/boot\"} 1\n")
	more := collect(t, c)
	more.up()
	more.want("node_filesystem_avail_bytes//boot=1", "node_load1=0.25")
	if more.batch.Schema == r.batch.Schema {
		t.Error("another series, the same schema")
	}
}

// However many series there are, a schema keeps to its bounds, and those of the scrape
// that is on are told rather than those of earlier ones.
func TestPrometheusOfManySeries(t *testing.T) {
	var round atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3000 {
			fmt.Fprintf(w, "m%d{a=%q} %d\n", round.Load(), strings.Repeat("x", i%100)+fmt.Sprint(i), i)
		}
	}))
	t.Cleanup(s.Close)
	cfg := Config{Timeout: time.Minute, Labels: map[string]string{"room": strings.Repeat("y", 200)}, Prometheus: &Prometheus{URL: s.URL, Metrics: []Pick{{Name: "m.*"}}}}
	c := mustNew(t, cfg, &scope{}, Options{})
	for range 3 {
		round.Add(1)
		r := collect(t, c)
		r.up()
		r.want(fmt.Sprintf("probe_scrape_samples_left_out=%d", 3000-(len(r.batch.Schema.Series)-len(prometheusMetrics()))), fmt.Sprintf("m%d/0=0", round.Load()))
		size := 0
		for i := range r.batch.Schema.Series {
			size += len(r.batch.Schema.Series[i].String())
		}
		if size > collectors.MaxSchema {
			t.Errorf("a schema of %d octets", size)
		}
	}
}

func TestExpositions(t *testing.T) {
	for _, test := range []struct {
		text    string
		reason  string
		samples int
	}{
		{"a 1", "", 1},
		{"a{} 1\nb{x=\"}\"} +Inf 5\n\n  c\t8 1700000000\n", "", 3},
		{"", "not Prometheus's text format", 0},
		{"# only a comment\n", "not Prometheus's text format", 0},
		{"a\n", "not Prometheus's text format", 0},
		{"a one\n", "not Prometheus's text format", 0},
		{"a{x=\"1} 1\n", "not Prometheus's text format", 0},
		{"{\"a\": 1}\n", "not Prometheus's text format", 0},
		{"a " + strings.Repeat("1", maxSample) + "\n", "not Prometheus's text format", 0},
	} {
		p, err := Pick{Name: ".*"}.compile()
		if err != nil {
			t.Fatal(err)
		}
		s := newScrape([]picker{p}, nil)
		got := ""
		if err := s.read(strings.NewReader(test.text)); err != nil {
			got = err.Error()
		}
		if got != test.reason || test.reason == "" && len(s.taken) != test.samples {
			t.Errorf("%.40q: %q with %d samples, want %q with %d", test.text, got, len(s.taken), test.reason, test.samples)
		}
	}
}

func FuzzExposition(f *testing.F) {
	f.Add(exposition)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Pick{Name: ".*"}.compile()
		if err != nil {
			t.Fatal(err)
		}
		s := newScrape([]picker{p}, nil)
		if err := s.read(strings.NewReader(text)); err != nil && !isDown(err) {
			t.Errorf("%v is no finding", err)
		}
		var found found
		own := newLayout("check/x", nil, prometheusMetrics())
		r := own.reading()
		s.record(r)
		schema, values := found.with(own, r)
		b := collectors.Batch{Source: "check/x", Schema: schema, Values: values}
		if b.Validate() != nil || schema.Validate() != nil {
			t.Errorf("batch: %v, schema: %v", b.Validate(), schema.Validate())
		}
	})
}
