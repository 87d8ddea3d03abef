package snmp

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// The two benchmarks read the same nine columns of 48 ports and sysUpTime: one
// through the collector, the other with nothing but gosnmp around the same
// requests. Both bear the cost of the agent, which runs in the same process; what
// counts is their difference, per variable wanted.

const benchPorts = 48

func BenchmarkPoll(b *testing.B) {
	agent := serve(b, snmptest.Config{MIB: snmptest.Switch(benchPorts)})
	c := collectorOf(b, Config{Address: agent.Addr().String(), Timeout: 3 * time.Second, NamesEvery: time.Hour}, WithSockets(socketsOf(b)))
	for range 5 { // names, and then the pace
		mustPoll(b, c)
	}
	n := 0
	sink := func(batch collectors.Batch) { n += len(batch.Values) }
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Collect(context.Background(), sink); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(benchPorts*9+1), "ns/reading")
}

// BenchmarkParse reads one answer of 275 variables with our reader and with
// gosnmp's.
func BenchmarkParse(b *testing.B) {
	agent := serve(b, snmptest.Config{MIB: snmptest.Switch(benchPorts)})
	conn, err := net.Dial("udp", agent.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	r := pdu.Request{Type: pdu.TypeGetBulk, Community: "public", ID: 1, MaxRepetitions: 25}
	for _, column := range []string{ifs + "7", ifs + "8", ifs + "13", ifs + "14", ifs + "19", ifs + "20", ifx + "1", ifx + "6", ifx + "10", ifx + "15", ifx + "18"} {
		r.OIDs = append(r.OIDs, pdu.MustOID(column))
	}
	if _, err := conn.Write(r.Append(nil)); err != nil {
		b.Fatal(err)
	}
	msg := make([]byte, 1<<16)
	n, err := conn.Read(msg)
	if err != nil {
		b.Fatal(err)
	}
	msg = msg[:n]
	for _, reader := range []struct {
		name string
		read func() int
	}{
		{"ours", func() func() int {
			var vbs []pdu.Varbind
			return func() int {
				_, vbs, err = pdu.ReadMessage(msg, vbs[:0])
				return len(vbs)
			}
		}()},
		{"gosnmp", func() func() int {
			g := &gosnmp.GoSNMP{Version: gosnmp.Version2c}
			return func() int {
				var p *gosnmp.SnmpPacket
				p, err = g.SnmpDecodePacket(msg)
				return len(p.Variables)
			}
		}()},
	} {
		b.Run(reader.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n = reader.read(); err != nil || n != 275 {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/275, "ns/varbind")
		})
	}
}

// BenchmarkMemory tells what stays in memory of each device between polls.
func BenchmarkMemory(b *testing.B) {
	const devices = 200
	agent := serve(b, snmptest.Config{MIB: snmptest.Switch(benchPorts)})
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what pools hold goes with the second
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		before := live()
		cs := make([]*Collector, devices)
		sockets := socketsOf(b)
		for i := range cs {
			cs[i] = collectorOf(b, Config{Address: agent.Addr().String(), Device: fmt.Sprintf("switch-%d", i)}, WithSockets(sockets))
			for range 3 {
				mustPoll(b, cs[i])
			}
		}
		b.ReportMetric(float64(live()-before)/devices/1024, "KB/device")
		for _, c := range cs {
			_ = c.Close()
		}
	}
}

func BenchmarkBareGosnmp(b *testing.B) {
	agent := serve(b, snmptest.Config{MIB: snmptest.Switch(benchPorts)})
	g := &gosnmp.GoSNMP{
		Target: agent.Addr().Addr().String(), Port: agent.Addr().Port(), Community: "public",
		Version: gosnmp.Version2c, Timeout: 3 * time.Second, MaxOids: 60,
	}
	if err := g.Connect(); err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	const ifs, ifx = ".1.3.6.1.2.1.2.2.1.", ".1.3.6.1.2.1.31.1.1.1."
	roots := []string{ifs + "7", ifs + "8", ifs + "13", ifs + "14", ifs + "19", ifs + "20", ifx + "6", ifx + "10", ifx + "15"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Get([]string{"1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.31.1.5.0"}); err != nil {
			b.Fatal(err)
		}
		at, wanted := append([]string(nil), roots...), 0
		for _, reps := range []uint32{25, 24} {
			p, err := g.GetBulk(at, 0, reps)
			if err != nil {
				b.Fatal(err)
			}
			for i, v := range p.Variables {
				if strings.HasPrefix(v.Name, roots[i%len(roots)]+".") {
					at[i%len(roots)] = v.Name
					wanted++
				}
			}
		}
		if wanted != benchPorts*len(roots) {
			b.Fatalf("%d variables", wanted)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(benchPorts*9+1), "ns/reading")
}
