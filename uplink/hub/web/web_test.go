package web

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

func TestSitesWithProblemsComeFirst(t *testing.T) {
	w := newWorld(t)
	if got := w.page("/"); !strings.Contains(got, "No site has sent anything yet") {
		t.Error(got)
	}
	site := func(name string) wire.Site { return wire.Site{Tenant: "northwind", Name: name} }
	w.now = w.now.Add(-3 * time.Hour)
	w.account(site("gone"), buffer.AccountLine{Epoch: 1, Source: "host"})
	w.say(site("gone"), func() wire.Status { s := w.online(); s.Online = false; return s }())
	w.say(site("silent"), w.online())
	w.now = w.now.Add(3 * time.Hour)
	w.account(site("fine"), buffer.AccountLine{Epoch: 1, Source: "host"})
	w.say(site("fine"), w.online())
	w.account(site("nostatus"), buffer.AccountLine{Epoch: 1, Source: "host", Next: 5, Pending: []buffer.TierRanges{{Ranges: block.Ranges{{First: 0, End: 5}}}}})
	w.account(site("lost"), buffer.AccountLine{Epoch: 1, Source: "host", Next: 17,
		Gaps: []store.Gap{{Epoch: 1, Source: "host", Range: block.Range{First: 0, End: 14}, T0: w.now.UnixMilli() - 1, T1: w.now.UnixMilli(), Reason: "budget"}}})
	w.say(site("lost"), w.online())

	got := w.page("/")
	at := -1
	for _, name := range []string{"gone", "lost", "silent", "nostatus", "fine"} {
		i := strings.Index(got, "northwind / "+name+" ")
		if i < 0 || (name != "lost" && name != "silent" && i < at) {
			t.Fatalf("%s is missing or in the wrong place: %s", name, got)
		}
		at = max(at, i)
	}
	for _, s := range []string{"3 in trouble", "1 to look at", "1 fine", "gone offline since 09:03:00", "silent silent since 09:03:00", "complete as of 12:03:00",
		"3 batches lost", "14 dropped (budget)", "240 readings, 300 B", "3 / 3", "5 pending", "no status"} {
		if !strings.Contains(got, s) {
			t.Errorf("it does not say %q: %s", s, got)
		}
	}
	w.contains("/?q=NOST", "northwind / nostatus")
	if got := w.page("/?q=nost"); strings.Contains(got, "/ gone") {
		t.Error("the search finds everything")
	}
	if code, _ := w.get("/?q=" + strings.Repeat("x", 100)); code != http.StatusBadRequest {
		t.Error(code)
	}
}

func TestSitePage(t *testing.T) {
	w := newWorld(t)
	sw := interfaces("sw1", 1)
	w.send(berlin, block.Readings, w.poll(sw, time.Minute, 0, ""))
	st := w.online()
	verdict := "ISP_PATH"
	st.Verdict = &verdict
	st.Devices = wire.Devices{Total: 2, Answering: 1, List: []wire.SourceState{{Source: "device/nvr", Result: "failed", Why: "no answer", At: w.ago(10 * time.Second)}, {Source: "device/sw1", Result: "ok", At: w.ago(time.Minute)}}}
	st.Trouble = []wire.Trouble{{What: "the card is full", Hint: "replace it"}}
	w.say(berlin, st)
	w.send(berlin, block.Events, collectors.Batch{Source: "events", At: collectors.Stamp(w.now.Add(-time.Hour).UnixMilli()),
		Events: []collectors.Event{{Kind: "reboot", Severity: collectors.Warning, Text: "sw1 restarted", Labels: []collectors.Label{{Name: "device", Value: "sw1"}}}}})
	w.account(berlin, buffer.AccountLine{Epoch: 7, Source: "device/sw1", Next: 9,
		Gaps:    []store.Gap{{Epoch: 7, Source: "device/sw1", Range: block.Range{First: 1, End: 4}, T0: w.now.Add(-2 * time.Hour).UnixMilli(), T1: w.now.Add(-time.Hour).UnixMilli(), Reason: "budget"}},
		Pending: []buffer.TierRanges{{Ranges: block.Ranges{{First: 4, End: 8}}}}})
	w.contains("/site/northwind/acme-berlin",
		"northwind / acme-berlin online", "ISP_PATH", "the card is full", "device/nvr failed no answer 10 s ago", "device/sw1 ok – 1 min ago 9 1 4 3 1",
		"1 batch lost", "3 dropped (budget)", "4 pending", "device/sw1 3 10:03:00 11:03:00 budget", "11:03:00 warning events reboot sw1 restarted device=sw1")
	for path, want := range map[string]int{
		"/site/northwind/other": 404, "/site/NORTHWIND/acme-berlin": 404, "/site/a/b/c": 404, "/site/northwind": 404, "/nope": 404, "/../etc/passwd": 307,
		"/site/northwind/other/source/x": 404, "/site/northwind/other/plot?source=x&series=y": 404, "/api/v1/sites/northwind/other/verify": 404,
		"/site/northwind/acme-berlin/source/": 404, "/site/northwind/acme-berlin/source/" + strings.Repeat("x", 200): 404,
		"/site/northwind/acme-berlin/source/nothing/of/it": 200,
	} {
		if code, _ := w.get(path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

func TestSourcePage(t *testing.T) {
	w := newWorld(t)
	sw := interfaces("sw1", 10)
	w.send(berlin, block.Readings, w.poll(sw, 3*time.Minute, 0, "sw1.local"), w.poll(sw, 2*time.Minute, 75_000_000, ""), w.poll(sw, time.Minute, 150_000_000, ""))
	path := "/site/northwind/acme-berlin/source/device/sw1"
	w.contains(path, "device/sw1 ok polled 12:02:00, 1 min ago", "sysName sw1.local 12:00:00", "sysUpTime 41 d 12:02:00",
		"# Interface Alias State Admin Speed In In errors Read", "1 Gi1/0/1 up up 1 Gbit/s 10 Mbit/s 1 % 0 /s 12:02:00", "2 Gi1/0/2 down up", "9 Gi1/0/9 up up 1 Gbit/s 10 Mbit/s 1 % 0 /s 12:02:00 10 Gi1/0/10")
	// A restart: no rate until the reading after the next.
	w.send(berlin, block.Readings, w.poll(sw, 30*time.Second, 10, ""))
	w.contains(path, "1 Gi1/0/1 up up 1 Gbit/s – 0 /s 12:02:30")
	w.send(berlin, block.Readings, w.failed(sw.Source, 5*time.Second, "no answer within 3s"))
	w.contains(path, "failed polled 12:02:55, 5 s ago", "no answer within 3s", "The last poll gave no readings. These are of 12:02:30 (30 s ago).")
}

func TestSourceNamesThatNoPathHolds(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"..", "a//b", "a/../b", "./x", "check/a b?c#d%2Fe&f", "ünï/cödé", "/"} {
		s := &collectors.Schema{Source: name, Series: []collectors.Series{{Metric: "m", Kind: collectors.Gauge}}}
		w.send(berlin, block.Readings, collectors.Batch{Source: name, At: collectors.Stamp(w.now.UnixMilli()), Schema: s, Values: []collectors.Value{collectors.GaugeValue(42)}})
		w.contains(sourceURL(berlin, name), "m 42 12:03:00")
		w.contains(plotURL(berlin, name, "m", 1, 0), "gauge ← earlier 1 h 6 h 24 h 7 d", "12:03:00 42")
	}
}

func TestPlotPage(t *testing.T) {
	w := newWorld(t)
	sw := interfaces("sw1", 1)
	var before, after []collectors.Batch
	for i := range 30 {
		before = append(before, w.poll(sw, time.Duration(60-i)*time.Minute, uint64(i)*750, ""))
	}
	for i := range 10 {
		after = append(after, w.poll(sw, time.Duration(10-i)*time.Minute, uint64(i)*750, ""))
	}
	w.send(berlin, block.Readings, before...)
	w.send(berlin, block.Readings, w.failed(sw.Source, 25*time.Minute, "no answer"), w.failed(sw.Source, 24*time.Minute, "no answer at all"))
	w.send(berlin, block.Readings, after...)
	series := sw.Series[5].String()
	path := plotURL(berlin, sw.Source, series, 1, 0)
	code, body := w.get(path)
	if code != 200 || strings.Count(body, "<svg") != 2 {
		t.Fatal(code, body)
	}
	w.contains(path, "ifHCInOctets rate of a counter, in bits per second", "highest 100 bit/s", "2 polls without readings, the last failed: no answer at all",
		"No readings from 4 May 11:32:00 to 4 May 11:53:00 (21 min)", "12:02:00 100 bit/s 6750", "ifName=Gi1/0/1")
	fig := body[strings.Index(body, "<svg"):strings.Index(body, "</svg>")]
	if lines := regexp.MustCompile(`(?s)<g class="line">(.*?)</g>`).FindStringSubmatch(fig)[1]; strings.Count(lines, "<path") != 2 {
		t.Errorf("the line is not broken where a poll failed: %s", lines)
	}
	if !strings.Contains(body, ">Mbit/s<") && !strings.Contains(body, ">bit/s<") {
		t.Error("no unit on the axis")
	}
	w.contains(plotURL(berlin, sw.Source, series, 24, w.now.Add(-48*time.Hour).Unix()), "No readings of this series from", "later →")
	w.contains(plotURL(berlin, sw.Source, sw.Series[3].String(), 1, 0), "state device=sw1", "last up", "12:02:00 up")
	w.contains(plotURL(berlin, sw.Source, sw.Series[1].String(), 1, 0), "text")
	w.contains(plotURL(berlin, sw.Source, "no{such=\"series\"}", 1, 0), "No readings of this series")

	base := "/site/northwind/acme-berlin/plot?"
	for _, q := range []string{"", "source=a", "series=b", "source=a&series=b&hours=2", "source=a&series=b&hours=x", "source=a&series=b&hours=-1", "source=a&series=b&to=x",
		"source=a&series=b&to=99999999999999", "source=a&series=b&to=-5", "source=" + strings.Repeat("a", 200) + "&series=b", "source=a&series=" + strings.Repeat("b", 40<<10)} {
		if code, body := w.get(base + q); code != http.StatusBadRequest {
			t.Errorf("%.80s: %d %s", q, code, textOf(body))
		}
	}
}

func TestPlotsAreBounded(t *testing.T) {
	w := newWorld(t)
	s := &collectors.Schema{Source: "host", Series: []collectors.Series{{Metric: "m", Kind: collectors.Gauge}}}
	for h := 23; h >= 0; h-- {
		var bs []collectors.Batch
		for i := range 720 { // every 5 s, each third missing
			b := collectors.Batch{Source: "host", At: collectors.Stamp(w.now.Add(-time.Duration(h)*time.Hour - time.Duration(720-i)*5*time.Second).UnixMilli()), Schema: s, Values: []collectors.Value{{}}}
			if i%3 != 0 {
				b.Values[0] = collectors.GaugeValue(float64(i % 17))
			}
			bs = append(bs, b)
		}
		w.send(berlin, block.Readings, bs...)
	}
	_, body := w.get(plotURL(berlin, "host", "m", 24, 0))
	if len(body) > 400<<10 || strings.Count(body, "<tr>") > maxValues+30 {
		t.Errorf("a page of %d octets", len(body))
	}
	if !strings.Contains(body, "more values are not listed") {
		t.Error("it does not say that values are left out")
	}
}

func TestJSONAndMetrics(t *testing.T) {
	w := newWorld(t)
	sw := interfaces("sw1", 1)
	w.send(berlin, block.Readings, w.poll(sw, time.Minute, 0, ""))
	w.say(berlin, w.online())
	w.account(berlin, buffer.AccountLine{Epoch: 7, Source: "device/sw1", Next: 1})
	w.handle(berlin, wire.Live, []byte("no block"))
	_, body := w.get("/api/v1/sites/northwind/acme-berlin/verify")
	proof, err := hub.Verify(w.hub.Store(), berlin.Probe(), 0, 0, false)
	w.must(err)
	want, err := json.MarshalIndent(proof, "", "  ")
	w.must(err)
	if body != string(want)+"\n" {
		t.Errorf("%s\nwant %s", body, want)
	}
	if _, body := w.get("/api/v1/sites/northwind/acme-berlin/verify?sources=1"); !strings.Contains(body, `"sources"`) {
		t.Error(body)
	}
	_, body = w.get("/api/v1/sites")
	var sites []siteJSON
	w.must(json.Unmarshal([]byte(body), &sites))
	if len(sites) != 1 || sites[0].State != "online" || sites[0].Tone != "good" || sites[0].Completeness == nil || !sites[0].Completeness.Complete || sites[0].Status.Buffer.PendingReadings != 240 {
		t.Errorf("%s", body)
	}
	_, body = w.get("/metrics")
	for _, line := range []string{
		`siteprobe_hub_build_info{version="v1<2"} 1`, `siteprobe_hub_refused_total{reason="damaged block"} 1`,
		`siteprobe_hub_blocks_total{tenant="northwind",site="acme-berlin"} 1`, `siteprobe_hub_readings_total{tenant="northwind",site="acme-berlin"} 6`,
		`siteprobe_hub_redelivered_total{tenant="northwind",site="acme-berlin"} 0`, `siteprobe_hub_pending_readings{tenant="northwind",site="acme-berlin"} 240`,
		`siteprobe_hub_last_message_timestamp_seconds{tenant="northwind",site="acme-berlin"} 1.77789618e+09`, `siteprobe_hub_site_online{tenant="northwind",site="acme-berlin"} 1`,
		`siteprobe_hub_lost_batches{tenant="northwind",site="acme-berlin"} 0`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("%s is missing in\n%s", line, body)
		}
	}
	if got := escapeLabel("a\\b\"c\nd"); got != `a\\b\"c\nd` {
		t.Error(got)
	}
}

func TestHeadersHostsAndMethods(t *testing.T) {
	w := newWorld(t)
	rec := w.request("GET", "/", "127.0.0.1:8080")
	csp := rec.Header().Get("Content-Security-Policy")
	for _, s := range []string{"default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(csp, s) || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
			t.Errorf("CSP %q lacks %s", csp, s)
		}
	}
	if rec.Header().Get("X-Content-Type-Options") != "nosniff" || rec.Header().Get("Cache-Control") != "no-store" || rec.Code != 200 {
		t.Error(rec.Header(), rec.Code)
	}
	for host, want := range map[string]int{"localhost:80": 200, "[::1]:80": 200, "[::1]": 200, "10.0.0.1": 200, "HUB.msp.example": 200, "evil.example": 421, "": 421, "127.0.0.1.evil.example:80": 421} {
		if got := w.request("GET", "/", host).Code; got != want {
			t.Errorf("host %q: %d, want %d", host, got, want)
		}
	}
	for _, m := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		if got := w.request(m, "/", "localhost").Code; got != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", m, got)
		}
	}
	if rec := w.request("GET", "/healthz", "evil.example"); rec.Code != 200 || rec.Body.String() != "ok\n" {
		t.Error(rec.Code, rec.Body)
	}
	for path, kind := range map[string]string{w.web.style: "text/css; charset=utf-8", "/static/icon.svg": "image/svg+xml"} {
		if rec := w.request("GET", path, "localhost"); rec.Code != 200 || rec.Header().Get("Content-Type") != kind {
			t.Errorf("%s: %d %v", path, rec.Code, rec.Header())
		}
	}
	_, body := w.get("/?refresh=off")
	if strings.Contains(body, "http-equiv") || !strings.Contains(body, "resume") {
		t.Error("the refreshing cannot be stopped")
	}
	w.must(w.hub.Close())
	if rec := w.request("GET", "/healthz", "localhost"); rec.Code != 503 {
		t.Error(rec.Code)
	}
	if rec := w.request("GET", "/", "localhost"); rec.Code != 500 || strings.Contains(rec.Body.String(), "sql") {
		t.Error(rec.Code, rec.Body)
	}
}

// What cannot be found out in time is said, and the rest is shown.
func TestOutOfTime(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Budget = time.Nanosecond })
	sw := interfaces("sw1", 1)
	w.send(berlin, block.Readings, w.poll(sw, time.Minute, 0, ""))
	w.send(berlin, block.Events, collectors.Batch{Source: "events", At: collectors.Stamp(w.now.UnixMilli()), Events: []collectors.Event{{Kind: "reboot", Text: "sw1"}}})
	series := url.QueryEscape(sw.Series[0].String())
	for path, want := range map[string]string{
		"/": "not checked yet", "/site/northwind/acme-berlin": "There was no time to read all of them",
		"/site/northwind/acme-berlin/source/device/sw1":                       "There was no time to look at all readings",
		"/site/northwind/acme-berlin/plot?source=device/sw1&series=" + series: "There was no time to read all of it",
	} {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "localhost"
		rec := httptest.NewRecorder()
		w.web.routes().ServeHTTP(rec, r) // without the handler's own timeout
		if got := textOf(rec.Body.String()); rec.Code != 503 && !strings.Contains(got, want) {
			t.Errorf("%s: %d %s", path, rec.Code, got)
		}
	}
}

func TestAtOnce(t *testing.T) {
	w := newWorld(t)
	sw := interfaces("sw1", 2)
	w.send(berlin, block.Readings, w.poll(sw, 2*time.Minute, 0, ""))
	w.say(berlin, w.online())
	srv := httptest.NewServer(w.web)
	defer srv.Close()
	var wg sync.WaitGroup
	for _, path := range []string{"/", "/site/northwind/acme-berlin", "/site/northwind/acme-berlin/source/device/sw1", "/metrics", "/api/v1/sites", "/"} {
		wg.Go(func() {
			for range 5 {
				res, err := srv.Client().Get(srv.URL + path)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != 200 {
					t.Error(path, res.Status)
				}
			}
		})
	}
	for i := range 20 {
		w.send(berlin, block.Readings, w.poll(sw, time.Minute-time.Duration(i)*time.Second, uint64(i), ""))
	}
	wg.Wait()
}
