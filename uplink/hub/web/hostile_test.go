package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// hostile are strings that a device could bear as a name, with a mark in each.
var hostile = []string{
	`<script>alert("zQz")</script>`,
	`"><img src=x onerror=zQz()>`,
	`'><svg onload=zQz()>`,
	`{{.}} {{template "zQz"}} ${zQz}`,
	`</title></style></textarea><iframe src=//zQz.example>`,
	`javascript:zQz()`,
	`--><!-- zQz <!`,
	"\u202ezQz\u0000\r\n<b>",
	`" onmouseover="zQz()" x="`,
	`&lt;zQz&#60;script&gt;`,
	`<?zQz?><![CDATA[<script>zQz()</script>]]>`,
	`%3Cscript%3EzQz%3C/script%3E`,
}

// elements and attributes are all that our templates write; an attribute's value
// is quoted and holds no quote.
var (
	anyTag = regexp.MustCompile(`<(/?)([^\s/>]*)((?:\s+[a-zA-Z:-]+(?:="[^"<>]*")?)*)\s*/?>|<`)
	attr   = regexp.MustCompile(`\s([a-zA-Z:-]+)(?:="([^"<>]*)")?`)
)

const (
	ourElements   = "html head meta title link body header a img nav ol li span p time strong main h1 h2 small footer div form label input select option button table thead tbody tr th td section dl dt dd svg g path text rect circle code"
	ourAttributes = "lang charset name content http-equiv rel href class src width height alt aria-label aria-current datetime title action method role type value maxlength placeholder autocomplete scope data-label tabindex viewBox d x y dx dy cx cy r text-anchor"
)

// inspect fails where a page holds an element or attribute that no template of
// ours has, or an address that leads elsewhere.
func inspect(t *testing.T, where, page string) {
	t.Helper()
	known := func(list, s string) bool { return strings.Contains(" "+list+" ", " "+s+" ") }
	page = strings.TrimPrefix(page, "<!doctype html>")
	for _, m := range anyTag.FindAllStringSubmatch(page, -1) {
		if !known(ourElements, m[2]) {
			t.Errorf("%s: an element that is not ours: %.100q", where, m[0])
			continue
		}
		for _, a := range attr.FindAllStringSubmatch(m[3], -1) {
			if !known(ourAttributes, a[1]) {
				t.Errorf("%s: an attribute that is not ours: %.100q", where, m[0])
			}
			if (a[1] == "href" || a[1] == "src" || a[1] == "action") && (!strings.HasPrefix(a[2], "/") || strings.HasPrefix(a[2], "//")) {
				t.Errorf("%s: an address that leads elsewhere: %.100q", where, m[0])
			}
		}
	}
	for _, r := range page {
		if r == 0x202e || r < ' ' && r != '\n' {
			t.Errorf("%s: the character %U", where, r)
		}
	}
}

// fillHostile puts s into every field that a device or a box can choose, and
// returns all pages that show them.
func fillHostile(w *world, s string) []string {
	clip := func(n int) string { return collectors.Clip(strings.ReplaceAll(s, "\x00", ""), n) }
	name := clip(collectors.MaxName)
	ls := []collectors.Label{{Name: name, Value: clip(200)}, {Name: "ifIndex", Value: s}, {Name: "ifAlias", Value: s}}
	schema := &collectors.Schema{Source: name, Series: []collectors.Series{
		{Metric: name, Unit: name, Kind: collectors.Gauge, Labels: ls},
		{Metric: name + "c", Unit: name, Kind: collectors.Counter, Labels: ls},
		{Metric: "ifOperStatus", Unit: name, Kind: collectors.State, Labels: ls},
		{Metric: name + "t", Unit: name, Kind: collectors.Text, Labels: ls[:1]},
		{Metric: name + "a", Unit: name, Kind: collectors.Gauge},
		{Metric: name + "b", Kind: collectors.Text},
	}}
	var bs []collectors.Batch
	for i := range 5 {
		b := collectors.Batch{Source: name, At: collectors.Stamp(w.now.Add(-time.Duration(20-i) * time.Minute).UnixMilli()), Schema: schema,
			Values: []collectors.Value{collectors.GaugeValue(float64(i)), collectors.CounterValue(uint64(i)), collectors.StateValue(99), collectors.TextValue(s), collectors.GaugeValue(2), collectors.TextValue(s)}}
		b.Outcome = collectors.Outcome{Result: collectors.Partial, Why: s}
		bs = append(bs, b)
	}
	w.send(berlin, block.Readings, bs...)
	w.send(berlin, block.Readings, collectors.Batch{Source: name, At: collectors.Stamp(w.now.Add(-10 * time.Minute).UnixMilli()), Outcome: collectors.Outcome{Result: collectors.Failed, Why: s}})
	w.send(berlin, block.Events, collectors.Batch{Source: name, At: collectors.Stamp(w.now.Add(-time.Minute).UnixMilli()),
		Events: []collectors.Event{{Kind: name, Severity: collectors.Error, Text: s, Labels: ls}}})
	w.account(berlin, buffer.AccountLine{Epoch: 7, Source: name, Next: 20,
		Gaps: []store.Gap{{Epoch: 7, Source: name, Range: block.Range{First: 9, End: 14}, T0: w.now.Add(-14 * time.Minute).UnixMilli(), T1: w.now.UnixMilli(), Reason: name}}})
	w.say(berlin, wire.Status{Site: s, Version: s, Time: s, Started: s, Online: true, Uplink: wire.Uplink{State: s, Since: s, Server: s, Error: s, Ack: s},
		Buffer: wire.Buffer{Oldest: &s, PendingReadings: -1 << 63, PendingBytes: 1 << 62, Dropped: 1, UsedBytes: -1, BudgetBytes: 1}, Verdict: &s, Incidents: []wire.Incident{{ID: s, Kind: s, Cause: s, Owner: s, Severity: s, Summary: s, Source: s, Affected: -1, Since: s, Silenced: s}},
		Devices: wire.Devices{Total: 1 << 62, Answering: -1 << 62, List: []wire.SourceState{{Source: name, Result: s, Why: s, At: s}, {Source: s + "2", Result: s}}},
		Trouble: []wire.Trouble{{What: s, Hint: s}}})
	pages := []string{"/", "/incidents", "/?q=" + "zQz", siteURL(berlin), sourceURL(berlin, name)}
	for i := range schema.Series {
		pages = append(pages, plotURL(berlin, name, schema.Series[i].String(), 1, 0))
	}
	return pages
}

func TestHostileStrings(t *testing.T) {
	for _, s := range hostile {
		w := newWorld(t)
		for _, path := range fillHostile(w, s) {
			code, page := w.get(path)
			if code != http.StatusOK {
				t.Errorf("%s: %d", path, code)
			}
			if !strings.Contains(page, "zQz") {
				t.Errorf("%.60s does not show it at all", path)
			}
			inspect(t, s+" in "+path, page)
		}
		// What the address itself says.
		for _, path := range []string{"/nope/", siteURL(berlin) + "/source/", "/site/x/"} {
			_, page := w.get(path + strings.NewReplacer("%", "%25", " ", "%20", "\x00", "%00", "\r", "%0d", "\n", "%0a", "?", "%3f", "#", "%23").Replace(s))
			inspect(t, s+" in the address", page)
		}
	}
}

// The inspection is not blind.
func TestInspect(t *testing.T) {
	for _, s := range []string{"<script>", `<img src=x onerror=a>`, `<a href="javascript:x">`, `<p onclick="x">`, "<b>", "<", `<a href="//x">`, "\u202e"} {
		x := &testing.T{}
		if inspect(x, "", "<p>"+s+"</p>"); !x.Failed() {
			t.Errorf("%q is not found", s)
		}
	}
}

// A browser runs nothing of it. The strings would change the title.
func TestHostileStringsInABrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") == "1" {
			t.Fatal("chromium is required and missing")
		}
		t.Skip("there is no chromium")
	}
	w := newWorld(t)
	server := httptest.NewServer(w.web)
	defer server.Close()
	srv := server.URL
	const hit = "document.title='zQz-ran'"
	for _, s := range []string{`<script>` + hit + `</script>`, `"><img src=x onerror="` + hit + `">`, `'><svg onload=` + hit + `>`} {
		pages := fillHostile(w, s)
		for _, path := range []string{pages[2], pages[3], pages[4]} {
			cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
				"--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(), "--timeout=20000", "--dump-dom", srv+path)
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), "siteprobe hub") {
				t.Skipf("chromium does not work here: %v", err)
			}
			title := regexp.MustCompile(`(?s)<title>(.*?)</title>`).FindSubmatch(out)
			if title == nil || !strings.HasSuffix(string(title[1]), "siteprobe hub") {
				t.Errorf("%s: the title is %q: something ran", path, title)
			}
			inspect(t, s+" in a browser", strings.Replace(string(out), "<!DOCTYPE html>", "<!doctype html>", 1))
		}
	}
}
