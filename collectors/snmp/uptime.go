package snmp

import "time"

// uptime is a reading of sysUpTime: hundredths of a second, which wrap after 497
// days.
type uptime struct {
	ticks uint64
	at    time.Time
	known bool
}

func ticks(d time.Duration) uint64 { return uint64(max(d, 0) / (10 * time.Millisecond)) }

func (u uptime) duration() time.Duration {
	return (time.Duration(u.ticks) * 10 * time.Millisecond).Round(time.Second)
}

// restarted tells whether the device, or its agent, has started anew between two
// readings.
//
// A reading below the last one is a restart, unless the time between them carries
// it over 2^32. One above it is a restart too where it is far behind the clock and
// the time between leaves room for one: a device that was off for longer than it
// had been up. Clocks differ, so both need some slack; a clock that stands still
// proves nothing.
func restarted(last, now uptime) bool {
	if !last.known || !now.known {
		return false
	}
	const second, wrap = 100, 1 << 32
	elapsed := ticks(now.at.Sub(last.at))
	expected := last.ticks + elapsed
	if now.ticks < last.ticks {
		if last.ticks-now.ticks <= second {
			return false
		}
		latest := expected + elapsed/20 + 3600*second
		return latest < wrap || now.ticks > latest-wrap
	}
	slack := elapsed/20 + 60*second
	return now.ticks > last.ticks && now.ticks+slack < expected && now.ticks <= elapsed+slack
}
