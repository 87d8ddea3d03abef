package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// The load that figures are measured with has the series that the collectors emit,
// in their order. These tests fail when a collector changes: then package loadtest
// is to follow.

func TestLoadOfASwitch(t *testing.T) {
	const ports = 48
	a, err := snmptest.Listen("", snmptest.Config{MIB: snmptest.Switch(ports)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	dialer, err := scope.New(scope.Config{Managed: []string{"127.0.0.0/8"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := snmp.New(snmp.Config{Device: "sw000", Address: a.Addr().String(),
		Credentials: []snmp.Credential{{Auth: snmp.Auth{Version: "2c", Community: "public"}}}}, dialer)
	if err != nil {
		t.Fatal(err)
	}
	same(t, shapeOf(emitted(t, c, false)), shapeOf(made(t, loadtest.Mix{Switches: 1, Ports: ports, Interval: time.Minute})))
}

// nowhere is a network on which nothing answers.
type nowhere struct{}

func (nowhere) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (nowhere) Resolve(context.Context, string, uint16) (netip.AddrPort, error) {
	return netip.AddrPort{}, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func TestLoadOfChecks(t *testing.T) {
	for i, cfg := range []check.Config{
		{Name: "icmp-0", ICMP: &check.ICMP{Address: "nowhere.example"}},
		{Name: "http-1", HTTP: &check.HTTP{URL: "https://nowhere.example/"}},
		{Name: "dns-2", DNS: &check.DNS{Server: "nowhere.example", Name: "www.example.com"}},
		{Name: "tcp-3", TCP: &check.TCP{Address: "nowhere.example:22"}},
	} {
		t.Run(cfg.Name, func(t *testing.T) {
			c, err := check.New(cfg, nowhere{}, check.Options{})
			if err != nil {
				t.Fatal(err)
			}
			all := loadtest.New(loadtest.Mix{Checks: 4, Interval: time.Minute, Seed: uint64(i)})
			for range all.Sources() {
				if b := all.Next(); b.Source == c.Source() {
					same(t, shapeOf(emitted(t, c, false)), shapeOf(b.Schema))
					return
				}
			}
			t.Fatal("there is no load for", c.Source())
		})
	}
}

// What a machine has differs, so the box's series are compared metric by metric.
func TestLoadOfTheBox(t *testing.T) {
	index := func(s *collectors.Schema) map[string]string {
		m := map[string]string{}
		for i, line := range shapeOf(s) {
			m[s.Series[i].Metric] = line
		}
		return m
	}
	clock := host.NewClock(host.Config{})
	real := index(emitted(t, host.New(host.Config{Clock: clock}), true))
	load := index(made(t, loadtest.Mix{Host: true, Interval: time.Minute}))
	for metric, want := range real {
		if metric == "node_hwmon_temp_celsius" { // in place of thermal zones
			continue
		}
		if load[metric] != want {
			t.Errorf("the collector emits %s, the load has %q", want, load[metric])
		}
	}
}

// emitted is the schema of what a collector emits.
func emitted(t *testing.T, c collectors.Collector, partial bool) (s *collectors.Schema) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := c.Collect(ctx, func(b collectors.Batch) { s = b.Schema })
	if err != nil && !partial || s == nil {
		t.Fatal(err)
	}
	return s
}

func made(t *testing.T, m loadtest.Mix) *collectors.Schema {
	t.Helper()
	return loadtest.New(m).Next().Schema
}

// shapeOf is what a series is but for its labels' values.
func shapeOf(s *collectors.Schema) (out []string) {
	for _, x := range s.Series {
		var names []string
		for _, l := range x.Labels {
			names = append(names, l.Name)
		}
		out = append(out, fmt.Sprintf("%v %s{%s} %q", x.Kind, x.Metric, strings.Join(names, ","), x.Unit))
	}
	return out
}

func same(t *testing.T, collector, load []string) {
	t.Helper()
	if diff := cmp.Diff(collector, load); diff != "" {
		t.Errorf("-what the collector emits +what the load has\n%s", diff)
	}
}
