package sla

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

func agree(t *testing.T, c Config) *Agreement {
	t.Helper()
	if c.Name == "" {
		c.Name = "x"
	}
	if c.Services == nil {
		c.Services = []Service{{Name: "s", Needs: []string{"line"}}}
	}
	a, err := New(c, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestDaysWithOtherHours: what a clock on the wall shows is what is agreed.
func TestDaysWithOtherHours(t *testing.T) {
	for _, c := range []struct {
		zone, day, hours string
		want             time.Duration
	}{
		{"Europe/Berlin", "2026-10-25", "24x7", 25 * time.Hour},
		{"Europe/Berlin", "2026-03-29", "24x7", 23 * time.Hour},
		{"Europe/Berlin", "2026-10-25", "sun 02:00-03:00", 2 * time.Hour}, // comes twice
		{"Europe/Berlin", "2026-03-29", "sun 02:00-03:00", 0},             // never comes
		{"Europe/Berlin", "2026-03-29", "sun 01:30-03:30", time.Hour},
		{"Europe/Berlin", "2026-10-25", "sat 22:00-06:00", 7 * time.Hour}, // of this day
		{"Australia/Lord_Howe", "2026-04-05", "24x7", 24*time.Hour + 30*time.Minute},
		{"America/Havana", "2026-03-08", "24x7", 23 * time.Hour}, // there is no midnight
		{"America/Havana", "2026-11-01", "24x7", 25 * time.Hour}, // there are two
		{"Pacific/Apia", "2011-12-30", "24x7", 24 * time.Hour},   // there is no such day: the next one
		{"UTC", "2026-11-23", "mon-fri 08:00-18:00", 10 * time.Hour},
		{"UTC", "2026-11-23", "mon 08:00-12:00, mon 11:00-13:00, sun-mon 23:00-01:00", 7 * time.Hour},
		{"UTC", "2026-11-22", "fri-mon 00:00-24:00", 24 * time.Hour},
	} {
		a := agree(t, Config{Timezone: c.zone, Hours: strings.Split(c.hours, ", ")})
		from, err := a.ParseTime(c.day)
		if err != nil {
			t.Fatal(err)
		}
		next := from.AddDate(0, 0, 1)
		to := a.midnight(next.Year(), next.Month(), next.Day())
		var sum int64
		for _, x := range a.agreed(from.UnixMilli(), to.UnixMilli()) {
			sum += x.to - x.from
		}
		if got := time.Duration(sum) * time.Millisecond; got != c.want {
			t.Errorf("%s %s %s: %v, want %v", c.zone, c.day, c.hours, got, c.want)
		}
	}
}

func TestPeriods(t *testing.T) {
	now := time.Date(2026, 11, 1, 4, 30, 0, 0, time.UTC) // still October in Havana, for half an hour
	for period, want := range map[string]string{
		Month: "2026-10-01T00:00:00-04:00 2026-11-01T00:00:00-04:00", Quarter: "2026-10-01T00:00:00-04:00 2027-01-01T00:00:00-05:00", Year: "2026-01-01T00:00:00-05:00 2027-01-01T00:00:00-05:00",
	} {
		a := agree(t, Config{Timezone: "America/Havana", Period: period})
		from, to := a.PeriodOf(now.Add(-time.Hour))
		if s := from.Format(time.RFC3339) + " " + to.Format(time.RFC3339); s != want {
			t.Errorf("%s: %s, want %s", period, s, want)
		}
	}
}

// says makes a history of lines such as "10 line down isp", in minutes.
func says(t *testing.T, until int64, lines ...string) *History {
	t.Helper()
	var rs []Record
	for _, l := range lines {
		var at int64
		f := strings.Fields(l)
		if _, err := fmt.Sscan(f[0], &at); err != nil {
			t.Fatal(err)
		}
		r := Record{T: at * 60_000}
		switch f[1] {
		case "start":
			r.Event.Kind = incident.StartedEvent
		case "stop":
			r.Event.Kind = incident.StoppedEvent
		default:
			e := incident.Edge{Source: f[1], State: incident.State(f[2]), At: collectors.Stamp(r.T)}
			if len(f) > 3 {
				e.Owner = diagnosis.Owner(f[3])
			}
			r.Event = e.Event(e.At)
		}
		rs = append(rs, r)
	}
	return Read(rs, nil, until*60_000)
}

func every(string) time.Duration { return time.Minute }

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name, target string
		lines        []string
		want         Verdict
		availability string
	}{
		{"up", "99.9", []string{"0 line up"}, Met, "100.00"},
		{"exactly", "99", []string{"0 line up", "10 line down isp", "11 line up"}, Met, "99.00"},
		{"a little less", "99.0001", []string{"0 line up", "10 line down isp", "11 line up"}, Missed, "99.00"},
		{"the customer's", "100", []string{"0 line up", "10 line down customer", "50 line up"}, Met, "100.00"},
		{"whoever's", "99", []string{"0 line up", "10 line down somebody", "50 line up"}, Missed, "60.00"},
		{"not measured", "99", []string{"0 line up", "10 stop", "12 start", "12 line up"}, Unproven, "100.00"},
		{"little not measured", "99", []string{"0 line up", "10 stop", "11 start", "11 line up"}, Met, "100.00"},
		{"nothing", "99", nil, NoData, "-"},
		{"no target", "", []string{"0 line down isp"}, NoTarget, "0.00"},
		{"after a start nothing is known", "99", []string{"0 line up", "10 start"}, Unproven, "100.00"},
	} {
		a := agree(t, Config{Target: c.target})
		r := says(t, 1000, c.lines...).Compute(a, 0, 100*60_000, every)[0]
		if r.Verdict() != c.want || r.Availability().Percent() != c.availability {
			t.Errorf("%s: %s by %s, want %s by %s", c.name, r.Verdict(), r.Availability().Percent(), c.want, c.availability)
		}
	}
	// What is newer than the newest word of the box is not known.
	r := says(t, 60, "0 line up").Compute(agree(t, Config{}), 0, 100*60_000, every)[0]
	if r.Up != 60*60_000 || r.NotRunning != 40*60_000 {
		t.Errorf("%+v", r)
	}
}

// TestHashOfWhatWasCounted: it is the same when more is said that changes nothing, and
// another when anything changes.
func TestHashOfWhatWasCounted(t *testing.T) {
	a := agree(t, Config{})
	hash := func(lines ...string) string {
		return says(t, 1000, lines...).State(a, time.UnixMilli(10*60_000), time.UnixMilli(100*60_000), every).Hash
	}
	one := hash("0 line up", "20 line down isp", "30 line up")
	for _, same := range []string{hash("5 line up", "20 line down isp", "30 line up", "200 line down isp"), hash("0 line up", "20 line down isp", "30 line up", "40 device/other down msp")} {
		if same != one {
			t.Errorf("%s and %s", one, same)
		}
	}
	for _, other := range []string{hash("0 line up", "20 line down isp", "31 line up"), hash("0 line up", "20 line down msp", "30 line up")} {
		if other == one {
			t.Error("it hides a change")
		}
	}
}

// TestWindowInParts: a long scope comes in several events.
func TestWindowInParts(t *testing.T) {
	w := incident.Window{ID: "w", Start: time.UnixMilli(10 * 60_000), End: time.UnixMilli(20 * 60_000), Approved: time.UnixMilli(1)}
	for i := range 60 {
		w.Scope = append(w.Scope, fmt.Sprintf("device/switch-%d", i))
	}
	var rs []Record
	for _, at := range []int64{2, 12} { // it is told again after a restart
		for _, e := range w.Events() {
			rs = append(rs, Record{T: at * 60_000, Event: e})
		}
	}
	a := agree(t, Config{Services: []Service{{Name: "s", Needs: []string{"device/switch-59"}}, {Name: "o", Needs: []string{"device/switch-60"}}}})
	h := Read(rs, nil, never)
	r := h.Compute(a, 0, 100*60_000, every)
	if r[0].Excluded != 10*60_000 || r[1].Excluded != 0 || len(h.Windows) != 1 || len(h.Windows[0].Scope) != 60 {
		t.Errorf("%+v", r)
	}
}

func TestWords(t *testing.T) {
	for ms, want := range map[int64]string{0: "0", 400: "0", 45_000: "45 s", 720_000: "12 min", 750_000: "12 min 30 s", 11_100_000: "3 h 05 min", 90_000_000: "25 h"} {
		if got := Words(ms); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
	for n, want := range map[int64]string{1_000_000: "100.00", 999_999: "99.9999", 995_000: "99.50", 998_500: "99.85", 0: "0.00", 123: "0.0123"} {
		if got := Percent(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	at := func(s string) time.Time {
		x, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range [][3]string{{"2026-11-01 00:00", "2026-12-01 00:00", "November 2026"}, {"2026-01-01 00:00", "2027-01-01 00:00", "2026"}, {"2026-11-03 00:00", "2026-11-04 00:00", "3 November 2026"},
		{"2026-11-03 00:00", "2026-11-10 00:00", "3 November 2026 to 9 November 2026"}, {"2026-11-03 00:00", "2026-11-10 07:00", "3 November 2026 00:00 to 10 November 2026 07:00"}} {
		if got := PeriodWords(at(c[0]), at(c[1])); got != c[2] {
			t.Errorf("%s, want %s", got, c[2])
		}
	}
}
