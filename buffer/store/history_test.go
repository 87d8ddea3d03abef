package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

const probe = "t/s"

// kept is a store with the blocks that put brings.
type kept struct {
	*store.Store
	t testing.TB
	n uint64
}

func open(t testing.TB) *kept {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "x.db"), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &kept{Store: s, t: t}
}

// put keeps one block of batches of one source.
func (k *kept) put(class block.Class, bs ...collectors.Batch) {
	k.t.Helper()
	err := k.Update(func(tx *store.Tx) error {
		sec := block.Section{First: k.n, Batches: bs}
		k.n += uint64(len(bs))
		if bs[0].Schema != nil {
			id, b, err := k.Codec().EncodeSchema(bs[0].Schema)
			if err != nil {
				return err
			}
			if err := tx.PutSchema(id, b); err != nil {
				return err
			}
			sec.Schema = id
		}
		b, err := k.Codec().Encode(block.Head{Probe: probe, Epoch: 1, Boot: [16]byte{1}, Class: class}, []block.Section{sec})
		if err != nil {
			return err
		}
		id, err := tx.Probe(probe)
		if err != nil {
			return err
		}
		return tx.PutBlock(id, b, false)
	})
	if err != nil {
		k.t.Fatal(err)
	}
}

func gauges(source string, metrics ...string) *collectors.Schema {
	s := &collectors.Schema{Source: source}
	for _, m := range metrics {
		s.Series = append(s.Series, collectors.Series{Metric: m, Kind: collectors.Gauge, Labels: []collectors.Label{{Name: "device", Value: "sw"}}})
	}
	return s
}

// at makes a batch with the same value in each series; NaN-free zero is a value too.
func at(s *collectors.Schema, t int64, v float64) collectors.Batch {
	b := collectors.Batch{Source: s.Source, At: collectors.Stamp(t), Schema: s}
	for range s.Series {
		b.Values = append(b.Values, collectors.GaugeValue(v))
	}
	return b
}

func failed(source string, t int64) collectors.Batch {
	return collectors.Batch{Source: source, At: collectors.Stamp(t), Outcome: collectors.Outcome{Result: collectors.Failed, Why: fmt.Sprint("at ", t)}}
}

// text writes points as time:value, a missing value as time:-.
func text(ps []store.Point) (out string) {
	for _, p := range ps {
		if p.V.Missing() {
			out += fmt.Sprintf("%d:- ", p.T)
			continue
		}
		out += fmt.Sprintf("%d:%v ", p.T, p.V.Gauge())
	}
	return out
}

func TestHolesInHistory(t *testing.T) {
	k := open(t)
	a, b := gauges("a", "m"), gauges("b", "m")
	k.put(block.Readings, failed("a", 5000))
	k.put(block.Readings, at(a, 10000, 1), at(a, 20000, 2))
	k.put(block.Readings, failed("a", 30000), failed("a", 40000))
	k.put(block.Readings, at(b, 35000, 9))
	k.put(block.Readings, at(a, 50000, 5))
	k.put(block.Readings, failed("a", 60000))
	got, err := k.History(store.Query{Probe: probe})
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if s := text(got[0].Points); s != "10000:1 20000:2 30000:- 40000:- 50000:5 60000:- " {
		t.Errorf("%s: a poll that failed is a hole in all series of its source, from their first point on", s)
	}
	if s := text(got[1].Points); s != "35000:9 " {
		t.Error(s)
	}
	p, holes, err := k.Line(context.Background(), store.Query{Probe: probe, Source: "a", Series: a.Series[0].String(), From: 15000, To: 45000})
	if err != nil || text(p.Points) != "20000:2 30000:- 40000:- " || len(holes) != 2 || holes[0].Why != "at 30000" {
		t.Error(p, holes, err)
	}
	if p, _, err := k.Line(context.Background(), store.Query{Probe: probe, Source: "a", Series: "other"}); p != nil || err != nil {
		t.Error(p, err)
	}
}

// A large source's poll comes in parts, each a batch with a schema of its own.
func TestLastIsTheWholePoll(t *testing.T) {
	k := open(t)
	one, two := gauges("a", "x", "y"), gauges("a", "z")
	k.put(block.Readings, at(one, 10000, 1))
	k.put(block.Readings, at(two, 10001, 1))
	k.put(block.Readings, at(one, 70000, 2))
	k.put(block.Readings, at(two, 70001, 2))
	k.put(block.Readings, failed("a", 80000))
	got, err := k.History(store.Query{Probe: probe, Last: true})
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	for i, want := range []string{"70000:2 ", "70000:2 ", "70001:2 "} {
		if s := text(got[i].Points); s != want {
			t.Errorf("%s: %s, want %s", got[i].Series.Metric, s, want)
		}
	}
}

func TestRecent(t *testing.T) {
	k := open(t)
	a := gauges("a", "m")
	for i := range int64(50) {
		k.put(block.Readings, at(a, 1000+i*1000, float64(i)))
	}
	k.put(block.Readings, failed("a", 60000))
	k.put(block.Readings, failed("a", 61000))
	r, err := k.Recent(context.Background(), probe, "a", 0, 3)
	if err != nil || len(r.Series) != 1 || text(r.Series[0].Points) != "47000:46 48000:47 49000:48 50000:49 " {
		t.Error(r, err)
	}
	if out, when := r.Result(); when != 61000 || out.Why != "at 61000" || r.ReadAt != 50000 {
		t.Error(out, when, r.ReadAt)
	}
	k.put(block.Readings, at(a, 62000, 7))
	r, err = k.Recent(context.Background(), probe, "a", 0, 1)
	if out, when := r.Result(); err != nil || when != 62000 || out.Result != collectors.OK {
		t.Error(out, when, err)
	}
	if r, err := k.Recent(context.Background(), probe, "a", 63000, 1); err != nil || len(r.Series) != 0 {
		t.Error(r, err)
	}
	if r, err := k.Recent(context.Background(), "t/none", "a", 0, 1); err != nil || len(r.Series) != 0 {
		t.Error(r, err)
	}
}

// ended is a context that ends after it was asked n times.
type ended struct {
	context.Context
	n *int
}

func (e ended) Err() error {
	if *e.n--; *e.n < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestHistoryWithinATime(t *testing.T) {
	k := open(t)
	a := gauges("a", "m")
	for i := range int64(20) {
		k.put(block.Readings, at(a, 1000+i*1000, float64(i)))
		k.put(block.Events, collectors.Batch{Source: "a", At: collectors.Stamp(1000 + i*1000), Events: []collectors.Event{{Kind: "k", Text: fmt.Sprint(i)}}})
	}
	n := 8 // four of each class
	got, err := k.HistoryContext(ended{context.Background(), &n}, store.Query{Probe: probe})
	if !errors.Is(err, context.DeadlineExceeded) || len(got) != 1 || text(got[0].Points) != "17000:16 18000:17 19000:18 20000:19 " {
		t.Error(got, err, "the newest part is to be there")
	}
	n = 3
	events, err := k.EventsSince(ended{context.Background(), &n}, probe, 0, 100)
	if !errors.Is(err, context.DeadlineExceeded) || len(events) != 3 || events[0].Text != "19" {
		t.Error(events, err)
	}
	events, err = k.EventsSince(context.Background(), probe, 15000, 100)
	if err != nil || len(events) != 6 {
		t.Error(events, err)
	}
	k.put(block.Events, collectors.Batch{Source: "b", At: 500, Events: []collectors.Event{{Kind: "k", Text: "of b"}}})
	if events, err := k.EventsOf(context.Background(), probe, "b", 0, 100); err != nil || len(events) != 1 || events[0].Text != "of b" {
		t.Error(events, err)
	}
	if events, err := k.Events(probe, 4); err != nil || len(events) != 4 || events[3].Text != "16" {
		t.Error(events, err)
	}
}

// BenchmarkLine reads one device's series of a day, of a site with twelve devices
// polled each minute and a block every five seconds.
func BenchmarkLine(b *testing.B) {
	k := open(b)
	var ss []*collectors.Schema
	for d := range 12 {
		s := &collectors.Schema{Source: fmt.Sprint("device/", d)}
		for i := range 250 {
			s.Series = append(s.Series, collectors.Series{Metric: "m", Kind: collectors.Gauge, Labels: []collectors.Label{{Name: "ifIndex", Value: fmt.Sprint(i)}}})
		}
		ss = append(ss, s)
	}
	const blocks = 17280
	for i := range int64(blocks) {
		k.put(block.Readings, at(ss[i%12], i*5000, float64(i)))
	}
	for b.Loop() {
		p, _, err := k.Line(context.Background(), store.Query{Probe: probe, Source: "device/3", Series: ss[3].Series[7].String()})
		if err != nil || len(p.Points) != blocks/12 {
			b.Fatal(p, err)
		}
	}
}
