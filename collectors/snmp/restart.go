package snmp

import (
	"fmt"

	"github.com/siteprobe/siteprobe/collectors"
)

// uptimeSource is the clock that restarts are told by; empty: all of them.
func (c *Collector) uptimeSource() string {
	if s := c.plan.profile.Agent.UptimeSource; s != "" {
		return s
	}
	if c.engineBad {
		return "sysUpTime"
	}
	return ""
}

// clocks reads this poll's. What was not read stays as it was.
func (c *Collector) readClocks() clocks {
	now := c.clocks
	read := func(known int, per uint64, to *uptime) {
		if v := c.scalar(known); v.counts() {
			*to = uptime{ticks: v.num * per, at: c.start, known: true}
		}
	}
	read(sysUpTime, 1, &now.sys)
	read(snmpEngineTime, second, &now.engine)
	read(hrSystemUptime, 1, &now.host)
	read(snmpEngineBoots, 1, &now.boots)
	return now
}

// suspect tells whether the clocks that each poll reads have some news, of which
// names tell more.
func (c *Collector) suspect() bool {
	return judge(c.clocks, c.readClocks(), c.uptimeSource()) != ranOn
}

// restarts judges the clocks, after all that tells of a restart has been read, and
// tells of it.
func (c *Collector) restarts() {
	last, now := c.clocks, c.readClocks()
	c.clocks = now
	v := judge(last, now, c.uptimeSource())
	up, before := now.sys, last.sys
	if !up.known || !before.known {
		up, before = now.engine, last.engine
	}
	since := fmt.Sprintf("up for %s now, %s at the last poll", up.duration(), before.duration())
	switch v {
	case anew:
		c.tell("reboot", collectors.Warning, "the device or its SNMP agent has restarted: "+since)
	case agentAnew:
		c.tell("agent_restart", collectors.Info, "the SNMP agent has restarted, the device has not: "+since)
	case wrapped:
		c.tell("uptime_wrap", collectors.Info, "sysUpTime has come to its end after 497 days and begun anew; this is no restart")
		return
	case badEngine:
		c.engineBad = true
		return
	default:
		return
	}
	c.restarted, c.leading.faults = true, 0 // it may be another agent now
	for _, t := range c.tables {
		t.unpin()
	}
}
