package incident

import (
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Line is the source of what is between this site and the MSP or the internet.
const Line = "line"

// Plan is what is watched: made of the site file and of what is known of its devices.
type Plan struct {
	Sources []Watched
	Config  Config
}

// Watched is one source whose state is followed.
type Watched struct {
	Source   string // "device/NAME", "check/NAME", ...
	Name     string // for a person
	Kind     Kind   // of its incident
	Owner    diagnosis.Owner
	Severity collectors.Severity
	Means    []string      // sources of the batches that tell of it, all of which must fail; empty: Source alone
	Parents  []string      // sources behind which it stands: when all of them are down, nobody knows of it
	Host     string        // the source that a service runs on, or Line: when that is down, so is this, of the same incident
	Interval time.Duration // of its polls; 0: a minute
	Class    string        // of a device, as profiles have it: switch, ups, ...; empty: unknown
	Profile  string        // that its settings name
	SNMP     bool          // of a device: it is to give readings by SNMP
	Ports    []string      // of a device, that matter: uplinks, wan, or names of interfaces
	Gateway  bool          // it is the site's way out: diagnosis has a say in whether it is down
	Quiet    bool          // its edges are told, but it is nobody's incident: a PC that is switched off
}

// Evidence is what one collection says of a source.
type Evidence int8

// The evidence.
const (
	Nothing Evidence = iota // the box itself was in the way
	Good
	Bad
)

// Settings of a [Fold]. They do not change.
type Settings struct {
	Boot  string                    // names this boot of the box, so that IDs are unique over boots
	Blame func(why string) Evidence // of a device's collection that failed, by its reason; nil: Bad
	Start collectors.Stamp          // when the daemon started
}

// Wiring is what topology knows of the sources.
type Wiring struct {
	Parents map[string][]string // of a source, those before it, all of which must be down
	Uplinks map[string][]Uplink // of a device's source, its ports that lead to other infrastructure
}

// Uplink is a port that leads to other infrastructure.
type Uplink struct {
	IfIndex int
	To      string // the source at its other end; empty: nobody polls it
}

// How much is damped. All of it holds for every source.
const (
	polls        = 2                // in a row, before an edge
	shortest     = 10 * time.Second // that a source is bad, however fast it is polled
	margin       = 15 * time.Second // how much later than a child's first evidence a parent's answer shows that it lives
	settling     = 3 * time.Minute  // up for so long, and an incident is over; unless Config.Settle says otherwise
	flapWindow   = time.Hour
	flapMost     = 3                // downs in the window; one more is flapping
	stable       = 30 * time.Minute // without a down, and flapping is over
	longDown     = 15 * time.Minute // tells of itself, however much was told of the source before
	updateFirst  = time.Minute      // after an opening, at the earliest, and then
	updateEvery  = 30 * time.Minute
	checkpoints  = 24 * time.Hour
	bootTime     = 5 * time.Minute  // of the box, after a power cut: switches take longer to come up than it does
	verdictTime  = 45 * time.Second // that a verdict takes
	forgotten    = time.Hour        // after a start; then what nobody watches any more is over
	linkGrace    = 30 * time.Second // the box's own link is down for so long before that is an incident without a verdict
	maxSources   = 20_000
	maxPorts     = 10_000
	maxSeries    = 50_000 // that rules look at
	maxAffecting = 5_000  // sources of one incident
)

// Why a source is Unknown.
const (
	WhyStart        = "start"
	WhyStopped      = "stopped"
	WhyLink         = "link"
	WhyParent       = "parent"
	WhyNotCollected = "not collected"
)

func (w *Watched) interval() time.Duration {
	if w.Interval <= 0 {
		return time.Minute
	}
	return w.Interval
}

// patience is how long nothing may be heard before a source is unknown.
func (w *Watched) patience() time.Duration { return 3*w.interval() + 30*time.Second }
