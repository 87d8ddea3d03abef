package buffer_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// fleet is switches as the benchmarks of the whole have them: 48 ports with nine
// metrics, every third port down.
type fleet struct {
	schemas []*collectors.Schema
	totals  [][]uint64
	r       *rand.Rand
}

func newFleet(n int) *fleet {
	f := &fleet{r: rand.New(rand.NewPCG(1, 2))}
	for d := range n {
		s := &collectors.Schema{Source: fmt.Sprintf("device/sw%03d", d)}
		for _, m := range []string{"ifHCInOctets", "ifHCOutOctets", "ifInErrors", "ifOutErrors", "ifInDiscards", "ifOutDiscards", "ifAdminStatus", "ifOperStatus", "ifHighSpeed"} {
			kind := collectors.Counter
			switch m {
			case "ifAdminStatus", "ifOperStatus":
				kind = collectors.State
			case "ifHighSpeed":
				kind = collectors.Gauge
			}
			for p := range 48 {
				s.Series = append(s.Series, collectors.Series{Metric: m, Kind: kind, Labels: []collectors.Label{
					{Name: "device", Value: s.Source[7:]}, {Name: "ifIndex", Value: fmt.Sprint(p + 1)}, {Name: "ifName", Value: fmt.Sprintf("Gi1/0/%d", p+1)}}})
			}
		}
		f.schemas = append(f.schemas, s)
		totals := make([]uint64, len(s.Series))
		for i := range totals {
			totals[i] = f.r.Uint64N(1e4)
			if i < 96 {
				totals[i] = f.r.Uint64N(1e12)
			}
		}
		f.totals = append(f.totals, totals)
	}
	return f
}

// poll makes one batch of each switch.
func (f *fleet) poll(at collectors.Stamp) []collectors.Batch {
	out := make([]collectors.Batch, len(f.schemas))
	for d, s := range f.schemas {
		vs := make([]collectors.Value, len(s.Series))
		for i := range vs {
			up := i%3 != 0
			switch s.Series[i].Kind {
			case collectors.Counter:
				if up && i < 96 {
					f.totals[d][i] += f.r.Uint64N(1e8)
				} else if up && f.r.IntN(20) == 0 {
					f.totals[d][i]++
				}
				vs[i] = collectors.CounterValue(f.totals[d][i])
			case collectors.Gauge:
				vs[i] = collectors.GaugeValue(1000)
			default:
				vs[i] = collectors.StateValue(1)
			}
		}
		out[d] = collectors.Batch{Source: s.Source, At: at, Schema: s, Values: vs}
	}
	return out
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIngest is from Add to the committed block, a commit for each poll of
// the fleet; BenchmarkDrain is reading blocks to send and marking them delivered.
func BenchmarkIngest(b *testing.B) {
	ck := newClock()
	buf, err := buffer.Open(config(b.TempDir()), buffer.Options{Probe: "t/s", Clock: ck})
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close()
	f := newFleet(200)
	readings, spent := 0, time.Duration(0)
	for b.Loop() {
		ck.step(5 * time.Second)
		batches := f.poll(ck.Now()) // not what is measured
		before := cpu()
		for _, x := range batches {
			readings += len(x.Values)
			buf.Add(x)
		}
		if err := buf.Flush(); err != nil {
			b.Fatal(err)
		}
		spent += cpu() - before
	}
	st, err := buf.Stats()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(spent.Seconds()/float64(readings)*1e6, "CPU-s/M-readings")
	b.ReportMetric(float64(st.WrittenBytes)/float64(readings), "block-B/reading")
	b.ReportMetric(float64(st.Used)/float64(readings), "disk-B/reading")
}

func BenchmarkDrain(b *testing.B) {
	ck := newClock()
	buf, err := buffer.Open(config(b.TempDir()), buffer.Options{Probe: "t/s", Clock: ck, NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close()
	f := newFleet(200)
	for range 20 {
		ck.step(5 * time.Second)
		for _, x := range f.poll(ck.Now()) {
			buf.Add(x)
		}
		if err := buf.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	readings, spent, after := 0, time.Duration(0), int64(0)
	for b.Loop() {
		before := cpu()
		ps, err := buf.PendingAfter(after, buf.Head(), 256<<10)
		if err != nil {
			b.Fatal(err)
		}
		var ids []block.ID
		for _, p := range ps {
			after = p.Seq
			readings += p.Readings
			ids = append(ids, p.ID)
		}
		if _, _, err := buf.Delivered(ids); err != nil {
			b.Fatal(err)
		}
		spent += cpu() - before
		if len(ps) == 0 { // all sent: fill it anew, which is not what is measured
			ck.step(5 * time.Second)
			for _, x := range f.poll(ck.Now()) {
				buf.Add(x)
			}
			if err := buf.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(spent.Seconds()/float64(readings)*1e6, "CPU-s/M-readings")
}
