package host

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/collectors"
)

// Clock is the box's clock for everybody. Readings are stamped by the boot clock,
// which only rises; where the stamps lie in time is told by one offset, together
// with whether the wall clock it comes from can be relied on. It may be used
// concurrently.
//
// Evidence that the wall clock is right is, as far as Config's Trust goes: the
// kernel's own state (adjtimex, kept up to date by any NTP client),
// systemd-timesyncd's note of its last success, NTP servers that were asked (see
// AskServers), and that somebody has just set it by hand. The kernel's state may be
// out of reach: a unit with ProtectClock=yes may not even ask. Other evidence is
// told by Confirm.
type Clock struct {
	assume   bool
	trust    ClockConfig
	boot     string
	readings func() readings

	mu    sync.Mutex
	state clockState
}

// timesyncd touches this file whenever it has set the clock.
const timesyncd = "/run/systemd/timesync/synchronized"

// NewClock makes the clock of this box. It reads the boot's name once.
func NewClock(cfg Config) *Clock {
	// Without a name Boot is empty; nothing is made up here.
	id, _ := cfg.roots().procFile("sys", "kernel", "random", "boot_id")
	return &Clock{assume: cfg.AssumeSynchronised || cfg.Trust.trusts(TrustRTC), trust: cfg.Trust, boot: strings.TrimSpace(id), readings: takeReadings}
}

// Now returns the instant on the boot clock (CLOCK_BOOTTIME, which goes on while
// the box is suspended), in milliseconds since boot.
func (c *Clock) Now() collectors.Stamp { return collectors.Stamp(clockMillis(unix.CLOCK_BOOTTIME)) }

// Offset returns the wall time in milliseconds since 1970 less the boot clock's
// milliseconds, and whether the wall clock is known to be right. Adding it to a
// stamp gives the stamp's wall time. It keeps its value until the wall clock is
// stepped by 50 ms or more.
func (c *Clock) Offset() (ms int64, sure bool) {
	r := c.read()
	r.assume = c.assume
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, ms, sure = c.state.decide(r)
	return ms, sure
}

// Confirm tells the clock that the wall time was found right just now by other
// means. It counts like a synchronisation: until the clock is stepped, for a day.
func (c *Clock) Confirm() {
	r := c.read()
	r.assume = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.doubt = ""
	c.state, _, _ = c.state.decide(r)
}

// Doubt tells the clock that the wall time was found wrong just now, and why. It is
// unsure then whatever else speaks for it, until it is stepped or confirmed.
func (c *Clock) Doubt(why string) {
	r := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, _, _ = c.state.decide(r) // a step before this is no answer to it
	c.state.doubt = why
}

// Doubted returns why the clock is doubted, empty where it is not.
func (c *Clock) Doubted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.doubt
}

// Recall tells the clock an offset that was sure earlier in this boot, before the
// program was started anew. Where a time set by hand counts and the clock has not
// been stepped since, it still does.
func (c *Clock) Recall(offset int64) {
	r := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, _, _ = c.state.decide(r)
	if diff := c.state.offset - offset; r.manual && diff > -steady && diff < steady {
		c.state.manual = true
	}
}

// read takes the readings, of the evidence only what counts.
func (c *Clock) read() readings {
	r := c.readings()
	r.manual = c.trust.trusts(TrustManual)
	r.kernel = r.kernel && c.trust.trusts(TrustKernel)
	if !c.trust.trusts(TrustTimesyncd) {
		r.timesyncd = 0
	}
	return r
}

// Boot names this boot: a UUID of 36 characters, another one after every start of
// the kernel. It is empty where procfs does not tell.
func (c *Clock) Boot() string { return c.boot }

// takeReadings reads the two clocks as one instant, and the evidence.
func takeReadings() readings {
	var r readings
	// If the process loses the processor in between, the two are not of one
	// instant and would look like a step.
	for range 5 {
		before := clockMillis(unix.CLOCK_BOOTTIME)
		r.wall = clockMillis(unix.CLOCK_REALTIME)
		r.boot = clockMillis(unix.CLOCK_BOOTTIME)
		if r.boot-before <= 1 {
			break
		}
	}
	if t, err := readTimex(); err == nil {
		r.kernel = t.synchronised
	}
	if info, err := os.Stat(timesyncd); err == nil {
		r.timesyncd = info.ModTime().UnixNano()
	}
	return r
}

// clockMillis reads a clock. The call cannot fail for the clocks used here, which
// every kernel has that Go runs on.
func clockMillis(id int32) int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts)
	return ts.Nano() / int64(time.Millisecond)
}
