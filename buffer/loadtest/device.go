package loadtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// device is a switch as collectors/snmp polls it with its basic plan: the values
// of one metric lie together, all ports of one column after those of another.
type device struct {
	ports   []port
	uptime  float64 // s, at stamp 0
	took    latency
	texts   [3]collectors.Value
	namesAt collectors.Stamp // when names are read next
}

// columns of the interfaces in the order of the plan, as far as a switch with
// counters of 64 bits has them.
const (
	adminStatus = iota
	operStatus
	inDiscards
	inErrors
	outDiscards
	outErrors
	inOctets
	outOctets
	highSpeed
	columns
)

// scalars are the series before the ports'.
const scalars = 6

func newDevice(i, ports int, r *rand.Rand) (*collectors.Schema, model, *rand.Rand) {
	d := &device{
		uptime: r.Float64() * 300 * 86400,
		took:   latency{base: 0.03 + 0.04*r.Float64()},
		texts: [3]collectors.Value{
			collectors.TextValue(fmt.Sprintf("sw%03d.site.example", i)),
			collectors.TextValue("1.3.6.1.4.1.9.1.2494"),
			collectors.TextValue("Cisco IOS Software [Cupertino], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 17.9.4a, RELEASE SOFTWARE (fc3)"),
		},
	}
	for p := range ports {
		d.ports = append(d.ports, newPort(r, p >= ports-2))
	}
	return deviceSchema(fmt.Sprintf("sw%03d", i), ports), d, r
}

func deviceSchema(name string, ports int) *collectors.Schema {
	s := &collectors.Schema{Source: "device/" + name}
	own := []collectors.Label{{Name: "device", Value: name}}
	add := func(metric, unit string, k collectors.Kind, labels []collectors.Label) {
		s.Series = append(s.Series, collectors.Series{Metric: metric, Unit: unit, Kind: k, Labels: labels})
	}
	add("sysUpTime", "centiseconds", collectors.Gauge, own)
	add("sysName", "", collectors.Text, own)
	add("sysObjectID", "", collectors.Text, own)
	add("sysDescr", "", collectors.Text, own)
	add("snmp_scrape_duration_seconds", "seconds", collectors.Gauge, own)
	add("snmp_scrape_pdus_returned", "", collectors.Gauge, own)
	rows := make([][]collectors.Label, ports)
	for p := range rows {
		alias := ""
		if p%3 == 0 {
			alias = fmt.Sprintf("desk %d.%02d", p/12+1, p)
		}
		rows[p] = append(own[:1:1], collectors.Label{Name: "ifIndex", Value: fmt.Sprint(p + 1)},
			collectors.Label{Name: "ifName", Value: fmt.Sprintf("Gi1/0/%d", p+1)}, collectors.Label{Name: "ifAlias", Value: alias})
	}
	for _, c := range []struct {
		metric, unit string
		kind         collectors.Kind
	}{
		adminStatus: {"ifAdminStatus", "", collectors.State},
		operStatus:  {"ifOperStatus", "", collectors.State},
		inDiscards:  {"ifInDiscards", "", collectors.Counter},
		inErrors:    {"ifInErrors", "", collectors.Counter},
		outDiscards: {"ifOutDiscards", "", collectors.Counter},
		outErrors:   {"ifOutErrors", "", collectors.Counter},
		inOctets:    {"ifHCInOctets", "bytes", collectors.Counter},
		outOctets:   {"ifHCOutOctets", "bytes", collectors.Counter},
		highSpeed:   {"ifHighSpeed", "megabits_per_second", collectors.Gauge},
	} {
		for p := range rows {
			add(c.metric, c.unit, c.kind, rows[p])
		}
	}
	return s
}

func (d *device) poll(r *rand.Rand, at collectors.Stamp, ago time.Duration, to []collectors.Value) {
	n := len(d.ports)
	took := d.took.next(r)
	// The agent's clock is read somewhere within the first answer's time.
	to[0] = collectors.GaugeValue(math.Floor((d.uptime + float64(at)/1000 + took*r.Float64()*0.3) * 100))
	asked := columns*n + 2
	if at >= d.namesAt { // names are read every ten minutes, and are missing between
		d.namesAt = at.Add(10*time.Minute - 5*time.Second)
		copy(to[1:4], d.texts[:])
		asked += 3*n + 3
	}
	to[4] = micros(took)
	to[5] = collectors.GaugeValue(float64(asked))
	day, steady := workday(at), evenday(at)
	s := ago.Seconds()
	remember := math.Exp(-s / 300)
	spread := math.Sqrt(1 - remember*remember)
	cells := to[scalars:]
	for i := range d.ports {
		p := &d.ports[i]
		p.step(r, s, day, steady, remember, spread)
		cells[adminStatus*n+i] = collectors.StateValue(p.admin)
		cells[operStatus*n+i] = collectors.StateValue(p.oper())
		cells[inDiscards*n+i] = collectors.CounterValue(p.inDiscards)
		cells[inErrors*n+i] = collectors.CounterValue(p.inErrors)
		cells[outDiscards*n+i] = collectors.CounterValue(p.outDiscards)
		cells[outErrors*n+i] = collectors.CounterValue(p.outErrors)
		cells[inOctets*n+i] = collectors.CounterValue(p.in)
		cells[outOctets*n+i] = collectors.CounterValue(p.out)
		cells[highSpeed*n+i] = collectors.GaugeValue(p.speed)
	}
}

// workday is the logarithm of how busy an office is, evenday that of machines.
// Stamp 0 is a Monday's midnight.
func workday(at collectors.Stamp) float64 {
	h := float64(at%86_400_000) / 3_600_000
	if at/86_400_000%7 >= 5 {
		return -3
	}
	return -3 / (1 + math.Exp(-(math.Abs(h-13)-5)*2))
}

func evenday(at collectors.Stamp) float64 {
	return 0.3 * math.Cos(2*math.Pi*float64(at-50_400_000)/86_400_000)
}
