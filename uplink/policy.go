package uplink

import (
	"errors"
	"time"
)

// What the sender decides, apart from doing it.

// longSession is how long a session must have lasted for its end to be news to
// all sites at once; a shorter one than steady counts as a failure: a broker that
// hangs up after the CONNACK, or a second box with the same client id, must not be
// met by ever quicker attempts.
const (
	longSession = 5 * time.Minute
	steady      = 10 * time.Second
)

// end is how a session went.
type end struct {
	lasted time.Duration // since it was up; 0: it never came that far
	fails  int           // sessions in a row that were not steady, this one included
	reason Reason
}

// delay is the pause after a session; random is uniform over [0, 1).
func delay(b Backoff, e end, random float64) time.Duration {
	switch {
	case e.reason == ReasonCredentials || e.reason == ReasonClientID:
		// Trying again soon helps nobody, and locks accounts.
		return b.Max + time.Duration(random*float64(b.Max)/2)
	case e.lasted >= longSession:
		return time.Duration(random * float64(b.Herd))
	}
	ceiling := b.Min
	for range min(e.fails, 30) {
		if ceiling *= 2; ceiling >= b.Max {
			ceiling = b.Max
			break
		}
	}
	// Full jitter, but never at once: a server that hangs up on everybody must not
	// be met by a busy loop.
	return max(b.Min/4, time.Duration(random*float64(ceiling)))
}

// reason finds what the other side said in an error.
func reason(err error) Reason {
	var le *LinkError
	if errors.As(err, &le) {
		return le.Reason
	}
	return ReasonNone
}

// preferredAfter is when the first server is tried again although another works.
const preferredAfter = 24 * time.Hour

// choose tells which server to try: the one that worked last, the others in
// turn after it failed, and the first again once a day; daily says that this is
// the reason, and that the last good one keeps its turn should the first fail.
func choose(n, lastGood, turn int, sincePreferred time.Duration) (i int, daily bool) {
	if n == 0 {
		return -1, false
	}
	if turn == 0 && lastGood > 0 && sincePreferred >= preferredAfter {
		return 0, true
	}
	return (max(lastGood, 0) + turn) % n, false
}

// The bounds of what may be in flight, in octets.
const (
	minWindow = 256 << 10
	maxWindow = 8 << 20
)

// trickleEvery is how far apart blocks are sent, one at a time, while no hub
// stores them.
const trickleEvery = 10 * time.Second

// window is about two seconds of the rate at which acknowledgements come.
func window(perSecond float64) int {
	return int(min(max(2*perSecond, minWindow), maxWindow))
}

// patience is how long nothing may be acknowledged before the session is given
// up.
func patience(rtt time.Duration) time.Duration { return max(30*time.Second, 4*rtt) }
