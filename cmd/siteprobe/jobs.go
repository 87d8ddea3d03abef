package main

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/schedule"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// jobs makes the collectors that a site file asks for. It keeps those whose
// settings have not changed, with all that they have learned, from one site file
// to the next.
type jobs struct {
	pinger  *check.Pinger
	sockets *snmp.Sockets
	engines *snmp.Engines
	memory  *snmp.Memory // nil: nothing is kept over a restart
	kinds   kinds
	clock   *host.Clock
	log     *slog.Logger
	book    *discovery.Registry // nil: nothing is adopted
	sweeps  bool                // devices are looked for
	adopted []config.Device     // that are polled
	scope   scope.Config
	dialer  *scope.Dialer
	made    map[string]made // by source
}

// made is a collector and the settings it was made of.
type made struct {
	settings  any
	collector collectors.Collector
}

func newJobs(clock *host.Clock, log *slog.Logger) *jobs {
	return &jobs{pinger: check.NewPinger(), sockets: snmp.NewSockets(), engines: snmp.NewEngines(), clock: clock, log: log}
}

// snmpSettings are what a collector of SNMP is made of; the profiles are those of
// the count.
type snmpSettings struct {
	snmp.Config
	profiles int
}

// snmpOptions are what the collectors of SNMP share.
func (j *jobs) snmpOptions() []snmp.Option {
	opts := []snmp.Option{snmp.WithSockets(j.sockets), snmp.WithKinds(j.kinds.Kinds), snmp.WithEngines(j.engines)}
	if j.memory != nil {
		opts = append(opts, snmp.WithMemory(j.memory))
	}
	return opts
}

// keep lets what collectors share forget the devices that are no longer polled.
func (j *jobs) keep(site *config.Site) {
	var names []string
	for _, d := range site.Devices {
		names = append(names, d.Name)
	}
	j.engines.Keep(names)
	if j.memory != nil {
		j.memory.Keep(names)
	}
}

// close closes what the collectors share, after the last of them has ended.
func (j *jobs) close() error { return j.sockets.Close() }

// maxTimeout bounds one collection, however seldom it runs.
const maxTimeout = 2 * time.Minute

// of returns the jobs of a site: every collector there is, in one place.
func (j *jobs) of(site *config.Site) ([]schedule.Job, error) {
	keep, dialer := j.made, j.dialer
	if dialer == nil || !reflect.DeepEqual(j.scope, site.Scope) {
		var err error
		if dialer, err = scope.New(site.Scope, nil); err != nil {
			return nil, fmt.Errorf("scope: %w", err)
		}
		keep = nil // another contract: nothing made under the old one stays
	}
	b := &jobList{made: map[string]made{}, keep: keep}
	file := site
	site = j.withAdopted(file)
	j.kinds.read(site, j.log)

	for _, d := range site.Devices {
		set := site.DeviceSettings(d)
		labels := labelsOf(d.Labels)
		if len(set.Credentials) > 0 {
			c := snmp.Config{Device: d.Name, Address: d.Address, Credentials: set.Credentials, Timeout: set.Timeout, Retries: set.Retries, Labels: labels, Profile: j.kinds.named[d.Profile]}
			b.add("device/"+d.Name, d.Name, set.Interval, snmpSettings{c, j.kinds.count}, func() (collectors.Collector, error) {
				return snmp.New(c, dialer, j.snmpOptions()...)
			})
		}
		switch {
		case d.Ping && len(set.Credentials) > 0: // beside SNMP it is a source of its own, of a name that the site file cannot give
			c := check.Config{Name: d.Name + "~ping", Device: d.Name, Timeout: set.Timeout, Labels: d.Labels, ICMP: &check.ICMP{Address: d.Host()}}
			b.add("check/"+c.Name, d.Name, set.Interval, c, func() (collectors.Collector, error) { return check.New(c, dialer, j.checks()) })
		case d.Ping:
			p := check.Ping{Device: d.Name, Address: d.Address, Timeout: set.Timeout, Labels: d.Labels}
			b.add("device/"+d.Name, d.Name, set.Interval, p, func() (collectors.Collector, error) { return check.NewPing(p, dialer, j.checks()) })
		}
	}
	for _, c := range site.Checks {
		c.Interval, c.Timeout = site.CheckTimes(c.Interval, c.Timeout)
		b.add("check/"+c.Name, c.Device, c.Interval, c, func() (collectors.Collector, error) { return check.New(c, dialer, j.checks()) })
	}
	if cfg := file.DiscoverySettings(); j.sweeps && len(cfg.Networks) > 0 {
		set := discoverySettings{cfg, namesOf(file), addressesOf(file), j.targets(file, site), j.kinds.count}
		b.add(discovery.Source, "", discovery.Tick, set, func() (collectors.Collector, error) { return j.discovery(set, dialer, nil) })
	}
	h := host.Config{DataDir: dataDir(site), Clock: j.clock}
	b.add(host.Source, "", site.Defaults.Interval, h, func() (collectors.Collector, error) { return host.New(h), nil })

	if b.err != nil {
		return nil, b.err
	}
	j.made, j.scope, j.dialer = b.made, site.Scope, dialer
	j.keep(site)
	return b.jobs, nil
}

func (j *jobs) checks() check.Options { return check.Options{Pinger: j.pinger} }

type jobList struct {
	jobs []schedule.Job
	made map[string]made
	keep map[string]made
	err  error
}

func (b *jobList) add(source, group string, interval time.Duration, settings any, make func() (collectors.Collector, error)) {
	m, ok := b.keep[source]
	if !ok || !reflect.DeepEqual(m.settings, settings) {
		c, err := make()
		if err != nil {
			if b.err == nil {
				b.err = fmt.Errorf("%s: %w", source, err)
			}
			return
		}
		m = made{settings, c}
	}
	b.made[source] = m
	b.jobs = append(b.jobs, schedule.Job{Source: source, Group: group, Interval: interval, Timeout: min(interval, maxTimeout), Collector: m.collector})
}

func labelsOf(m map[string]string) (out []collectors.Label) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, collectors.Label{Name: k, Value: m[k]})
	}
	return out
}
