package loadtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// latency is how long something takes: near what it took before, with spikes.
type latency struct {
	base float64 // s
	now  float64
}

func (l *latency) next(r *rand.Rand) float64 {
	l.now = 0.7*l.now + 0.15*r.NormFloat64()
	took := l.base * math.Exp(l.now)
	if r.IntN(60) == 0 {
		took += l.base * r.ExpFloat64() * 8
	}
	return took
}

// micros is a time as the collectors record it.
func micros(s float64) collectors.Value { return collectors.GaugeValue(math.Round(s*1e6) / 1e6) }

// metric is a series before it has its source's labels.
type metric struct {
	name, unit string
	kind       collectors.Kind
	labels     []collectors.Label
}

func seconds(name string) metric { return metric{name: name, unit: "seconds", kind: collectors.Gauge} }
func gauge(name string) metric   { return metric{name: name, kind: collectors.Gauge} }
func state(name string) metric   { return metric{name: name, kind: collectors.State} }

func phases(name string, phases ...string) (out []metric) {
	for _, p := range phases {
		out = append(out, metric{name, "seconds", collectors.Gauge, []collectors.Label{{Name: "phase", Value: p}}})
	}
	return out
}

func schemaOf(source string, own []collectors.Label, metrics []metric) *collectors.Schema {
	s := &collectors.Schema{Source: source}
	for _, m := range metrics {
		s.Series = append(s.Series, collectors.Series{Metric: m.name, Unit: m.unit, Kind: m.kind, Labels: append(own[:len(own):len(own)], m.labels...)})
	}
	return s
}

// check is a service as collectors/check looks at it.
type check struct {
	kind  string
	took  []latency // of each phase
	down  int       // polls until it is up again
	size  float64
	certs float64
}

// checkKinds are taken in turn.
var checkKinds = []string{"icmp", "http", "dns", "tcp"}

func newCheck(i int, r *rand.Rand) (*collectors.Schema, model, *rand.Rand) {
	c := &check{kind: checkKinds[i%len(checkKinds)], size: float64(500 + r.IntN(40_000)), certs: float64(1_790_000_000 + r.IntN(20_000_000))}
	ms := []metric{state("probe_success"), seconds("probe_duration_seconds"), {name: "probe_failure_reason", kind: collectors.Text}, seconds("probe_dns_lookup_time_seconds")}
	switch c.kind {
	case "icmp":
		ms = append(ms, gauge("probe_icmp_packet_loss_ratio"), gauge("probe_icmp_reply_hop_limit"))
		ms = append(ms, phases("probe_icmp_duration_seconds", "resolve", "rtt")...)
	case "http":
		ms = append(ms, state("probe_http_status_code"), metric{name: "probe_http_content_length", unit: "bytes", kind: collectors.Gauge},
			gauge("probe_http_redirects"), state("probe_http_ssl"), seconds("probe_ssl_earliest_cert_expiry"), state("probe_failed_due_to_regex"))
		ms = append(ms, phases("probe_http_duration_seconds", "resolve", "connect", "tls", "processing", "transfer")...)
	case "dns":
		ms = append(ms, state("probe_dns_query_succeeded"), state("probe_dns_rcode"), gauge("probe_dns_answer_rrs"),
			gauge("probe_dns_authority_rrs"), gauge("probe_dns_additional_rrs"), state("probe_dns_serial"))
		ms = append(ms, phases("probe_dns_duration_seconds", "resolve", "connect", "request")...)
	}
	for range 5 {
		c.took = append(c.took, latency{base: 0.0004 * math.Exp(2*r.Float64())})
	}
	name := fmt.Sprintf("%s-%d", c.kind, i)
	return schemaOf("check/"+name, []collectors.Label{{Name: "check", Value: name}}, ms), c, r
}

// downEvery: one check of so many finds its service down.
const downEvery = 3000

func (c *check) poll(r *rand.Rand, _ collectors.Stamp, _ time.Duration, to []collectors.Value) {
	if c.down > 0 {
		c.down--
	} else if r.IntN(downEvery) == 0 {
		c.down = 1 + r.IntN(10)
	}
	if c.down > 0 {
		to[0], to[1], to[2] = collectors.StateValue(0), micros(3+r.Float64()*0.002), collectors.TextValue("timeout")
		return
	}
	var t [5]float64
	for i := range c.took {
		t[i] = c.took[i].next(r)
	}
	t[0] /= 20 // most names are addresses
	to[0], to[3] = collectors.StateValue(1), micros(t[0])
	took := t[0] + t[1]
	switch c.kind {
	case "icmp":
		// Three requests, a fifth of a second apart; the time is the mean of the replies.
		loss := 0.0
		if r.IntN(300) == 0 {
			loss = 1 - 2.0/3
		}
		to[4], to[5] = collectors.GaugeValue(loss), collectors.GaugeValue(63)
		to[6], to[7] = micros(t[0]), micros(t[1])
		took += 0.4
	case "http":
		to[4], to[5], to[6], to[7] = collectors.StateValue(200), collectors.GaugeValue(c.size), collectors.GaugeValue(0), collectors.StateValue(1)
		to[8] = collectors.GaugeValue(c.certs)
		for i := range t {
			to[10+i] = micros(t[i])
		}
		took = t[0] + t[1] + t[2] + t[3] + t[4]
	case "dns":
		to[4], to[5] = collectors.StateValue(1), collectors.StateValue(0)
		to[6], to[7], to[8] = collectors.GaugeValue(1), collectors.GaugeValue(0), collectors.GaugeValue(1)
		to[10], to[11], to[12] = micros(t[0]), micros(t[1]/20), micros(t[2])
		took = t[0] + t[1]/20 + t[2]
	}
	to[1] = micros(took + 0.00005)
}

// host is the box as collectors/host looks at it: two network ports, two file
// systems, two thermal zones.
type host struct {
	cpu         [8]float64 // s in each mode
	load, temp  float64
	avail, rss  float64
	used        float64 // CPU s of the process
	ports       [2]port
	clock       float64
	total, free float64
}

func newHost(r *rand.Rand) (*collectors.Schema, model, *rand.Rand) {
	h := &host{load: 0.3, temp: 48, avail: 1.2e9, rss: 45e6, total: 2e9, free: 24e9, ports: [2]port{newPort(r, true), {use: unplugged, admin: 1}}}
	label := func(pairs ...string) (ls []collectors.Label) {
		for i := 0; i < len(pairs); i += 2 {
			ls = append(ls, collectors.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return ls
	}
	var ms []metric
	for _, mode := range []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"} {
		ms = append(ms, metric{"node_cpu_seconds_total", "seconds", collectors.Gauge, label("mode", mode)})
	}
	ms = append(ms, seconds("node_boot_time_seconds"), gauge("node_load1"),
		metric{name: "node_memory_MemTotal_bytes", unit: "bytes", kind: collectors.Gauge},
		metric{name: "node_memory_MemAvailable_bytes", unit: "bytes", kind: collectors.Gauge})
	for _, m := range [][]string{{"/dev/mmcblk0p2", "/"}, {"/dev/mmcblk0p3", "/var/lib/siteprobe"}} {
		ls := label("device", m[0], "fstype", "ext4", "mountpoint", m[1])
		ms = append(ms, metric{"node_filesystem_size_bytes", "bytes", collectors.Gauge, ls},
			metric{"node_filesystem_avail_bytes", "bytes", collectors.Gauge, ls}, metric{"node_filesystem_readonly", "", collectors.State, ls})
	}
	for _, p := range []string{"eth0", "eth1"} {
		ls := label("device", p)
		ms = append(ms, metric{"node_network_carrier", "", collectors.State, ls},
			metric{"node_network_receive_bytes_total", "bytes", collectors.Counter, ls}, metric{"node_network_transmit_bytes_total", "bytes", collectors.Counter, ls},
			metric{"node_network_receive_errs_total", "", collectors.Counter, ls}, metric{"node_network_transmit_errs_total", "", collectors.Counter, ls})
	}
	for _, z := range []string{"0", "1"} {
		ms = append(ms, metric{"node_thermal_zone_temp", "celsius", collectors.Gauge, label("zone", z, "type", "cpu-thermal")})
	}
	ms = append(ms, seconds("process_cpu_seconds_total"), metric{name: "process_resident_memory_bytes", unit: "bytes", kind: collectors.Gauge},
		gauge("process_open_fds"), state("node_timex_sync_status"), seconds("node_timex_offset_seconds"), state("siteprobe_clock_sure"))
	return schemaOf("host", nil, ms), h, r
}

func (h *host) poll(r *rand.Rand, at collectors.Stamp, ago time.Duration, to []collectors.Value) {
	s := ago.Seconds()
	centi := func(f float64) collectors.Value { return collectors.GaugeValue(math.Floor(f*100) / 100) }
	for i, share := range [8]float64{0.04, 0.0001, 0.02, 3.9, 0.01, 0, 0.004, 0} {
		h.cpu[i] += s * share * math.Exp(0.3*r.NormFloat64())
		to[i] = centi(h.cpu[i])
	}
	h.load += 0.3*(0.25-h.load) + 0.08*math.Abs(r.NormFloat64())
	h.temp += 0.1*(48-h.temp) + 0.4*r.NormFloat64()
	h.avail += 0.05*(1.2e9-h.avail) + 2e6*r.NormFloat64()
	h.rss += 0.1*(45e6-h.rss) + 3e5*r.NormFloat64()
	h.free -= 2e4 * r.Float64()
	h.clock = 0.9*h.clock + 40e-6*r.NormFloat64()
	h.used += s * 0.01 * math.Exp(0.2*r.NormFloat64())
	h.ports[0].step(r, s, 0, evenday(at), 0.8, 0.6)
	page := func(f float64) collectors.Value { return collectors.GaugeValue(math.Floor(f/4096) * 4096) }
	out := to[8:8]
	add := func(vs ...collectors.Value) { out = append(out, vs...) }
	add(collectors.GaugeValue(1_799_000_000), centi(h.load), page(h.total), page(h.avail))
	add(page(4e9), page(1.6e9), collectors.StateValue(0), page(26e9), page(h.free), collectors.StateValue(0))
	for i := range h.ports {
		p := &h.ports[i]
		add(collectors.StateValue(2-p.oper()), collectors.CounterValue(p.in), collectors.CounterValue(p.out), collectors.CounterValue(p.inErrors), collectors.CounterValue(p.outErrors))
	}
	for range 2 {
		add(collectors.GaugeValue(math.Round(h.temp*2) / 2))
	}
	add(centi(h.used), page(h.rss), collectors.GaugeValue(float64(22+r.IntN(3))), collectors.StateValue(1), micros(h.clock), collectors.StateValue(1))
}
