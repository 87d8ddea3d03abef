package incident

import (
	"sync"
	"time"
)

// Builtin are the rules that hold without being written down. Each is one that hardly
// ever lies: a device says itself that something of it is broken, or a bound is reached
// at which things stop working. Values of states are those of the MIBs.
func Builtin() (rules, absence []Rule) {
	at := func(f float64) *float64 { return &f }
	is := func(name, severity, metric, summary string, states ...float64) Rule {
		return Rule{Name: name, Metric: metric, Is: states, Severity: severity, Summary: summary, ForClear: 5 * time.Minute}
	}
	const short = 30 * time.Second // two polls: a self-test of a UPS, or a reading by chance, is over by then
	battery := func(n, metric string, states ...float64) Rule {
		r := is("ups_on_battery"+n, "error", metric, "{device} runs on battery: the power is out.", states...)
		r.For = short
		return r
	}
	disk := "A disk of {device} has failed: {diskID}{hdIndex}{physicalDiskDisplayName}."
	fan, supply, hot := "A fan of {device} has failed.", "A power supply of {device} has failed.", "{device} is too hot, by its own measure."
	return []Rule{
			battery("", "upsOutputSource|xupsOutputSource", 5),
			battery("_apc", "upsBasicOutputStatus|upsBaseOutputStatus", 3),
			battery("_mge", "upsmgOutputOnBattery", 1),
			is("ups_battery_low", "error", "upsBatteryStatus|upsBasicBatteryStatus|upsBaseBatteryStatus", "The battery of {device} is low.", 3),
			is("ups_battery_low_mge", "error", "upsmgBatteryLowBattery", "The battery of {device} is low.", 1),
			is("ups_battery_fault", "warning", "upsmgBatteryFaultBattery|upsmgBatteryReplacement", "The battery of {device} needs to be replaced.", 1),
			is("ups_replace_battery", "warning", "upsAdvBatteryReplaceIndicator|upsAdvanceBatteryReplaceIndicator", "The battery of {device} needs to be replaced.", 2),

			is("raid_degraded", "error", "raidStatus", "The RAID {raidName} of {device} is degraded.", 11, 12),
			is("raid_degraded_dell", "error", "virtualDiskState", "A virtual disk of {device} is degraded.", 3, 4),
			is("raid_degraded_hp", "error", "cpqDaLogDrvCondition", "A logical drive of {device} is degraded.", 3, 4),
			is("disk_failed", "error", "diskStatus", disk, 4, 5),
			is("disk_failed_qnap", "error", "hdStatus", disk, -9),
			is("disk_failing_qnap", "warning", "hdSmartInfo", "A disk of {device} is about to fail.", 2),
			is("disk_failed_dell", "error", "physicalDiskState", disk, 7),
			is("disk_failing_dell", "warning", "physicalDiskSmartAlertIndication", "A disk of {device} is about to fail.", 1),
			is("disk_failed_hp", "error", "cpqDaPhyDrvStatus", disk, 3),
			is("disk_failing_hp", "warning", "cpqDaPhyDrvStatus", "A disk of {device} is about to fail.", 4, 8),

			is("fan_failed", "error", "systemFanStatus|cpuFanStatus|dEntityExtEnvFanStatus", fan, 2),
			is("fan_failed_cisco", "error", "ciscoEnvMonFanState", fan, 3, 4),
			is("fan_failed_tray", "error", "cefcFanTrayOperStatus", fan, 3),
			is("fan_failed_box", "error", "boxServicesFanItemState", fan, 3),
			is("fan_failed_procurve", "error", "hpicfFanState", fan, 0),
			is("fan_failed_hp", "error", "cpqHeFltTolFanCondition", fan, 4),
			is("fan_failed_dell", "error", "coolingDeviceStatus", fan, 5, 6, 8, 9, 10),

			is("supply_failed", "error", "powerStatus|dEntityExtEnvPowerStatus", supply, 2),
			is("supply_failed_cisco", "error", "ciscoEnvMonSupplyState", supply, 3, 4),
			is("supply_failed_fru", "error", "cefcFRUPowerOperStatus", supply, 6, 7, 8),
			is("supply_failed_box", "error", "boxServicesPowSupplyItemState", supply, 3),
			is("supply_failed_procurve", "error", "hpicfPsState", supply, 4, 5),
			is("supply_failed_hp", "error", "cpqHeFltTolPowerSupplyCondition", supply, 4),
			is("supply_failed_dell", "error", "powerSupplyStatus", supply, 5, 6),

			is("too_hot_cisco", "error", "ciscoEnvMonTemperatureState|boxServicesTempSensorState", hot, 3, 4),
			is("too_hot_hp", "error", "cpqHeTemperatureCondition", hot, 4),
			is("too_hot_dell", "error", "temperatureProbeStatus", hot, 5, 6),
			is("too_hot_sensor", "error", "sensorProbeTempStatus|temperatureStatus", hot, 4),
			is("alarm_junos", "error", "jnxRedAlarmState", "{device} has a red alarm.", 3),

			{Name: "filesystem_full", Metric: "hrStorageUsed", Of: "hrStorageSize", Above: at(0.95), Clear: at(0.93), For: 10 * time.Minute, ForClear: 5 * time.Minute,
				Labels: map[string]string{"hrStorageType": "fixedDisk"}, Except: map[string]string{"hrStorageDescr": `/(snap|rom|boot|media|mnt|run|proc|sys|dev)(/.*)?|.*(squashfs|overlay|\.snapshot).*`},
				Severity: "warning", Summary: "The file system {hrStorageDescr} of {device} is full: {value}."},
			{Name: "certificate_expires", Metric: "probe_ssl_earliest_cert_expiry", Ends: true, Below: at(14 * 86400), ForClear: time.Minute,
				Severity: "warning", Summary: "The certificate of {check} expires in {value}."},

			{Name: "self_disk_full", Metric: "node_filesystem_avail_bytes", Of: "node_filesystem_size_bytes", Below: at(0.05), Clear: at(0.08), For: 10 * time.Minute,
				Except: map[string]string{"fstype": "squashfs|erofs|iso9660|overlay|tmpfs"}, Severity: "error", Owner: "msp", Summary: "The box's own disk is nearly full ({mountpoint}: {value} free)."},
			{Name: "self_memory_low", Metric: "node_memory_MemAvailable_bytes", Of: "node_memory_MemTotal_bytes", Below: at(0.05), Clear: at(0.10), For: 10 * time.Minute,
				Severity: "warning", Owner: "msp", Summary: "The box is short of memory: {value} available."},
			{Name: "self_too_hot", Metric: "node_thermal_zone_temp", Minus: "siteprobe_thermal_zone_critical_celsius", Above: at(-10), Clear: at(-15), For: 2 * time.Minute,
				Severity: "error", Owner: "msp", Summary: "The box is too hot: it turns itself off soon."},
			{Name: "self_flash_worn", Metric: "siteprobe_flash_life_used_ratio", Above: at(0.9), Severity: "warning", Owner: "msp",
				Summary: "The box's flash {device} is nearly worn out."},
			{Name: "self_flash_end", Metric: "siteprobe_flash_pre_eol", Is: []float64{3}, Severity: "error", Owner: "msp",
				Summary: "The box's flash {device} is at its end: replace the box."},
			{Name: "self_clock", Metric: "siteprobe_clock_sure", Is: []float64{0}, For: time.Hour, Severity: "warning", Owner: "msp",
				Summary: "The box's clock is not synchronised."},
		}, []Rule{
			{Name: "no_readings", For: 30 * time.Minute, Severity: "warning", Summary: "{device} is there but gives no readings: does it still answer SNMP?"},
		}
}

// All returns the rules that hold: those of the site file and, unless it says otherwise,
// the built-in ones whose names it does not use.
func (c Config) all() (out []*compiled) {
	out = append(compileAll(c.Rules, false), compileAll(c.Absence, true)...)
	if c.Builtin != nil && !*c.Builtin {
		return out
	}
	named := map[string]bool{}
	for _, r := range out {
		named[r.Name] = true
	}
	for _, r := range builtin() {
		if !named[r.Name] {
			out = append(out, r)
		}
	}
	return out
}

// builtin are the built-in rules, compiled once.
var builtin = sync.OnceValue(func() []*compiled {
	rules, absence := Builtin()
	return append(compileAll(rules, false), compileAll(absence, true)...)
})

func compileAll(rules []Rule, absence bool) (out []*compiled) {
	for i := range rules {
		if c, err := rules[i].compile(); err == nil { // the site file was checked, and a test checks the built-in ones
			c.absence = absence
			out = append(out, c)
		}
	}
	return out
}
