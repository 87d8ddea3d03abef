package host

import (
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// maxFlash bounds the flash memories that are shown.
const maxFlash = 4

// flash reads how worn the box's eMMC is, as the memory itself says: since eMMC 5.0
// (JEDEC JESD84-B50) EXT_CSD has the life time used, in tenths, for cells of both types,
// and whether the spare blocks run out. SD cards say nothing of the kind. It never fails.
func (c *Collector) flash(f *figures) error {
	memories := 0
	for _, name := range c.roots.sysDir("block") {
		if !strings.HasPrefix(name, "mmcblk") || !c.roots.sysHas("block", name, "device", "life_time") {
			continue
		}
		if memories++; memories > maxFlash {
			break
		}
		device := label("device", name)
		used, _ := c.roots.sysFile("block", name, "device", "life_time")
		for i, kind := range []string{"a", "b"} {
			f.add("siteprobe_flash_life_used_ratio", "ratio", collectors.Gauge, lifeUsed(used, i), device, label("type", kind))
		}
		f.add("siteprobe_flash_pre_eol", "", collectors.State, preEOL(c.roots.sysFile("block", name, "device", "pre_eol_info")), device)
	}
	return nil
}

// lifeUsed reads the i-th of two numbers such as "0x01 0x0b": 1 is up to a tenth, 10 up
// to all of it, 11 more than that; 0 is not defined.
func lifeUsed(text string, i int) collectors.Value {
	fields := strings.Fields(text)
	if i >= len(fields) {
		return collectors.Value{}
	}
	n, err := strconv.ParseUint(fields[i], 0, 8)
	if err != nil || n == 0 || n > 11 {
		return collectors.Value{}
	}
	return collectors.GaugeValue(float64(n) / 10)
}

// preEOL reads 1 (normal), 2 (80 % of the spare blocks are used) or 3 (90 %).
func preEOL(text string, ok bool) collectors.Value {
	n, err := strconv.ParseUint(text, 0, 8)
	if !ok || err != nil || n < 1 || n > 3 {
		return collectors.Value{}
	}
	return collectors.StateValue(int64(n))
}

// supplies shows whether the mains are there, where a battery or a charger tells. It
// never fails.
func (c *Collector) supplies(f *figures) error {
	shown := 0
	for _, name := range c.roots.sysDir("class", "power_supply") {
		online := c.sysState("class", "power_supply", name, "online")
		capacity := c.sysState("class", "power_supply", name, "capacity")
		if online.Missing() && capacity.Missing() {
			continue
		}
		if shown++; shown > maxSensors {
			break
		}
		supply := label("power_supply", name)
		if !online.Missing() {
			f.add("node_power_supply_online", "", collectors.State, online, supply)
		}
		if !capacity.Missing() {
			f.add("node_power_supply_capacity", "percent", collectors.Gauge, collectors.GaugeValue(float64(capacity.State())), supply)
		}
	}
	return nil
}
