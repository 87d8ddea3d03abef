package web

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// quarters adds points of a quarter of an hour each to a series, the first from
// minute on.
func quarters(p *store.Points, from int64, each ...block.Cell) *store.Points {
	for i, c := range each {
		start := (from + int64(i)*15) * minute
		v := c.Last
		if p.Series.Kind == collectors.Gauge {
			v = collectors.GaugeValue(c.Sum / float64(c.Count))
		}
		p.Points = append(p.Points, store.Point{T: start + 14*minute, V: v, Rolled: &store.Rolled{Cell: c, Tier: block.Quarter, Start: start}})
	}
	return p
}

func total(last uint64) block.Cell {
	return block.Cell{Count: 15, Last: collectors.CounterValue(last)}
}

func spread(lo, mean, hi float64) block.Cell {
	return block.Cell{Count: 15, Sum: 15 * mean, Min: lo, Max: hi, Last: collectors.GaugeValue(mean)}
}

func raw(p *store.Points, at int64, vs ...collectors.Value) *store.Points {
	for i, v := range vs {
		p.Points = append(p.Points, store.Point{T: (at + int64(i)) * minute, V: v})
	}
	return p
}

// Between summaries a line breaks where something is missing, not because they are
// far apart; rates go on from one tier to the next.
func TestLineOfSummaries(t *testing.T) {
	counter := func() *store.Points {
		return &store.Points{Series: collectors.Series{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter}}
	}
	c := collectors.CounterValue
	const perQuarter = 15 * 750 // 100 bit/s
	for _, x := range []struct {
		name string
		p    *store.Points
		runs [][]float64
		gaps []gap
	}{
		{"a counter", quarters(counter(), 0, total(0), total(perQuarter), total(3*perQuarter)), [][]float64{{100, 200}}, nil},
		{"and its readings after", raw(quarters(counter(), 0, total(0), total(perQuarter)), 30, c(perQuarter+750), c(perQuarter+1500)), [][]float64{{100, 100, 100}}, nil},
		{"a quarter missing", quarters(quarters(counter(), 0, total(0), total(perQuarter)), 45, total(5*perQuarter), total(6*perQuarter)),
			[][]float64{{100}, {100}}, []gap{{29 * minute, 45 * minute, nothing}}},
		{"a fall in a quarter", quarters(raw(quarters(counter(), 0, total(0), total(perQuarter)), 37, c(perQuarter+6000), c(0)), 30, total(4500)),
			[][]float64{{100, 100}, {100}}, []gap{{37 * minute, 38 * minute, reset}}},
		{"nothing in a quarter", quarters(raw(quarters(counter(), 0, total(0), total(perQuarter)), 44, collectors.Value{}), 45, total(5*perQuarter), total(6*perQuarter)),
			[][]float64{{100}, {100}}, []gap{{29 * minute, 45 * minute, unread}}},
		{"a gauge", quarters(gaugePoints(), 0, spread(1, 2, 3), spread(2, 4, 9)), [][]float64{{2, 4}}, nil},
		{"a gauge and its readings", raw(quarters(gaugePoints(), 0, spread(1, 2, 3)), 15, collectors.GaugeValue(7), collectors.GaugeValue(8)), [][]float64{{2, 7, 8}}, nil},
		{"a gauge's gap", quarters(quarters(gaugePoints(), 0, spread(1, 2, 3)), 60, spread(4, 5, 6)), [][]float64{{2}, {5}}, []gap{{14 * minute, 60 * minute, nothing}}},
		{"readings once an hour", quarters(quarters(quarters(gaugePoints(), 0, block.Cell{Count: 1, Sum: 5}), 60, block.Cell{Count: 1, Sum: 6}), 120, block.Cell{Count: 1, Sum: 7}),
			[][]float64{{5, 6, 7}}, nil},
	} {
		l := lineOf(x.p)
		var runs [][]float64
		for _, r := range l.Runs {
			var vs []float64
			for _, s := range r {
				vs = append(vs, math.Round(s.V*1e6)/1e6)
			}
			runs = append(runs, vs)
		}
		if !slices.EqualFunc(runs, x.runs, slices.Equal[[]float64]) || !slices.Equal(l.Gaps, x.gaps) {
			t.Errorf("%s: %v and gaps %v, want %v and %v", x.name, runs, l.Gaps, x.runs, x.gaps)
		}
	}
}

// A gauge that is a total by its name has rates of its readings, not of its means.
func TestTotalsThatAreGauges(t *testing.T) {
	p := &store.Points{Series: collectors.Series{Metric: "node_cpu_seconds_total", Kind: collectors.Gauge}}
	quarters(p, 0, block.Cell{Count: 15, Min: 0, Max: 14, Sum: 105, Last: collectors.GaugeValue(14)}, block.Cell{Count: 15, Min: 15, Max: 914, Sum: 5000, Last: collectors.GaugeValue(914)})
	if l := lineOf(p); len(l.Runs) != 1 || l.Runs[0][0].V != 1 {
		t.Errorf("%+v", l)
	}
	p.Points[1].Rolled.Max = 2000 // it began anew meanwhile
	if l := lineOf(p); len(l.Runs) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestBandsKeepExtremes(t *testing.T) {
	p := gaugePoints()
	for i := range int64(700) {
		c := spread(1, 2, 3)
		if i == 333 {
			c.Max = 1000
		}
		quarters(p, i*15, c)
	}
	l := lineOf(p)
	for _, width := range []int64{1, 15 * minute, 100 * minute} {
		var lo, hi float64
		n := 0
		for _, area := range l.bands(width) {
			for _, s := range area {
				lo, hi, n = min(lo, -s.lo), max(hi, s.hi), n+1
			}
		}
		if lo != -1 && lo != 0 || hi != 1000 || width > 15*minute && n > 120 {
			t.Errorf("width %d: %d slabs up to %v", width, n, hi)
		}
	}
	d := &drawing{series: &p.Series, line: l, spans: spansOf(p.Points, 0, 700*15*minute), from: 0, to: 700 * 15 * minute, loc: time.UTC,
		why: func(gap) string { return "" }, value: func(v float64) string { return fmt.Sprint(v) }}
	for _, f := range []*figure{d.wide(), d.phone()} {
		if len(f.Bands) != 1 || len(f.Spans) != 1 || len(f.Lines) != 1 || f.YTicks[len(f.YTicks)-1].Label != "1000" || strings.ContainsAny(f.Bands[0], "NI") {
			t.Errorf("%d bands, %d spans, %d lines, %v", len(f.Bands), len(f.Spans), len(f.Lines), f.YTicks)
		}
	}
	if f := d.wide(); !strings.Contains(f.Hits[0].Title, "1 Jan 00:00 to 00:14 UTC  mean 2, 1 to 3, 15 readings") {
		t.Error(f.Hits[0].Title)
	}
}

// roll brings a site's batches of one source as what they became.
func (w *world) roll(s wire.Site, tier block.Tier, batches ...collectors.Batch) {
	w.t.Helper()
	r := block.NewRoller(batches[0].Source, tier, 0)
	for i := range batches {
		r.Add(&batches[i])
	}
	key := s.Probe() + " " + batches[0].Source
	sec := block.Section{First: w.first[key], Rollup: &r.Rollup}
	w.first[key] += uint64(len(batches))
	id, b, err := w.codec.EncodeSchema(r.Schema)
	w.must(err)
	sec.Schema = id
	w.handle(s, wire.SchemaUp, wire.EncodeSchemas([][]byte{b})[0])
	x, err := w.codec.Encode(block.Head{Probe: s.Probe(), Epoch: 7, Boot: [16]byte{1}, Sure: true, Tier: tier}, []block.Section{sec})
	w.must(err)
	if r := w.handle(s, wire.Backfill, x.Bytes); r == nil || len(r.Stored) != 1 {
		w.t.Fatalf("not stored: %+v, refused %v", r, w.hub.Refused())
	}
}

func TestPagesOfSummaries(t *testing.T) {
	w := newWorld(t)
	sw := interfaces("sw1", 2)
	var hour, quarter, fresh []collectors.Batch
	for ago := 240; ago > 0; ago-- {
		b := w.poll(sw, time.Duration(ago)*time.Minute, uint64(240-ago)*750, "sw1.local")
		b.Values[0] = collectors.GaugeValue(float64(100 * (1 + ago%7)))
		if ago == 80 {
			b.Values[3] = collectors.StateValue(2)
		}
		switch {
		case ago > 123: // until 10:00
			hour = append(hour, b)
		case ago > 63:
			quarter = append(quarter, b)
		default:
			fresh = append(fresh, b)
		}
	}
	w.roll(berlin, block.Hour, hour...)
	w.roll(berlin, block.Quarter, quarter...)
	w.send(berlin, block.Readings, fresh...)
	at := func(i int) string { return plotURL(berlin, sw.Source, sw.Series[i].String(), 6, 0) }
	w.contains(at(0), "Summaries of 1 h each from 08:00:00 to 09:59:00 ; of 15 min each from 10:00:00 to 10:59:00 : there was no room at the box for all readings. "+
		"The line is the mean of each, the band goes from its lowest to its highest reading. mean lowest to highest", "Time Value Stands for",
		"09:59:00 4 s 1 h: 60 readings, 1 s to 7 s", "lowest 1 s")
	w.contains(at(3), "The line is the last state of each", "10:44:00 up 15 min: 15 readings, up to down", "10:59:00 up 15 min: 15 readings, all the same")
	w.contains(at(5), "rate of a counter", "The rate is the mean over each; shorter peaks do not show.", "lowest 100 bit/s mean 100 bit/s highest 100 bit/s",
		"10:59:00 100 bit/s 132000 15 min: 15 readings, rose by 11 250", "09:59:00 100 bit/s 87000 1 h: 60 readings, rose by 45 000")
	w.contains(at(1), "Of each there is the last text.", "09:59:00 sw1.local 1 h: 60 readings")
	_, body := w.get(at(0))
	fig := body[strings.Index(body, "<svg"):strings.Index(body, "</svg>")]
	for class, n := range map[string]int{"bands": 1, "line": 1} {
		if g := regexp.MustCompile(`(?s)<g class="` + class + `">(.*?)</g>`).FindStringSubmatch(fig)[1]; strings.Count(g, "<path") != n {
			t.Errorf("%s: %s", class, g)
		}
	}
	// A window within a summary's hour, and one that ends within another.
	path := plotURL(berlin, sw.Source, sw.Series[5].String(), 1, w.now.Add(-150*time.Minute).Unix()) // 08:33 to 09:33
	if got := w.page(path); !strings.Contains(got, "last 100 bit/s lowest 100 bit/s") || strings.Contains(got, "Gaps") {
		t.Error(got)
	}
}

// On a source's page there is the last reading, not a mean.
func TestLastReadingOutOfASummary(t *testing.T) {
	w := newWorld(t)
	sw := interfaces("sw1", 2)
	var bs []collectors.Batch
	for ago := 33; ago > 3; ago-- { // from 11:30 on
		b := w.poll(sw, time.Duration(ago)*time.Minute, uint64(100-ago)*75_000_000, "")
		b.Values[0] = collectors.GaugeValue(float64(10_000_000 * (100 - ago)))
		bs = append(bs, b)
	}
	w.roll(berlin, block.Quarter, bs...)
	w.contains("/site/northwind/acme-berlin/source/device/sw1", "polled 11:59:00", "sysUpTime 111 d 11:59:00", "1 Gi1/0/1 up up 1 Gbit/s 10 Mbit/s 1 %")
}

func TestSummariesAndRepeatsOnTheSitePage(t *testing.T) {
	w := newWorld(t)
	sw := interfaces("sw1", 1)
	w.roll(berlin, block.Quarter, w.poll(sw, 40*time.Minute, 0, ""), w.poll(sw, 39*time.Minute, 0, ""))
	w.send(berlin, block.Readings, w.poll(sw, time.Minute, 0, ""))
	st := w.online()
	left := 400.
	st.Buffer.DaysLeft, st.Buffer.Left = &left, &wire.Left{Raw: 0.58, Quarter: 8.1, Hour: 400}
	w.say(berlin, st)
	w.send(berlin, block.Events, collectors.Batch{Source: "events", At: collectors.Stamp(w.now.Add(-time.Minute).UnixMilli()), Events: []collectors.Event{
		{Kind: "trap", Severity: collectors.Warning, Text: "authentication failure", Labels: []collectors.Label{{Name: "device", Value: "sw1"},
			{Name: store.LabelCount, Value: "37"}, {Name: store.LabelFirst, Value: fmt.Sprint(w.now.Add(-2 * time.Hour).UnixMilli())}}}}})
	w.contains("/site/northwind/acme-berlin", "Batches stored 4 of 4 2 of them as summaries (15 min, 1 h)", "2 as summaries", "3 2 as summaries",
		"Buffer lasts 14 h with every reading, 8 d 2 h as summaries of 15 min, 400 d of 1 h",
		"trap authentication failure (37 times since 10:03:00) device=sw1")
	if code, _ := w.get("/"); code != http.StatusOK {
		t.Error(code)
	}
}
