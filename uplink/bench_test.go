package uplink_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/mqtt"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
)

// BenchmarkDrain sends a backlog to a hub that stores it, in this process, and
// waits until all of it is acknowledged: blocks as a commit every 5 s makes them of
// four devices with 529 readings. Both ends flush nothing to the disk. The memory
// transport has no broker; mosquitto's own CPU time is not counted.
func BenchmarkDrain(b *testing.B) {
	const blocks, readings = 2000, 4 * 529
	for _, c := range []struct {
		name string
		open func(b *testing.B) (uplink.Transport, string)
	}{
		{"memory", func(*testing.B) (uplink.Transport, string) { return uplinktest.NewMemory(), "mqtt://memory" }},
		{"memory 100ms round trip", func(*testing.B) (uplink.Transport, string) {
			m := uplinktest.NewMemory()
			m.SetLatency(50 * time.Millisecond)
			return m, "mqtt://memory"
		}},
		{"mosquitto", func(b *testing.B) (uplink.Transport, string) {
			return mqtt.New(mqtt.Options{}), uplinktest.StartMosquitto(b).URL("mqtt")
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var cpu, took time.Duration
			for range b.N {
				b.StopTimer()
				tr, url := c.open(b)
				m := newMSP(b, tr, url).start()
				x := newBox(b, readings)
				x.commit(blocks)
				from, start := cpuTime(b), time.Now()
				b.StartTimer()
				x.start(tr, at(url))
				for x.sender.Counters().BlocksAcked < blocks {
					<-time.After(5 * time.Millisecond)
				}
				b.StopTimer()
				cpu += cpuTime(b) - from
				took += time.Since(start)
				x.stop()
				m.stop()
			}
			total := float64(b.N) * blocks * readings
			b.ReportMetric(total/took.Seconds(), "readings/s")
			b.ReportMetric(cpu.Seconds()/total*1e6, "cpu-s/Mreadings")
		})
	}
}

// cpuTime is what this process has used, of both kinds.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
