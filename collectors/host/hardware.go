package host

import (
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// network reads the physical ports from /sys/class/net: those that a device stands
// behind, so no bridges, tunnels and containers' ends. It never fails: a port's
// figure that the driver refuses is a missing value.
func (c *Collector) network(f *figures) error {
	ports := 0
	for _, name := range c.roots.sysDir("class", "net") {
		if !c.roots.sysHas("class", "net", name, "device") {
			continue
		}
		if ports++; ports > maxPorts {
			break
		}
		device := label("device", name)
		// The carrier of a port that is administratively down reads as EINVAL.
		f.add("node_network_carrier", "", collectors.State, c.sysState("class", "net", name, "carrier"), device)
		for _, m := range []struct{ metric, unit, file string }{
			{"node_network_receive_bytes_total", "bytes", "rx_bytes"},
			{"node_network_transmit_bytes_total", "bytes", "tx_bytes"},
			{"node_network_receive_errs_total", "", "rx_errors"},
			{"node_network_transmit_errs_total", "", "tx_errors"},
		} {
			f.add(m.metric, m.unit, collectors.Counter, c.sysCounter("class", "net", name, "statistics", m.file), device)
		}
	}
	return nil
}

// temperature reads the thermal zones or, on a box without any, the sensors of
// hwmon; many boards show the same sensor in both. It never fails.
func (c *Collector) temperature(f *figures) error {
	sensors := 0
	for _, zone := range c.roots.sysDir("class", "thermal") {
		number, ok := strings.CutPrefix(zone, "thermal_zone")
		if !ok || sensors == maxSensors {
			continue
		}
		sensors++
		kind, _ := c.roots.sysFile("class", "thermal", zone, "type")
		f.add("node_thermal_zone_temp", "celsius", collectors.Gauge,
			c.sysMilli("class", "thermal", zone, "temp"), label("zone", number), label("type", kind))
		if crit := c.critical(zone); !crit.Missing() {
			f.add("siteprobe_thermal_zone_critical_celsius", "celsius", collectors.Gauge, crit, label("zone", number), label("type", kind))
		}
	}
	if sensors > 0 {
		return nil
	}
	for _, dir := range c.roots.sysDir("class", "hwmon") {
		chip, ok := c.roots.sysFile("class", "hwmon", dir, "name")
		if !ok {
			chip = dir
		}
		for _, file := range c.roots.sysDir("class", "hwmon", dir) {
			sensor, isInput := strings.CutSuffix(file, "_input")
			if !isInput || !strings.HasPrefix(sensor, "temp") || sensors == maxSensors {
				continue
			}
			sensors++
			// Two chips of one kind have one name; dir keeps their series apart.
			f.add("node_hwmon_temp_celsius", "celsius", collectors.Gauge,
				c.sysMilli("class", "hwmon", dir, file), label("chip", dir+"_"+chip), label("sensor", sensor))
		}
	}
	return nil
}

// maxTrips bounds the trip points of a thermal zone; kernels have had up to 12.
const maxTrips = 16

// critical is the temperature at which the kernel turns the box off.
func (c *Collector) critical(zone string) collectors.Value {
	for i := range maxTrips {
		point := "trip_point_" + strconv.Itoa(i)
		kind, ok := c.roots.sysFile("class", "thermal", zone, point+"_type")
		if !ok {
			break
		}
		if kind == "critical" {
			return c.sysMilli("class", "thermal", zone, point+"_temp")
		}
	}
	return collectors.Value{}
}

// sysCounter reads a file of sysfs as an exact total.
func (c *Collector) sysCounter(name ...string) collectors.Value {
	s, ok := c.roots.sysFile(name...)
	n, err := strconv.ParseUint(s, 10, 64)
	if !ok || err != nil {
		return collectors.Value{}
	}
	return collectors.CounterValue(n)
}

// sysState reads a file of sysfs as a number out of an enumeration.
func (c *Collector) sysState(name ...string) collectors.Value {
	s, ok := c.roots.sysFile(name...)
	n, err := strconv.ParseInt(s, 10, 64)
	if !ok || err != nil {
		return collectors.Value{}
	}
	return collectors.StateValue(n)
}

// sysMilli reads a file of sysfs that counts thousandths.
func (c *Collector) sysMilli(name ...string) collectors.Value {
	s, ok := c.roots.sysFile(name...)
	n, err := strconv.ParseInt(s, 10, 64)
	if !ok || err != nil {
		return collectors.Value{}
	}
	return collectors.GaugeValue(float64(n) / 1000)
}
