package notify

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// story plays changes of incidents against a desk in simulated time; what would be sent
// goes out at once while up is true.
type story struct {
	t    *testing.T
	desk *desk
	now  collectors.Stamp
	down bool // the target's
	sent []string
	at   []collectors.Stamp
}

func newStory(t *testing.T, c Config) *story {
	if c.SMTP == nil && c.Syslog == nil && c.Webhook == nil {
		c.SMTP = &SMTP{}
	}
	return &story{t: t, desk: newDesk(c), now: 1_000_000}
}

// note is a change of an incident of a key; id names it.
func note(key, id string, over bool) Note {
	return Note{Key: key, ID: id, Kind: incident.KindDevice, Owner: diagnosis.Customer, Severity: collectors.Error, Cause: "device_down", Source: key, Count: 1, Over: over}
}

func (s *story) take(n Note) { s.desk.take(n); s.work() }

// pass lets time go by, and work be done when it is due.
func (s *story) pass(d time.Duration) {
	end := s.now.Add(d)
	for s.now < end {
		_, wait := s.desk.next(s.now)
		s.now = min(end, s.now.Add(max(min(wait, d), time.Millisecond)))
		s.work()
	}
}

func (s *story) work() {
	for {
		batch, _ := s.desk.next(s.now)
		if len(batch) == 0 {
			return
		}
		if s.down {
			s.desk.failed(batch, false, s.now)
			return
		}
		s.desk.went(batch, s.desk.lost, s.now)
		var words []string
		for _, x := range batch {
			word := x.What + " " + x.Note.ID
			if x.Missed > 0 {
				word += fmt.Sprint("+", x.Missed)
			}
			words = append(words, word)
		}
		s.sent = append(s.sent, strings.Join(words, ", "))
		s.at = append(s.at, s.now)
	}
}

func (s *story) want(want ...string) {
	s.t.Helper()
	if strings.Join(s.sent, "\n") != strings.Join(want, "\n") {
		s.t.Errorf("sent %q, want %q", s.sent, want)
	}
}

func TestOneMessageAChange(t *testing.T) {
	s := newStory(t, Config{})
	n := note("a", "a1", false)
	s.take(n)
	s.take(n) // twice the same
	n.Summary = "in other words"
	s.take(n)
	s.pass(2 * time.Hour)
	n.Owner = diagnosis.ISP
	s.take(n)
	n.Count = 2 // twice as much
	s.take(n)
	n.Over = true
	s.pass(2 * time.Hour)
	s.take(n)
	s.take(n)
	n.Over = false
	s.take(n) // late
	s.want("open a1", "update a1", "update a1", "close a1")
}

func TestWhatIsNotTold(t *testing.T) {
	s := newStory(t, Config{Only: Only{Severity: "error", Owner: []string{"isp"}, Kinds: []string{"line_down"}}})
	n := note("a", "a1", false)
	s.take(n)
	n.Kind, n.Owner, n.Severity = incident.KindLine, diagnosis.ISP, collectors.Warning
	s.take(n)
	n.Over = true
	s.take(n) // the end of what was not told
	n = note("a", "a2", false)
	n.Kind, n.Owner = incident.KindLine, diagnosis.ISP
	s.take(n)
	n.Owner = diagnosis.MSP // who was told the beginning is told the rest
	s.take(n)
	s.pass(time.Hour)
	n.Over = true
	s.take(n)
	s.want("open a2", "update a2", "close a2")
}

func TestSilenced(t *testing.T) {
	s := newStory(t, Config{})
	n := note("a", "a1", false)
	n.silenced = true
	s.take(n)
	n.Over = true
	s.take(n)
	s.want()
	n = note("a", "a2", false)
	s.take(n)
	n.silenced, n.Severity = true, collectors.Warning
	s.take(n)
	n.silenced = false
	s.take(n) // the silence is over: news again
	s.want("open a2", "update a2")
	s.pass(2 * time.Hour)
	n.silenced, n.Over = true, true
	s.take(n)
	n.silenced = false
	s.take(n)
	s.want("open a2", "update a2")

	s = newStory(t, Config{}) // silenced while it waits
	s.down = true
	n = note("b", "b1", false)
	s.take(n)
	n.silenced = true
	s.take(n)
	s.down = false
	s.pass(time.Hour)
	s.want()
}

// A flapping thing: two messages an hour, whatever it does, and at its end the truth.
func TestFlapping(t *testing.T) {
	s := newStory(t, Config{})
	for i := range 360 { // 6 hours, an incident a minute
		id := fmt.Sprint("p", i)
		s.take(note("p", id, false))
		s.pass(30 * time.Second)
		s.take(note("p", id, true))
		s.pass(30 * time.Second)
	}
	s.pass(2 * time.Hour)
	s.atMost(2)
	if last := s.sent[len(s.sent)-1]; !strings.HasPrefix(last, "close p359") {
		t.Errorf("the last message is %q", last)
	}
	if len(s.sent) < 10 || s.sent[0] != "open p0" || s.sent[1] != "close p0" || !strings.Contains(s.sent[2], "+") {
		t.Errorf("%q", s.sent)
	}
}

// atMost holds that no window of an hour has more messages.
func (s *story) atMost(n int) {
	s.t.Helper()
	for i := n; i < len(s.at); i++ {
		if s.at[i]-s.at[i-n] < collectors.Stamp(window.Milliseconds()) {
			s.t.Fatalf("more than %d messages within an hour: %q", n, s.sent[i-n:i+1])
		}
	}
}

// Many at once: so many an hour, the last one a digest of the rest.
func TestDigest(t *testing.T) {
	s := newStory(t, Config{MaxPerHour: 5})
	s.down = true
	for i := range 40 {
		s.take(note(fmt.Sprint("d", i), fmt.Sprint("d", i, "@1"), false))
	}
	s.down = false
	s.pass(longestWait)
	if len(s.sent) != 5 || strings.Count(s.sent[4], "open") != 36 {
		t.Errorf("%q", s.sent)
	}
	s.take(note("x", "x1", false))
	s.pass(30 * time.Minute)
	if len(s.sent) != 5 {
		t.Errorf("more than was agreed on: %q", s.sent[5:])
	}
	s.pass(time.Hour)
	s.atMost(5)
	if s.sent[5] != "open x1" {
		t.Errorf("%q", s.sent[5:])
	}
}

// While the target is down one message a key waits, and it says how it stands then.
func TestTargetIsDown(t *testing.T) {
	s := newStory(t, Config{})
	s.take(note("a", "a1", false))
	s.down = true
	s.take(note("a", "a1", true))
	s.take(note("b", "b1", false))
	s.pass(time.Minute)
	s.take(note("b", "b1", true))
	s.take(note("c", "c1", false))
	s.take(note("c", "c1", true))
	s.take(note("c", "c2", false))
	s.pass(5 * time.Hour)
	s.want("open a1")
	s.down = false
	s.pass(longestWait)
	s.want("open a1", "close a1", "close b1", "open c2+1")
}

func TestRetries(t *testing.T) {
	d := newDesk(Config{SMTP: &SMTP{}})
	d.take(note("a", "a1", false))
	now, waits := collectors.Stamp(1), []time.Duration{}
	for range 9 {
		batch, _ := d.next(now)
		if len(batch) != 1 {
			t.Fatal("nothing to send")
		}
		d.failed(batch, false, now)
		_, wait := d.next(now)
		waits = append(waits, wait)
		now = now.Add(wait)
	}
	if got, want := fmt.Sprint(waits), "[10s 20s 40s 1m20s 2m40s 5m20s 10m40s 15m0s 15m0s]"; got != want {
		t.Errorf("waits %s, want %s", got, want)
	}
}

// A message that is refused for what it says keeps the others back for a while only.
func TestRefused(t *testing.T) {
	d := newDesk(Config{Webhook: &Webhook{}})
	d.take(note("bad", "bad1", false))
	d.take(note("good", "good1", false))
	now, sent := collectors.Stamp(1), ""
	for range 20 {
		batch, wait := d.next(now)
		if len(batch) == 0 {
			if wait == never {
				break
			}
			now = now.Add(wait)
			continue
		}
		if batch[0].Note.Key == "bad" {
			d.failed(batch, true, now)
			continue
		}
		sent += batch[0].Note.ID
		d.went(batch, d.lost, now)
	}
	if sent != "good1" || len(d.pending) != 0 || d.lost != 1 {
		t.Errorf("sent %q, %d wait, %d lost", sent, len(d.pending), d.lost)
	}
}

func TestQueueIsBounded(t *testing.T) {
	s := newStory(t, Config{MaxPerHour: 1})
	s.down = true
	for i := range maxPending + 10 {
		s.take(note(fmt.Sprint(i), fmt.Sprint(i, "@1"), false))
	}
	if len(s.desk.pending) != maxPending || s.desk.lost != 10 || s.desk.pending[0].Note.Key != "10" {
		t.Errorf("%d wait, %d lost", len(s.desk.pending), s.desk.lost)
	}
	s.down = false
	s.pass(longestWait)
	if len(s.sent) != 1 || s.desk.lost != 0 {
		t.Errorf("%d messages, %d lost are untold", len(s.sent), s.desk.lost)
	}
	for i := range maxTold * 2 {
		s.desk.went([]item{{Note: note(fmt.Sprint("t", i), "x", i%2 == 0)}}, 0, s.now)
		s.desk.next(s.now)
	}
	if len(s.desk.told) > maxTold+1 {
		t.Errorf("%d are remembered", len(s.desk.told))
	}
}

// What comes while a message is on its way is told after it, if it is news then.
func TestChangesWhileSending(t *testing.T) {
	d := newDesk(Config{SMTP: &SMTP{}})
	n := note("a", "a1", false)
	d.take(n)
	batch, _ := d.next(1)
	n.Summary = "again"
	d.take(n)
	d.went(batch, 0, 1)
	if batch, _ := d.next(1); len(batch) != 0 {
		t.Errorf("%+v is no news", batch)
	}
	n.Severity = collectors.Warning
	d.take(n)
	batch, _ = d.next(1)
	n.Over = true
	d.take(n)
	d.went(batch, 0, 1)
	if batch, _ := d.next(1 + collectors.Stamp(window.Milliseconds())); len(batch) != 1 || batch[0].What != whatClose || batch[0].Missed != 0 || batch[0].Before != 2 {
		t.Errorf("%+v", batch)
	}
}

// Whatever happens: never more than is allowed, nothing told twice, no end without a
// beginning that was told or is told with it, and in the end everybody knows how it
// stands.
func TestDeskHolds(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newStory(t, Config{MaxPerHour: 1 + r.IntN(8)})
		state := map[string]Note{}
		for range 400 {
			key := fmt.Sprint("k", r.IntN(6))
			n, ok := state[key]
			switch {
			case !ok || n.Over:
				n = note(key, fmt.Sprint(key, "@", s.now), false)
			case r.IntN(2) == 0:
				n.Over = true
			default:
				n.Severity = collectors.Severity(r.IntN(3))
			}
			state[key] = n
			s.take(n)
			s.down = r.IntN(5) == 0
			s.pass(time.Duration(r.IntN(20)) * time.Minute)
		}
		s.down = false
		s.pass(12 * time.Hour)
		s.atMost(s.desk.perHour)
		if len(s.desk.pending) > 0 {
			t.Errorf("seed %d: %d wait in the end", seed, len(s.desk.pending))
		}
		for key, n := range state {
			if told := s.desk.told[key]; told.news(&n) && !(n.Over && !told.Open) {
				t.Errorf("seed %d: %+v was told last of %+v", seed, told, n)
			}
		}
		seen := map[string]bool{}
		for _, m := range s.sent {
			for _, x := range strings.Split(m, ", ") {
				if x, _, _ := strings.Cut(x, "+"); !strings.HasPrefix(x, "update") {
					if seen[x] {
						t.Errorf("seed %d: %q was told twice", seed, x)
					}
					seen[x] = true
				}
			}
		}
	}
}
