package snmptest

import (
	"fmt"
	"time"
)

// Switch gives the MIB of a switch with that many ports, up for an hour, whose
// counters rise with the clock, each at its own steady rate. Every eighth port is
// down. It has the system group, ifTable and ifXTable.
func Switch(ports int) *MIB { return SwitchAt(ports, time.Now) }

// SwitchAt is [Switch] with a clock of the caller's, for counters that a test can
// foretell.
func SwitchAt(ports int, now func() time.Time) *MIB {
	const (
		system = "1.3.6.1.2.1.1."
		ifs    = "1.3.6.1.2.1.2.2.1."
		ifx    = "1.3.6.1.2.1.31.1.1.1."
	)
	m := &MIB{}
	start := now()
	up := func() time.Duration { return now().Sub(start) + time.Hour }
	m.Set(system+"1.0", Octets(fmt.Sprintf("Siteprobe test switch, %d ports", ports)))
	m.Set(system+"2.0", ObjectID("1.3.6.1.4.1.8072.9999.1"))
	m.SetFunc(system+"3.0", func() Value { return TimeTicks(uint32(up() / (10 * time.Millisecond))) })
	m.Set(system+"4.0", Octets("nobody@example.com"))
	m.Set(system+"5.0", Octets("switch"))
	m.Set(system+"6.0", Octets("rack 1"))
	m.Set("1.3.6.1.2.1.2.1.0", Integer(int32(ports)))
	m.Set("1.3.6.1.2.1.31.1.5.0", TimeTicks(0))

	for port := 1; port <= ports; port++ {
		set := func(column string, v Value) { m.Set(fmt.Sprintf("%s%d", column, port), v) }
		total := func(rate int) func() uint64 {
			return func() uint64 { return uint64(port)*1e9 + uint64(up().Milliseconds())*uint64(rate*port)/1000 }
		}
		rising := func(column string, wide bool, rate int) {
			value := total(rate)
			m.SetFunc(fmt.Sprintf("%s%d", column, port), func() Value {
				if wide {
					return Counter64(value())
				}
				return Counter32(uint32(value()))
			})
		}
		oper := int32(1)
		if port%8 == 0 {
			oper = 2
		}
		set(ifs+"1.", Integer(int32(port)))
		set(ifs+"2.", Octets(fmt.Sprintf("GigabitEthernet1/0/%d", port)))
		set(ifs+"3.", Integer(6))
		set(ifs+"4.", Integer(1500))
		set(ifs+"5.", Gauge32(1_000_000_000))
		set(ifs+"6.", Octets(string([]byte{2, 0, 0, 0, byte(port >> 8), byte(port)})))
		set(ifs+"7.", Integer(1))
		set(ifs+"8.", Integer(oper))
		set(ifs+"9.", TimeTicks(0))
		rising(ifs+"10.", false, 100_000)
		rising(ifs+"11.", false, 100)
		rising(ifs+"13.", false, 1)
		set(ifs+"14.", Counter32(0))
		rising(ifs+"16.", false, 250_000)
		rising(ifs+"17.", false, 200)
		set(ifs+"19.", Counter32(0))
		set(ifs+"20.", Counter32(0))
		set(ifx+"1.", Octets(fmt.Sprintf("Gi1/0/%d", port)))
		rising(ifx+"6.", true, 100_000)
		rising(ifx+"7.", true, 100)
		rising(ifx+"10.", true, 250_000)
		rising(ifx+"11.", true, 200)
		set(ifx+"15.", Gauge32(1000))
		set(ifx+"18.", Octets(fmt.Sprintf("desk %d", port)))
		set(ifx+"19.", TimeTicks(0))
	}
	return m
}
