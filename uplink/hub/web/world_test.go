package web

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// world is a real hub in a folder of its own, which boxes' messages are handed to.
type world struct {
	t     testing.TB
	hub   *hub.Hub
	codec *block.Codec
	web   *Web
	now   time.Time
	first map[string]uint64
}

var berlin = wire.Site{Tenant: "northwind", Name: "acme-berlin"}

func newWorld(t testing.TB, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 5, 4, 12, 3, 0, 0, time.UTC), first: map[string]uint64{}}
	clock := func() time.Time { return w.now }
	var err error
	w.hub, err = hub.Open(hub.Options{Path: filepath.Join(t.TempDir(), "hub.db"), NoSync: true, Now: clock})
	w.must(err)
	t.Cleanup(func() { w.hub.Close() })
	w.codec, err = block.NewCodec()
	w.must(err)
	t.Cleanup(w.codec.Close)
	opt := Options{Now: clock, Version: "v1<2", Hosts: []string{"hub.msp.example"}}
	for _, f := range change {
		f(&opt)
	}
	w.web = New(w.hub, opt)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) handle(s wire.Site, k wire.Kind, payload []byte) *wire.Reply {
	w.t.Helper()
	r, err := w.hub.Handle([]hub.Message{{Site: s, Kind: k, Payload: payload}})
	w.must(err)
	return r[s]
}

// send brings batches of one source to the hub; their stamps are Unix ms.
func (w *world) send(s wire.Site, class block.Class, batches ...collectors.Batch) {
	w.t.Helper()
	sec := block.Section{Batches: batches}
	key := s.Probe() + " " + batches[0].Source
	sec.First = w.first[key]
	w.first[key] += uint64(len(batches))
	for i := range batches {
		if schema := batches[i].Schema; schema != nil {
			id, b, err := w.codec.EncodeSchema(schema)
			w.must(err)
			sec.Schema = id
			w.handle(s, wire.SchemaUp, wire.EncodeSchemas([][]byte{b})[0])
		}
	}
	b, err := w.codec.Encode(block.Head{Probe: s.Probe(), Epoch: 7, Boot: [16]byte{1}, Sure: true, Class: class}, []block.Section{sec})
	w.must(err)
	if r := w.handle(s, wire.Live, b.Bytes); r == nil || len(r.Stored) != 1 {
		w.t.Fatalf("not stored: %+v, refused %v", r, w.hub.Refused())
	}
}

func (w *world) say(s wire.Site, st wire.Status) {
	w.t.Helper()
	b, err := wire.EncodeStatus(&st)
	w.must(err)
	w.handle(s, wire.State, b)
}

func (w *world) account(s wire.Site, lines ...buffer.AccountLine) {
	w.t.Helper()
	for _, b := range wire.EncodeAccount(&buffer.Account{Probe: s.Probe(), Lines: lines}) {
		w.handle(s, wire.Accounts, b)
	}
}

func (w *world) ago(d time.Duration) string { return w.now.Add(-d).Format(time.RFC3339) }

func (w *world) get(path string) (int, string) {
	w.t.Helper()
	rec := w.request("GET", path, "hub.msp.example")
	return rec.Code, rec.Body.String()
}

func (w *world) request(method, path, host string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	rec := httptest.NewRecorder()
	w.web.ServeHTTP(rec, r)
	return rec
}

// page gets a page and takes its tags and the space between words away.
func (w *world) page(path string) string {
	w.t.Helper()
	code, body := w.get(path)
	if code != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, code, body)
	}
	return textOf(body)
}

var tag = regexp.MustCompile(`<[^>]*>`)

func textOf(body string) string {
	s := html.UnescapeString(tag.ReplaceAllString(body, " "))
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, narrow, " ")), " ")
	return strings.NewReplacer(" ,", ",", "( ", "(", " )", ")").Replace(s)
}

func (w *world) contains(path string, want ...string) {
	w.t.Helper()
	got := w.page(path)
	for _, s := range want {
		if !strings.Contains(got, s) {
			w.t.Errorf("%s does not say %q:\n%s", path, s, got)
		}
	}
}

// interfaces is a switch with ports that are read every minute.
func interfaces(name string, ports int) *collectors.Schema {
	s := &collectors.Schema{Source: "device/" + name}
	d := collectors.Label{Name: "device", Value: name}
	s.Series = []collectors.Series{
		{Metric: "sysUpTime", Unit: "centiseconds", Kind: collectors.Gauge, Labels: []collectors.Label{d}},
		{Metric: "sysName", Kind: collectors.Text, Labels: []collectors.Label{d}},
	}
	for i := range ports {
		ls := []collectors.Label{d, {Name: "ifIndex", Value: fmt.Sprint(i + 1)}, {Name: "ifName", Value: fmt.Sprintf("Gi1/0/%d", i+1)}, {Name: "ifAlias", Value: ""}}
		s.Series = append(s.Series,
			collectors.Series{Metric: "ifAdminStatus", Kind: collectors.State, Labels: ls},
			collectors.Series{Metric: "ifOperStatus", Kind: collectors.State, Labels: ls},
			collectors.Series{Metric: "ifInErrors", Kind: collectors.Counter, Labels: ls},
			collectors.Series{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter, Labels: ls},
			collectors.Series{Metric: "ifHighSpeed", Unit: "megabits_per_second", Kind: collectors.Gauge, Labels: ls})
	}
	return s
}

func (w *world) poll(s *collectors.Schema, ago time.Duration, octets uint64, name string) collectors.Batch {
	b := collectors.Batch{Source: s.Source, At: collectors.Stamp(w.now.Add(-ago).UnixMilli()), Schema: s}
	for i := range s.Series {
		var v collectors.Value
		switch s.Series[i].Metric {
		case "sysUpTime":
			v = collectors.GaugeValue(360_000_000)
		case "sysName":
			if name != "" {
				v = collectors.TextValue(name)
			}
		case "ifAdminStatus", "ifOperStatus":
			v = collectors.StateValue(1)
			if s.Series[i].Label("ifIndex") == "2" && s.Series[i].Metric == "ifOperStatus" {
				v = collectors.StateValue(2)
			}
		case "ifInErrors":
			v = collectors.CounterValue(3)
		case "ifHCInOctets":
			v = collectors.CounterValue(octets)
		case "ifHighSpeed":
			v = collectors.GaugeValue(1000)
		}
		b.Values = append(b.Values, v)
	}
	return b
}

func (w *world) failed(source string, ago time.Duration, why string) collectors.Batch {
	return collectors.Batch{Source: source, At: collectors.Stamp(w.now.Add(-ago).UnixMilli()), Outcome: collectors.Outcome{Result: collectors.Failed, Why: why}}
}

func (w *world) online() wire.Status {
	oldest := w.ago(2 * time.Second)
	return wire.Status{Site: "acme-berlin", Version: "1.0", Time: w.ago(0), Started: w.ago(time.Hour), Online: true,
		Uplink:  wire.Uplink{State: "connected", Since: w.ago(time.Hour), Ack: "hub", Proved: true},
		Buffer:  wire.Buffer{PendingReadings: 240, PendingBytes: 300, Oldest: &oldest},
		Devices: wire.Devices{Total: 3, Answering: 3}, Clock: wire.Clock{Sure: true}}
}
