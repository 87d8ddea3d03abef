package snmp

import "time"

// uptime is a reading of a clock that begins anew when something restarts: in
// hundredths of a second.
type uptime struct {
	ticks uint64
	at    time.Time
	known bool
}

func ticks(d time.Duration) uint64 { return uint64(max(d, 0) / (10 * time.Millisecond)) }

func (u uptime) duration() time.Duration {
	return (time.Duration(u.ticks) * 10 * time.Millisecond).Round(time.Second)
}

const (
	second     = 100     // in ticks
	sysWrap    = 1 << 32 // sysUpTime comes to its end after 497 days
	neverWraps = 0
)

// restarted tells whether a clock has started anew between two readings.
//
// A reading below the last one is a restart, unless the time between them carries
// it over wrap. One above it is a restart too where it is far behind the clock and
// the time between leaves room for one: a device that was off for longer than it
// had been up. Clocks differ, so both need some slack; a clock that stands still
// proves nothing.
func restarted(last, now uptime, wrap uint64) bool {
	if !last.known || !now.known {
		return false
	}
	elapsed := ticks(now.at.Sub(last.at))
	expected := last.ticks + elapsed
	if now.ticks < last.ticks {
		if last.ticks-now.ticks <= second {
			return false
		}
		latest := expected + elapsed/20 + 3600*second
		return wrap == neverWraps || latest < wrap || now.ticks > latest-wrap
	}
	slack := elapsed/20 + 60*second
	return now.ticks > last.ticks && now.ticks+slack < expected && now.ticks <= elapsed+slack
}

// wentOn tells whether a clock has gone on between two readings, as fast as ours
// does.
func wentOn(last, now uptime) bool {
	if !last.known || !now.known || now.ticks < last.ticks || !now.at.After(last.at) {
		return false
	}
	elapsed, went := ticks(now.at.Sub(last.at)), now.ticks-last.ticks
	slack := elapsed/20 + 60*second
	return went+slack >= elapsed && went <= elapsed+slack && (went > 0 || elapsed < 2*second)
}

// clocks are what a device has to tell a restart by.
type clocks struct {
	sys    uptime // sysUpTime: since the agent's start, or the device's
	engine uptime // snmpEngineTime: since the agent's start
	host   uptime // hrSystemUptime: since the device's; read when names are
	boots  uptime // snmpEngineBoots, which are no time; read when names are
}

// verdict is what two looks at a device's clocks tell.
type verdict uint8

const (
	ranOn     verdict = iota
	wrapped           // sysUpTime has come to its end
	anew              // the device has restarted, or only its agent
	agentAnew         // only the agent: the device's own clock went on
	badEngine         // snmpEngineTime is not to be believed
)

// judge compares two looks. source is the clock to believe, as profile.Agent has
// it; empty: all, each by what it is worth. After 497 days sysUpTime cannot tell a
// wrap from a restart by itself: snmpEngineTime can. That one begins anew on some
// devices without a restart; where sysUpTime and the boots went on it is to be
// left alone.
func judge(last, now clocks, source string) verdict {
	sys := restarted(last.sys, now.sys, sysWrap)
	fell := last.sys.known && now.sys.known && last.sys.ticks > now.sys.ticks+second
	engine := restarted(last.engine, now.engine, neverWraps)
	host := restarted(last.host, now.host, sysWrap)
	switch source {
	case "hrSystemUptime":
		if host {
			return anew
		}
		return ranOn
	case "snmpEngineTime":
		sys, fell = engine, false
	case "sysUpTime":
		engine = false
	}
	switch {
	case sys, fell && engine:
		return who(last, now)
	case fell:
		return wrapped
	case !engine:
		return ranOn
	case wentOn(last.sys, now.sys) && !(last.boots.known && now.boots.known && now.boots.ticks > last.boots.ticks):
		return badEngine
	case wentOn(last.sys, now.sys):
		return agentAnew // sysUpTime is the device's
	}
	return who(last, now)
}

// who tells whether the device has restarted, or only its agent.
func who(last, now clocks) verdict {
	if wentOn(last.host, now.host) {
		return agentAnew
	}
	return anew
}
