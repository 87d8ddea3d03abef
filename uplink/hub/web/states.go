package web

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// tone is how good or bad something is. Where it is shown as a colour there is a
// sign or a word as well.
type tone string

// The tones, from good to bad.
const (
	mute tone = "mute"
	good tone = "good"
	warn tone = "warn"
	bad  tone = "bad"
)

// rank orders tones, the worst highest.
func (t tone) rank() int { return slices.Index([]tone{mute, good, warn, bad}, t) }

func worst(a, b tone) tone {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// word is a word with a tone.
type word struct {
	Text string
	Tone tone
}

// stateWords are the meanings of states, by metric.
var stateWords = map[string]map[int64]word{
	"ifOperStatus": {1: {"up", good}, 2: {"down", bad}, 3: {"testing", warn}, 4: {"unknown", warn}, 5: {"dormant", mute},
		6: {"not present", mute}, 7: {"lower layer down", bad}},
	"ifAdminStatus":             {1: {"up", mute}, 2: {"down", mute}, 3: {"testing", warn}},
	"probe_success":             {0: {"failing", bad}, 1: {"working", good}},
	"probe_dns_query_succeeded": {0: {"no", bad}, 1: {"yes", good}},
	"probe_failed_due_to_regex": {0: {"no", good}, 1: {"yes", bad}},
	"probe_http_ssl":            {0: {"no", mute}, 1: {"yes", mute}},
	"node_network_carrier":      {0: {"no carrier", warn}, 1: {"carrier", good}},
	"node_filesystem_readonly":  {0: {"no", good}, 1: {"yes", bad}},
	"node_timex_sync_status":    {0: {"not synchronised", warn}, 1: {"synchronised", good}},
	"siteprobe_clock_sure":      {0: {"not sure", warn}, 1: {"sure", good}},
}

// stateWord returns what a state means, as its number where that is not known.
func stateWord(metric string, n int64) word {
	if w, ok := stateWords[metric][n]; ok {
		return w
	}
	return word{strconv.FormatInt(n, 10), ""}
}

// isInstant tells whether a gauge in seconds is a point in time.
func isInstant(s *collectors.Series) bool {
	return s.Unit == "seconds" && s.Kind == collectors.Gauge &&
		(strings.HasSuffix(s.Metric, "_expiry") || s.Metric == "node_boot_time_seconds")
}

// show writes a reading of a series that is not a total.
func (w *Web) show(s *collectors.Series, v collectors.Value) word {
	switch {
	case v.Missing():
		return word{none, mute}
	case s.Kind == collectors.Text:
		return word{words(v.Text()), ""}
	case s.Kind == collectors.State:
		return stateWord(s.Metric, v.State())
	case s.Kind == collectors.Counter:
		return word{count(v.Counter()), ""}
	}
	f := v.Gauge()
	if isInstant(s) && f > 0 && f < 1e11 {
		t := w.when(time.Unix(int64(math.Round(f)), 0))
		return word{t.Text + " (" + t.Ago + ")", expiry(s, time.Unix(int64(f), 0).Sub(w.opt.Now()))}
	}
	unit, factor := shownAs(s)
	return word{quantity(f*factor, unit), ""}
}

func expiry(s *collectors.Series, left time.Duration) tone {
	switch {
	case !strings.HasSuffix(s.Metric, "_expiry"):
		return ""
	case left < 0:
		return bad
	case left < 14*24*time.Hour:
		return warn
	}
	return good
}

// showLast writes the newest reading of a series: of a total, its rate between the
// last two readings.
func (w *Web) showLast(p *store.Points) (word, int64) {
	last := p.Points[len(p.Points)-1]
	if !isTotal(&p.Series) {
		return w.show(&p.Series, lastReading(&last)), last.T
	}
	l := lineOf(p)
	if n := len(l.Runs); n > 0 {
		run := l.Runs[n-1]
		if s := run[len(run)-1]; s.T == last.T {
			unit, _ := shownAs(&p.Series)
			return word{quantity(s.V, unit), ""}, s.T
		}
	}
	return word{none, mute}, last.T
}
