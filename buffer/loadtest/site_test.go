package loadtest_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/collectors"
)

func TestSeries(t *testing.T) {
	for _, x := range []struct {
		mix    loadtest.Mix
		series int
	}{{loadtest.Reference(), 77_086}, {loadtest.Thousand(), 1000}} {
		if n := loadtest.New(x.mix).Series(); n != x.series {
			t.Errorf("%d series, the comment of the mix says %d", n, x.series)
		}
	}
}

func TestBatches(t *testing.T) {
	m := loadtest.Thousand()
	a, b := loadtest.New(m), loadtest.New(m)
	schemas := map[*collectors.Schema]bool{}
	last := map[string]collectors.Stamp{}
	moved, missing, readings := 0, 0, 0
	var before map[string]collectors.Batch
	for range 2 * 60 {
		now := map[string]collectors.Batch{}
		for range a.Sources() {
			x := a.Next()
			if y := b.Next(); !reflect.DeepEqual(x, y) {
				t.Fatalf("one seed, two batches: %v, %v", x, y)
			}
			if err := x.Validate(); err != nil {
				t.Fatal(x.Source, err)
			}
			if x.Schema != nil && !schemas[x.Schema] {
				schemas[x.Schema] = true
				if err := x.Schema.Validate(); err != nil {
					t.Fatal(err)
				}
			}
			if x.At <= last[x.Source] {
				t.Fatal(x.Source, "does not rise", last[x.Source], x.At)
			}
			last[x.Source] = x.At
			now[x.Source] = x
			for i, v := range x.Values {
				readings++
				switch {
				case v.Missing():
					missing++
				case len(before[x.Source].Values) > 0 && v != before[x.Source].Values[i]:
					moved++
				}
				if x.Schema.Series[i].Kind != collectors.Counter || len(before[x.Source].Values) == 0 {
					continue
				}
				if v.Counter() < before[x.Source].Values[i].Counter() {
					t.Fatal(x.Schema.Series[i].String(), "falls")
				}
			}
		}
		before = now
	}
	if len(schemas) != a.Sources() {
		t.Errorf("%d schemas of %d sources", len(schemas), a.Sources())
	}
	share := func(n int) float64 { return float64(n) / float64(readings) }
	if s := share(missing); s > 0.03 {
		t.Errorf("%.3f of all values are missing", s)
	}
	// Of nine columns of a port two move, and of five ports three.
	if s := share(moved); s < 0.1 || s > 0.25 {
		t.Errorf("%.3f of all values differ from the last", s)
	}
}

func TestUntil(t *testing.T) {
	s := loadtest.New(loadtest.Thousand())
	start := s.Now()
	n := 0
	for x := range s.Until(start.Add(10 * time.Minute)) {
		if n++; x.At > start.Add(10*time.Minute+time.Second) {
			t.Fatal(x.At)
		}
	}
	if want := 10 * s.Sources(); n < want || n > want+s.Sources() {
		t.Error(n, want)
	}
}

func BenchmarkNext(b *testing.B) {
	s := loadtest.New(loadtest.Reference())
	n := 0
	for b.Loop() {
		n += len(s.Next().Values)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "M-readings/s")
}

func ExampleSite() {
	site := loadtest.New(loadtest.Thousand())
	for b := range site.Until(site.Now() + 1) {
		fmt.Println(b.Source, len(b.Values))
	}
	// Output: device/sw000 438
}
