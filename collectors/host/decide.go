package host

import "time"

const (
	steady   = 50                                // ms by which the offset may differ before it counts as a step
	handSet  = 1000                              // ms by which a step must be to be somebody's doing
	holdover = int64(24 * time.Hour / 1_000_000) // ms for which a clock once sure stays so

	// floor is 2024-01-01, in ms: a clock that shows less was not set since this was
	// written, whatever speaks for it. Many boxes start in 1970.
	floor = int64(1704067200) * 1000
)

// readings are what the state of the clock is decided by.
type readings struct {
	wall, boot int64 // ms, of one instant
	kernel     bool  // the kernel says that the wall clock is synchronised
	timesyncd  int64 // when timesyncd last set it, in its own terms; 0: never in this boot
	assume     bool  // somebody vouches for it
	manual     bool  // a time set by hand counts
}

// clockState is what is remembered between decisions. The zero state knows nothing.
type clockState struct {
	known     bool
	offset    int64  // as last returned
	sure      bool   // it was sure once, and has not been stepped since without a reason to trust
	sureAt    int64  // boot clock, when it last was for a reason
	timesyncd int64  // as last read
	stale     int64  // timesyncd's note from before a step: it vouches for nothing after it
	manual    bool   // the last step was made by hand, and that counts
	doubt     string // why it is held to be wrong
}

// decide returns the offset, whether it is sure, and what to remember. It has no
// clock and does no I/O.
//
// The boot clock is slewed together with the wall clock, so that their difference
// changes when the wall clock is stepped, and only then. A step ends the trust
// in the clock, unless there is evidence of now that it is right: the kernel drops
// its own when the clock is set by hand, timesyncd's note is renewed after each
// step that is timesyncd's. Where a time set by hand counts, a step that none of
// these has made is somebody's.
func (s clockState) decide(r readings) (next clockState, offset int64, sure bool) {
	fresh := r.wall - r.boot
	if diff := fresh - s.offset; !s.known || diff <= -steady || diff >= steady {
		if s.known {
			s.sure = false
			s.stale = s.timesyncd
			s.doubt = ""
			s.manual = r.manual && (diff <= -handSet || diff >= handSet)
		}
		s.known, s.offset = true, fresh
	}
	s.timesyncd = r.timesyncd
	switch {
	case r.wall < floor:
		s.sure, s.manual = false, false
	case s.doubt != "":
		s.sure = false
	case s.manual || r.assume || r.kernel || r.timesyncd != 0 && r.timesyncd != s.stale:
		s.sure, s.sureAt = true, r.boot
	case r.boot-s.sureAt > holdover:
		s.sure = false
	}
	return s, s.offset, s.sure
}
