package host

import (
	"errors"
	"fmt"
	"math"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/collectors"
)

// timex is the kernel's view of the wall clock.
type timex struct {
	synchronised bool
	offset       float64 // s, what is still to be slewed
}

// readTimex asks the kernel. It changes nothing, but a sandbox may refuse it with
// EPERM all the same.
func readTimex() (timex, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return timex{}, fmt.Errorf("adjtimex: %w", err)
	}
	unit := 1e-6
	if t.Status&unix.STA_NANO != 0 {
		unit = 1e-9
	}
	return timex{
		synchronised: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		offset:       float64(t.Offset) * unit,
	}, nil
}

// clockState shows the state of the wall clock. That the kernel's view may not be
// read is how the box is set up, and no fault: its values are missing.
func (c *Collector) clockState(f *figures) error {
	var synchronised, offset collectors.Value
	t, err := c.timex()
	switch {
	case err == nil:
		synchronised = collectors.StateValue(truth(t.synchronised))
		offset = collectors.GaugeValue(math.Round(t.offset*1e6) / 1e6)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSYS):
		err = nil
	}
	f.add("node_timex_sync_status", "", collectors.State, synchronised)
	f.add("node_timex_offset_seconds", "seconds", collectors.Gauge, offset)
	if c.clock != nil {
		_, sure := c.clock.Offset()
		f.state("siteprobe_clock_sure", truth(sure))
	}
	return err
}
