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
// Evidence that the wall clock is right is, in this order: Config's
// AssumeSynchronised, the kernel's own state (adjtimex, kept up to date by any NTP
// client), and systemd-timesyncd's note of its last success. The kernel's state
// may be out of reach: a unit with ProtectClock=yes may not even ask. Another
// source of evidence, such as a quorum of NTP servers, says so by Confirm.
type Clock struct {
	assume   bool
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
	return &Clock{assume: cfg.AssumeSynchronised, boot: strings.TrimSpace(id), readings: takeReadings}
}

// Now returns the instant on the boot clock (CLOCK_BOOTTIME, which goes on while
// the box is suspended), in milliseconds since boot.
func (c *Clock) Now() collectors.Stamp { return collectors.Stamp(clockMillis(unix.CLOCK_BOOTTIME)) }

// Offset returns the wall time in milliseconds since 1970 less the boot clock's
// milliseconds, and whether the wall clock is known to be right. Adding it to a
// stamp gives the stamp's wall time. It keeps its value until the wall clock is
// stepped by 50 ms or more.
func (c *Clock) Offset() (ms int64, sure bool) {
	r := c.readings()
	r.assume = c.assume
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, ms, sure = c.state.decide(r)
	return ms, sure
}

// Confirm tells the clock that the wall time was found right just now by other
// means. It counts like a synchronisation: until the clock is stepped, for a day.
func (c *Clock) Confirm() {
	r := c.readings()
	r.assume = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, _, _ = c.state.decide(r)
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
