package sla

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// The oracle works service levels out a second time, in the plainest way: it paints
// what each record says onto an array with one cell a second, asks package time what a
// clock on the wall shows in each of them, and counts cells. It shares nothing with
// what it checks but the words.

// TestOracle: 1,000 random histories, 0 s of difference.
func TestOracle(t *testing.T) {
	const histories, parts = 1000, 4
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for n := part; n < histories; n += parts {
				w := newWorld(rand.New(rand.NewPCG(uint64(n), 5)))
				w.live()
				if err := w.compare(); err != nil {
					t.Fatalf("history %d (%s, %d s, %d records): %v\n%s", n, w.loc, w.to-w.from, len(w.records), err, w)
				}
			}
		})
	}
}

// world is a site that does not exist, for a while around a change of clocks.
type world struct {
	*rand.Rand
	loc      *time.Location
	from, to int64 // Unix seconds
	sources  []string
	agreed   Config
	rules    []rule   // the hours of agreed
	free     [][3]int // its holidays: year (0: every), month, day
	records  []Record
	gaps     []Span
	until    int64

	edges   []painted
	offs    []interval        // seconds
	version map[string][]told // of windows, by ID
}

// rule is one line of hours: the days it is for, and when, in seconds since midnight.
type rule struct {
	days     [7]bool
	from, to int
}

// painted is what a record says of one source, or of all of them.
type painted struct {
	at     int64 // seconds
	source int   // -1: all
	state  byte
}

type told struct {
	w  incident.Window
	at int64 // seconds
}

// What a cell is: an owner's index for down, from isDown on.
const (
	isUnknown = iota
	isUp
	isOff
	isExcluded
	isDown
)

func owners() []diagnosis.Owner {
	return []diagnosis.Owner{diagnosis.Customer, diagnosis.ISP, diagnosis.MSP, diagnosis.Nobody}
}

// changes are zones and days around which something odd happens to their clocks.
func changes() [][2]string {
	return [][2]string{
		{"Europe/Berlin", "2026-03-29"}, {"Europe/Berlin", "2026-10-25"}, {"Europe/Berlin", "2026-12-31"},
		{"America/New_York", "2026-03-08"}, {"America/New_York", "2026-11-01"},
		{"Australia/Lord_Howe", "2026-04-05"}, {"Australia/Lord_Howe", "2026-10-04"}, // half an hour
		{"America/Havana", "2026-03-08"}, {"America/Havana", "2026-11-01"}, // at midnight
		{"Africa/Cairo", "2026-04-24"}, {"Africa/Cairo", "2026-10-30"},
		{"Asia/Kathmandu", "2026-02-28"}, {"Africa/Casablanca", "2026-02-15"},
		{"Pacific/Apia", "2011-12-30"}, // a day that never was
		{"America/St_Johns", "2006-10-29"}, {"UTC", "2024-02-29"},
	}
}

func (w *world) one(n int) bool { return w.IntN(n) == 0 }

func newWorld(r *rand.Rand) *world {
	w := &world{Rand: r, version: map[string][]told{}}
	c := changes()[r.IntN(len(changes()))]
	w.loc, _ = time.LoadLocation(c[0])
	day, _ := time.Parse(time.DateOnly, c[1])
	length := 2*3600 + r.Int64N(10*3600)
	if w.one(20) {
		length *= 8
	}
	w.from = day.Unix() - r.Int64N(length)
	w.to = w.from + length
	for i := range 2 + r.IntN(5) {
		w.sources = append(w.sources, fmt.Sprintf("device/%d", i))
	}
	w.agree(day)
	return w
}

// agree makes up an agreement.
func (w *world) agree(day time.Time) {
	w.agreed = Config{Name: "x", Timezone: w.loc.String(), Target: "99.5"}
	for i := range 3 {
		s := Service{Name: fmt.Sprint("s", i)}
		for _, x := range w.sources {
			switch w.IntN(4) {
			case 0:
				s.Needs = append(s.Needs, x)
			case 1:
				s.Any = append(s.Any, x)
			}
		}
		if len(s.Needs)+len(s.Any) == 0 {
			s.Needs = w.sources[:1]
		}
		w.agreed.Services = append(w.agreed.Services, s)
	}
	for range w.IntN(4) {
		w.hours()
	}
	for range w.IntN(3) {
		d := day.AddDate(0, 0, w.IntN(5)-2)
		if x := [3]int{d.Year(), int(d.Month()), d.Day()}; w.one(2) {
			w.agreed.Holidays, w.free = append(w.agreed.Holidays, d.Format("2006-01-02")), append(w.free, x)
		} else {
			w.agreed.Holidays, w.free = append(w.agreed.Holidays, d.Format("01-02")), append(w.free, [3]int{0, x[1], x[2]})
		}
	}
	if w.one(2) {
		for _, i := range w.Perm(4)[:1+w.IntN(4)] {
			w.agreed.Counts = append(w.agreed.Counts, string(owners()[i]))
		}
	}
}

func (w *world) hours() {
	names := strings.Fields("sun mon tue wed thu fri sat")
	a, n := w.IntN(7), 1+w.IntN(7)
	x := rule{from: w.IntN(96) * 900, to: w.IntN(97) * 900}
	if w.one(3) { // around the changes
		x.from, x.to = w.IntN(4)*1800, w.IntN(8)*1800
	}
	if x.from == x.to {
		return
	}
	for i := range n {
		x.days[(a+i)%7] = true
	}
	text := names[a]
	if n > 1 {
		text += "-" + names[(a+n-1)%7]
	}
	clock := func(s int) string { return fmt.Sprintf("%02d:%02d", s/3600, s/60%60) }
	w.agreed.Hours = append(w.agreed.Hours, text+" "+clock(x.from)+"-"+clock(x.to))
	w.rules = append(w.rules, x)
}

// live makes records of what happens, by a wall clock that is wrong now and then.
func (w *world) live() {
	now, wrong, run, running := w.from-w.Int64N(7200), int64(0), int64(0), true
	var stopped int64
	const never = -1
	stopped = never
	record := func(e collectors.Event) int64 {
		w.records = append(w.records, Record{T: (now + wrong) * 1000, Event: e})
		return now + wrong
	}
	end := w.to + w.Int64N(7200) - 3600
	for ; now < end; now += 1 + w.Int64N(w.Int64N(4000)+1) {
		switch {
		case !running:
			t := record(collectors.Event{Kind: incident.StartedEvent})
			if stopped != never && stopped < t {
				w.offs = append(w.offs, interval{stopped, t})
			}
			stopped, run, running = never, t, true
			w.edges = append(w.edges, painted{t, -1, isUnknown})
		case w.one(25):
			stopped, running = record(collectors.Event{Kind: incident.StoppedEvent}), false
		case w.one(40): // power is lost
			gap := interval{now + wrong - w.Int64N(60), now + wrong + w.Int64N(3000)}
			w.gaps = append(w.gaps, Span{gap.from * 1000, gap.to * 1000})
			w.offs = append(w.offs, gap)
			now, running = gap.to-wrong, false
		case w.one(20):
			wrong += w.Int64N(7200) - 3600
		case w.one(8):
			w.window(now+wrong, record)
		default:
			w.edge(run, record)
		}
	}
	if stopped != never {
		w.offs = append(w.offs, interval{stopped, 1 << 40})
	}
	w.until = now + wrong
	w.offs = append(w.offs, interval{w.until, 1 << 40})
}

func (w *world) edge(run int64, record func(collectors.Event) int64) {
	i, ago := w.IntN(len(w.sources)), w.Int64N(w.Int64N(400)+1)
	e := incident.Edge{Source: w.sources[i], State: incident.Up, At: collectors.Stamp(1_000_000 - ago*1000)}
	p := painted{source: i, state: isUp}
	switch w.IntN(5) {
	case 0, 1:
		o := w.IntN(4)
		e.State, e.Owner, p.state = incident.Down, owners()[o], byte(isDown+o)
	case 2:
		e.State, p.state = incident.Unknown, isUnknown
	}
	t := record(e.Event(1_000_000))
	p.at = t - ago
	if t >= run && p.at < run {
		p.at = run
	}
	w.edges = append(w.edges, p)
}

func (w *world) window(now int64, record func(collectors.Event) int64) {
	id := fmt.Sprint("w", w.IntN(6))
	start := now + w.Int64N(6000) - 1000
	x := incident.Window{ID: id, Start: time.Unix(start, 0).UTC(), End: time.Unix(start+1+w.Int64N(9000), 0).UTC()}
	if !w.one(5) {
		x.Approved = time.Unix(now-w.Int64N(1000)+100, 0).UTC()
	}
	if old := w.version[id]; len(old) > 0 && w.one(2) { // the same, but for its end
		x.Start, x.Approved = old[0].w.Start, old[0].w.Approved
		x.End = x.Start.Add(time.Duration(1+w.IntN(9000)) * time.Second)
	}
	if w.one(6) { // called off
		x.End = x.Start
	}
	if !w.one(3) {
		for _, s := range w.sources {
			if w.one(2) {
				x.Scope = append(x.Scope, s)
			}
		}
	}
	w.version[id] = append(w.version[id], told{x, record(x.Events()[0])})
}

// cells paints.
func (w *world) cells() [][]byte {
	n := int(w.to - w.from)
	cells := make([][]byte, len(w.sources))
	fill := func(c []byte, from, to int64, b byte) {
		for i := max(0, from-w.from); i < min(int64(n), to-w.from); i++ {
			c[i] = b
		}
	}
	for i := range cells {
		cells[i] = make([]byte, n)
		for _, p := range w.edges {
			if p.source == i || p.source == -1 {
				fill(cells[i], p.at, w.to, p.state)
			}
		}
		for _, x := range w.offs {
			fill(cells[i], x.from, x.to, isOff)
		}
		for _, versions := range w.version {
			if x, end, ok := inForce(versions); ok && (len(x.Scope) == 0 || slices.Contains(x.Scope, w.sources[i])) {
				fill(cells[i], x.Start.Unix(), end, isExcluded)
			}
		}
	}
	return cells
}

// inForce finds the version that the box had when the window began, and when it ended.
func inForce(versions []told) (w incident.Window, end int64, ok bool) {
	for i, v := range versions {
		start := v.w.Start.Unix()
		if v.w.End.Equal(v.w.Start) || v.w.Approved.IsZero() || v.w.Approved.Unix() >= start || v.at >= start {
			continue
		}
		if i+1 < len(versions) && versions[i+1].at < start {
			continue // replaced in time
		}
		end = v.w.End.Unix()
		for _, later := range versions[i+1:] {
			cut := later.w.End.Unix()
			if later.w.End.Equal(later.w.Start) || later.w.Start.After(v.w.Start) {
				cut = later.at
			}
			end = min(end, cut)
		}
		return v.w, end, true
	}
	return w, 0, false
}

// within asks a clock on the wall.
func (w *world) within(second int64) bool {
	if len(w.rules)+len(w.free) == 0 {
		return true
	}
	t := time.Unix(second, 0).In(w.loc)
	if len(w.free) > 0 {
		y, m, d := t.Date()
		if slices.Contains(w.free, [3]int{y, int(m), d}) || slices.Contains(w.free, [3]int{0, int(m), d}) {
			return false
		}
	}
	if len(w.rules) == 0 {
		return true
	}
	h, m, s := t.Clock()
	now, day := h*3600+m*60+s, int(t.Weekday())
	for _, r := range w.rules {
		switch {
		case r.from < r.to:
			if r.days[day] && now >= r.from && now < r.to {
				return true
			}
		case r.days[day] && now >= r.from, r.days[(day+6)%7] && now < r.to:
			return true
		}
	}
	return false
}

// service is what a service is in one second.
func (w *world) service(s *Service, cell func(source string) byte) byte {
	firstDown := func(of []string) byte {
		for _, o := range w.order() {
			for _, x := range of {
				if c := cell(x); c == byte(isDown+o) {
					return c
				}
			}
		}
		return 0
	}
	has := func(of []string, what ...byte) bool {
		return slices.ContainsFunc(of, func(x string) bool { return slices.Contains(what, cell(x)) })
	}
	group := byte(isUp)
	switch {
	case len(s.Any) == 0, has(s.Any, isUp):
	case has(s.Any, isOff):
		group = isOff
	case has(s.Any, isUnknown):
		group = isUnknown
	case has(s.Any, isExcluded):
		group = isExcluded
	default:
		group = firstDown(s.Any)
	}
	if group == isExcluded || has(s.Needs, isExcluded) {
		return isExcluded
	}
	if d := firstDown(s.Needs); d != 0 || group >= isDown {
		inner := cell
		cell = func(x string) byte {
			if x == "" {
				return group
			}
			return inner(x)
		}
		return firstDown(append([]string{""}, s.Needs...))
	}
	for _, c := range []byte{isOff, isUnknown} {
		if group == c || has(s.Needs, c) {
			return c
		}
	}
	return isUp
}

// order is who is to blame first: who counts, as they are named, and then the rest.
func (w *world) order() (out []int) {
	counts := w.agreed.Counts
	if len(counts) == 0 {
		counts = []string{"isp", "msp", "undetermined"}
	}
	for _, name := range append(slices.Clone(counts), "isp", "msp", "undetermined", "customer") {
		if i := slices.Index(owners(), diagnosis.Owner(name)); !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

// figures are what is compared, in seconds.
type figures struct {
	hours, up, excluded, unmeasured, off, counted int64
	down                                          [4]int64
	outages                                       []int64
}

func (w *world) oracle() []figures {
	cells := w.cells()
	agreed := make([]bool, w.to-w.from)
	for i := range agreed {
		agreed[i] = w.within(w.from + int64(i))
	}
	turns := make([]bool, len(agreed)) // of any source
	for _, c := range cells {
		for i := 1; i < len(c); i++ {
			if c[i] != c[i-1] {
				turns[i] = true
			}
		}
	}
	counts := w.agreed.Counts
	if len(counts) == 0 {
		counts = []string{"isp", "msp", "undetermined"}
	}
	var out []figures
	for k := range w.agreed.Services {
		var f figures
		open := int64(-1) // agreed seconds of the outage that goes on
		closed := func() {
			if open > 0 {
				f.outages = append(f.outages, open)
			}
			open = -1
		}
		var c byte
		for i := range agreed {
			if i == 0 || turns[i] {
				c = w.service(&w.agreed.Services[k], func(s string) byte { return cells[slices.Index(w.sources, s)][i] })
			}
			if c >= isDown {
				open = max(open, 0)
			} else {
				closed()
			}
			if !agreed[i] {
				continue
			}
			f.hours++
			switch c {
			case isUp:
				f.up++
			case isExcluded:
				f.excluded++
			case isOff:
				f.off++
				f.unmeasured++
			case isUnknown:
				f.unmeasured++
			default:
				open++
				f.down[c-isDown]++
				if slices.Contains(counts, string(owners()[c-isDown])) {
					f.counted++
				}
			}
		}
		closed()
		out = append(out, f)
	}
	return out
}

func (w *world) compare() error {
	a, err := New(w.agreed, time.UTC)
	if err != nil {
		return err
	}
	h := Read(w.records, w.gaps, w.until*1000)
	got := h.Compute(a, w.from*1000, w.to*1000, func(string) time.Duration { return time.Minute })
	for i, want := range w.oracle() {
		r := &got[i]
		f := figures{hours: r.Hours, up: r.Up, excluded: r.Excluded, unmeasured: r.Unmeasured, off: r.NotRunning, counted: r.Counted}
		for j, o := range owners() {
			f.down[j] = r.Down[o]
		}
		for _, o := range r.Outages {
			f.outages = append(f.outages, o.Agreed)
		}
		if err := whole(r); err != nil {
			return err
		}
		ms := want
		for _, p := range []*int64{&ms.hours, &ms.up, &ms.excluded, &ms.unmeasured, &ms.off, &ms.counted, &ms.down[0], &ms.down[1], &ms.down[2], &ms.down[3]} {
			*p *= 1000
		}
		ms.outages = nil
		for _, o := range want.outages {
			ms.outages = append(ms.outages, o*1000)
		}
		if fmt.Sprint(f) != fmt.Sprint(ms) {
			return fmt.Errorf("service %s: got  %+v\nwant %+v", r.Service, f, ms)
		}
	}
	return nil
}

// whole checks that a result's spans cover the period without a gap and add up.
func whole(r *Result) error {
	at, agreed := r.From, int64(0)
	for _, s := range r.Spans {
		if s.From != at || s.To <= s.From {
			return fmt.Errorf("service %s: a span from %d to %d after %d", r.Service, s.From, s.To, at)
		}
		if at = s.To; s.Agreed {
			agreed += s.To - s.From
		}
	}
	sum := r.Up + r.Excluded + r.Unmeasured
	for _, d := range r.Down {
		sum += d
	}
	if at != r.To || agreed != r.Hours || sum != r.Hours {
		return fmt.Errorf("service %s: spans end at %d (period %d), have %d ms within hours, parts add up to %d, hours %d", r.Service, at, r.To, agreed, sum, r.Hours)
	}
	return nil
}

func (w *world) String() string { return fmt.Sprintf("%+v", w.agreed) }
