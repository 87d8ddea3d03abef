package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/heartbeat"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/schedule"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/topology"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// jobs makes the collectors that a site file asks for. It keeps those whose
// settings have not changed, with all that they have learned, from one site file
// to the next.
type jobs struct {
	pinger   *check.Pinger
	sockets  *snmp.Sockets
	engines  *snmp.Engines
	memory   *snmp.Memory    // nil: nothing is kept over a restart
	topology *topology.Store // nil: nobody is asked for neighbours
	beats    *heartbeat.Book // nil: nobody waits for jobs that report by themselves
	kinds    kinds
	clock    *host.Clock
	log      *slog.Logger
	book     *discovery.Registry // nil: nothing is adopted
	sweeps   bool                // devices are looked for
	adopted  []config.Device     // that are polled
	found    atomic.Int64        // devices that wait to be adopted
	scope    scope.Config
	dialer   *scope.Dialer
	made     map[string]made // by source
	left     []io.Closer     // collectors that are of no job any more
	closing  sync.WaitGroup
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

// retire closes the collectors that no job has any more, once the scheduler has its
// new jobs. One that collects still is waited for elsewhere.
func (j *jobs) retire() {
	for _, c := range j.left {
		j.closing.Go(func() { _ = c.Close() }) // a session that is of no use any more
	}
	j.left = nil
}

// close closes what the collectors share, after the last of them has ended. Sessions
// of their own end with the process: a collector that hangs must not keep the buffer
// from being closed in good order.
func (j *jobs) close() error { return j.sockets.Close() }

// leave notes which collectors are not among the next ones.
func (j *jobs) leave(next map[string]made) {
	for source, m := range j.made {
		if c, ok := m.collector.(io.Closer); ok && next[source].collector != m.collector {
			j.left = append(j.left, c)
		}
	}
	j.made = next
}

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
	for _, hb := range site.Heartbeats.Jobs {
		if j.beats != nil {
			b.add(hb.Source(), hb.Device, heartbeat.Interval, hb, func() (collectors.Collector, error) { return heartbeat.NewCollector(hb, j.beats), nil })
		}
	}
	h := host.Config{DataDir: dataDir(site), Clock: j.clock}
	j.topologyJob(b, site, dialer)
	b.add(host.Source, "", site.Defaults.Interval, h, func() (collectors.Collector, error) { return host.New(h), nil })

	if b.err != nil {
		return nil, b.err
	}
	j.leave(b.made)
	j.scope, j.dialer = site.Scope, dialer
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
