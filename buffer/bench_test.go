package buffer_test

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/collectors"
)

// commitEvery is the site's time between two commits of the benchmarks.
const commitEvery = 5 * time.Second

// feed is the reference mix on its way into a buffer, in its own time.
type feed struct {
	site    *loadtest.Site
	clock   *clock
	batches []collectors.Batch
}

func newFeed() *feed {
	site := loadtest.New(loadtest.Reference())
	return &feed{site: site, clock: &clock{now: int64(site.Now()), offset: 1_800_000_000_000, sure: true}}
}

// gather makes the batches up to the next commit.
func (f *feed) gather() (readings int) {
	f.clock.step(commitEvery)
	f.batches = f.batches[:0]
	for x := range f.site.Until(f.clock.Now()) {
		f.batches = append(f.batches, x)
		readings += x.Readings()
	}
	return readings
}

func (f *feed) commit(b *testing.B, buf *buffer.Buffer) {
	for _, x := range f.batches {
		buf.Add(x)
	}
	if err := buf.Flush(); err != nil {
		b.Fatal(err)
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// minute is how many commits it takes until each source has been polled once.
const minute = int(time.Minute / commitEvery)

// BenchmarkIngest is from Add to the committed block; an operation is one commit
// of five seconds of the reference mix. BenchmarkDrain is reading blocks to send and
// marking them delivered.
func BenchmarkIngest(b *testing.B) {
	f := newFeed()
	buf, err := buffer.Open(config(b.TempDir()), buffer.Options{Probe: "t/s", Clock: f.clock, Manual: true})
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close()
	for range minute { // with all schemas
		f.gather()
		f.commit(b, buf)
	}
	before, err := buf.Stats()
	if err != nil {
		b.Fatal(err)
	}
	readings, spent, allocs := 0, time.Duration(0), uint64(0)
	for b.Loop() {
		readings += f.gather() // not what is measured
		made := mallocs()
		start := cpu()
		f.commit(b, buf)
		spent += cpu() - start
		allocs += mallocs() - made
	}
	after, err := buf.Stats()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(spent.Seconds()/float64(readings)*1e6, "CPU-s/M-readings")
	b.ReportMetric(float64(after.WrittenBytes-before.WrittenBytes)/float64(readings), "block-B/reading")
	b.ReportMetric(float64(after.Used-before.Used)/float64(readings), "disk-B/reading")
	b.ReportMetric(float64(allocs)/float64(readings), "allocs/reading")
}

func BenchmarkDrain(b *testing.B) {
	f := newFeed()
	buf, err := buffer.Open(config(b.TempDir()), buffer.Options{Probe: "t/s", Clock: f.clock, NoSync: true, Manual: true})
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close()
	refill := func() {
		for range 10 * minute {
			f.gather()
			f.commit(b, buf)
		}
	}
	refill()
	readings, spent, after := 0, time.Duration(0), int64(0)
	for b.Loop() {
		start := cpu()
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
		spent += cpu() - start
		if len(ps) == 0 { // all sent
			refill()
		}
	}
	b.ReportMetric(spent.Seconds()/float64(readings)*1e6, "CPU-s/M-readings")
}

// BenchmarkCompact is an hour of the reference mix made into hour-long blocks; the
// memory is what the process holds at the most meanwhile, above what it held before.
func BenchmarkCompact(b *testing.B) {
	readings, spent, peak := 0, time.Duration(0), uint64(0)
	for b.Loop() {
		ck := newClock()
		buf, err := buffer.Open(config(b.TempDir()), buffer.Options{Probe: "t/s", Clock: ck, NoSync: true, Manual: true})
		if err != nil {
			b.Fatal(err)
		}
		site := loadtest.New(loadtest.Reference())
		readings += live(b, buf, site, ck, 80*time.Minute) * 3 / 4
		debug.FreeOSMemory()
		before := held()
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					peak = max(peak, held()-min(before, held()))
				}
			}
		}()
		began := cpu()
		maintain(b, buf)
		spent += cpu() - began
		close(stop)
		<-done
		if err := buf.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(spent.Seconds()/float64(readings)*1e6, "CPU-s/M-readings")
	b.ReportMetric(float64(peak)/1e6, "MB-more")
}

// held is how much memory the heap has of the system, without what it gave back.
func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() + s[1].Value.Uint64() + s[2].Value.Uint64()
}
