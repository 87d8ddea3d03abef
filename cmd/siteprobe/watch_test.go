package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/topology"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// What alerts without being told.
func TestWatched(t *testing.T) {
	file := &config.Site{
		Scope:       scope.Config{Managed: []string{"10.0.0.0/24"}, External: []string{"mail.example.com:25"}},
		Credentials: []config.Credential{{Name: "lan", SNMP: &snmp.Auth{}}},
		Defaults:    config.Defaults{Credentials: []string{"lan"}},
		Devices: []config.Device{
			{Name: "gw", Address: "10.0.0.1", Owner: "isp", Watch: []string{"wan"}},
			{Name: "sw", Address: "10.0.0.2", Parent: "gw", Ping: true, Credentials: []string{"lan"}},
			{Name: "nvr", Address: "10.0.0.3", Ping: true},
			{Name: "till", Address: "10.0.0.4", Ping: true, Labels: map[string]string{"role": "client"}},
			{Name: "copier", Address: "10.0.0.5"},
		},
		Checks: []check.Config{
			{Name: "web", Device: "nvr", TCP: &check.TCP{Address: "10.0.0.3:80"}},
			{Name: "mail", TCP: &check.TCP{Address: "mail.example.com:25"}},
			{Name: "dns", TCP: &check.TCP{Address: "10.0.0.9:53"}},
			{Name: "far", ICMP: &check.ICMP{Address: "192.0.2.1"}},
		},
	}
	all := *file
	all.Devices = append(slices.Clone(file.Devices), config.Device{Name: "pc", Address: "10.0.0.6", Ping: true}, config.Device{Name: "nas", Address: "10.0.0.7", Credentials: []string{"lan"}})
	book := discovery.Book{Devices: []discovery.Device{{Name: "copier", Facts: discovery.Facts{Class: "printer"}}, {Name: "nas", Facts: discovery.Facts{Class: "nas"}}, {Name: "pc"}}}
	got := map[string]incident.Watched{}
	for _, w := range watched(file, &all, book).Sources {
		got[w.Source] = w
	}
	for source, quiet := range map[string]bool{"device/gw": false, "device/sw": false, "device/nvr": false, "device/till": true, "device/copier": true, "device/pc": true, "device/nas": false} {
		if w, ok := got[source]; !ok || w.Quiet != quiet {
			t.Errorf("%s: quiet %v (%v)", source, w.Quiet, ok)
		}
	}
	for source, host := range map[string]string{"check/web": "device/nvr", "check/mail": incident.Line, "check/dns": "", "check/far": incident.Line} {
		if got[source].Host != host {
			t.Errorf("%s is of %q", source, got[source].Host)
		}
	}
	if m := got["device/sw"].Means; fmt.Sprint(m) != "[device/sw check/sw~ping]" {
		t.Errorf("means of sw: %v", m)
	}
	if m := got["device/nvr"].Means; fmt.Sprint(m) != "[device/nvr]" || got["device/gw"].Owner != diagnosis.ISP {
		t.Errorf("%v, %v", m, got["device/gw"].Owner)
	}
}

func TestBlame(t *testing.T) {
	for why, want := range map[string]incident.Evidence{
		"asking 10.0.0.1: " + snmp.ErrNoAnswer.Error():    incident.Bad,
		"asking 10.0.0.1: " + snmp.ErrUnreachable.Error(): incident.Bad,
		"was not done within 5s":                          incident.Bad,
		"asking 10.0.0.1: " + snmp.ErrRefused.Error():     incident.Good, // it is there
		"asking 10.0.0.1: " + snmp.ErrWrongDigest.Error(): incident.Good,
		"asking 10.0.0.1: the device answered genErr":     incident.Good,
		"asking 10.0.0.1: " + snmp.ErrSend.Error():        incident.Nothing, // the box's own
		"collector panicked":                              incident.Nothing,
	} {
		if got := blame(why); got != want {
			t.Errorf("%q: %d, want %d", why, got, want)
		}
	}
}

// A switch that nobody polls stands between two that are polled.
func TestParentsOf(t *testing.T) {
	id := func(n byte) topology.ID {
		return topology.ID{Subtype: 4, Text: topology.MAC{2, 0, 0, 0, 0, n}.String()}
	}
	facts := func(name string, n byte) *topology.Facts {
		return &topology.Facts{Device: name, SysName: name, Chassis: id(n), Bridge: topology.MAC{2, 0, 0, 0, 0, n},
			Interfaces: []topology.Interface{{Index: 101, Name: "Gi1", MAC: topology.MAC{2, 1, 0, 0, 0, n}}},
			Neighbours: []topology.Neighbour{{Protocol: "lldp", IfIndex: 101, Port: "Gi1", Chassis: id(9), PortID: topology.ID{Subtype: 5, Text: fmt.Sprint("p", n)}, Bridges: true}}}
	}
	known := []topology.Known{{Name: "core"}, {Name: "far"}}
	g := topology.Build(known, []*topology.Facts{facts("core", 1), facts("far", 2)})
	if got := parentsOf(g, known, []string{"core"}); fmt.Sprint(got) != "map[device/far:[device/core]]" {
		t.Errorf("%v", got)
	}
	if got := uplinksOf(g, known); fmt.Sprint(got) != "map[device/core:[{101 }] device/far:[{101 }]]" {
		t.Errorf("%v", got)
	}
}
