package snmp_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/schedule"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// punctual notes when a collector is started.
type punctual struct {
	collectors.Collector
	mu     sync.Mutex
	starts []time.Time
	failed int
}

func (p *punctual) Collect(ctx context.Context, emit func(collectors.Batch)) error {
	p.mu.Lock()
	p.starts = append(p.starts, time.Now())
	p.mu.Unlock()
	err := p.Collector.Collect(ctx, emit)
	if err != nil {
		p.mu.Lock()
		p.failed++
		p.mu.Unlock()
	}
	return err
}

// flood answers every datagram with many that are no answers.
func flood(t *testing.T) netip.AddrPort {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	working.Go(func() {
		b := make([]byte, 1500)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			for range 500 {
				_, _ = conn.WriteToUDPAddrPort(b, from)
			}
		}
	})
	t.Cleanup(func() { _ = conn.Close(); working.Wait() })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestNeighbours: of a hundred devices on one socket ten are dead, drip, flood or
// loop. The others are polled in time and in full.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	const devices, interval, rounds = 100, 2 * time.Second, 3
	agent := func(m snmptest.Manners) netip.AddrPort {
		a, err := snmptest.Listen("", snmptest.Config{MIB: snmptest.Switch(8), Manners: m})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Close() })
		return a.Addr()
	}
	good := agent(snmptest.Manners{})
	bad := []netip.AddrPort{
		agent(snmptest.Manners{DropEvery: 1}),
		agent(snmptest.Manners{Delay: 50 * time.Millisecond, MaxRepetitions: 1}),
		agent(snmptest.Manners{WrongRequestID: true}),
		agent(snmptest.Manners{LoopAt: "1.3.6.1.2.1.2.2.1.14.3"}),
		flood(t),
	}
	dialer, err := scope.New(scope.Config{Managed: []string{"127.0.0.0/8"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sockets := snmp.NewSockets()
	var jobs []schedule.Job
	var well []*punctual
	for i := range devices {
		at := good
		if i%10 == 0 {
			at = bad[i/10%len(bad)]
		}
		c, err := snmp.New(snmp.Config{Device: fmt.Sprintf("d%d", i), Address: at.String(), Timeout: 800 * time.Millisecond, Retries: 1,
			Credentials: []snmp.Credential{{Name: "lan", Auth: snmp.Auth{Version: "2c", Community: "public"}}}}, dialer, snmp.WithSockets(sockets))
		if err != nil {
			t.Fatal(err)
		}
		p := &punctual{Collector: c}
		if at == good {
			well = append(well, p)
		}
		jobs = append(jobs, schedule.Job{Source: c.Source(), Interval: interval, Timeout: 2 * interval, Collector: p})
	}
	cfg := schedule.DefaultConfig()
	cfg.Spread = interval
	start := time.Now()
	s := schedule.New(cfg, func() collectors.Stamp { return collectors.Stamp(time.Since(start).Milliseconds()) }, func(collectors.Batch) {}, nil)
	if err := s.Replace(jobs); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), (rounds+1)*interval)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := sockets.Close(); err != nil {
		t.Error(err)
	}
	var latest time.Duration
	for i, p := range well {
		if len(p.starts) < rounds {
			t.Errorf("device %d was polled %d times", i, len(p.starts))
		}
		if p.failed > 1 { // the last one may have been cut short
			t.Errorf("device %d failed %d times", i, p.failed)
		}
		for n := 1; n < len(p.starts); n++ {
			latest = max(latest, p.starts[n].Sub(p.starts[n-1])-interval)
		}
	}
	if latest > time.Second {
		t.Errorf("a poll began %s late", latest)
	}
	t.Logf("%d devices, the latest poll began %s late; %+v", len(well), latest, sockets.Stats())
}
