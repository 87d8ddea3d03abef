package receive

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// clock is the bubble's.
type clock struct{ start time.Time }

func (c clock) Now() collectors.Stamp {
	return collectors.Stamp(1000 + time.Since(c.start).Milliseconds())
}
func (c clock) Offset() (int64, bool) { return 5000, true }

// memory is a buffer that commits when it is told to.
type memory struct {
	mu      sync.Mutex
	batches []collectors.Batch
	waiting []func(kept bool)
	full    bool
}

func (m *memory) AddWaiting(x collectors.Batch, done func(kept bool)) bool {
	if err := x.Validate(); err != nil {
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return false
	}
	m.batches = append(m.batches, x)
	m.waiting = append(m.waiting, done)
	return true
}

func (m *memory) all() []collectors.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.batches
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches = nil
}

func (m *memory) fill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full = true
}

func (m *memory) commit() { m.end(true) }
func (m *memory) lose()   { m.end(false) }

func (m *memory) end(kept bool) {
	m.mu.Lock()
	waiting := m.waiting
	m.waiting = nil
	m.mu.Unlock()
	for _, f := range waiting {
		f(kept)
	}
}

// lan manages 10.0.0.0/8; 10.0.0.1 is sw1.
type lan struct{}

func (lan) Sender(a netip.Addr) (string, bool) {
	if a == netip.MustParseAddr("10.0.0.1") {
		return "sw1", true
	}
	return "", netip.MustParsePrefix("10.0.0.0/8").Contains(a)
}

var (
	sw1 = netip.MustParseAddr("10.0.0.1")
	sw2 = netip.MustParseAddr("10.0.0.2")
)

// desking runs a test at a desk whose Run runs, in fake time.
func desking(t *testing.T, f func(d *Desk, m *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		d := NewDesk(Options{What: "trap", Clock: clock{time.Now()}, Sources: lan{}, Buffer: m})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Run(ctx); close(done) }()
		f(d, m)
		cancel()
		<-done
	})
}

func after(d time.Duration) { <-time.After(d); synctest.Wait() }

func labelOf(e *collectors.Event, name string) string {
	for _, l := range e.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

func TestAlikeIsToldOnce(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		for i := range 10 { // one a second
			if !d.Tell(Note{From: sw1, Kind: "trap", Key: "linkDown 1", Text: "linkDown"}) || !d.Tell(Note{From: sw2, Kind: "trap", Key: "linkDown 1", Text: "linkDown"}) {
				t.Fatal(i)
			}
			after(time.Second)
		}
		if len(m.all()) != 2 {
			t.Fatalf("%d events at first, want one of each", len(m.all()))
		}
		after(Window * time.Millisecond)
		if len(m.all()) != 4 {
			t.Fatalf("%d events, want another of each", len(m.all()))
		}
		for _, x := range m.all()[2:] {
			e := &x.Events[0]
			// Nine more; the first of them at 1000+1000, which is 7000 on the wall, the last at 10000.
			if labelOf(e, "count") != "9" || labelOf(e, "first_ms") != "7000" || x.At != 10000 || x.Source != "trap" {
				t.Errorf("%d %+v", x.At, e)
			}
		}
		if labelOf(&m.all()[0].Events[0], "device") != "sw1" || labelOf(&m.all()[0].Events[0], "source") != "10.0.0.1" || labelOf(&m.all()[1].Events[0], "device") != "" {
			t.Errorf("%+v", m.all()[:2])
		}
		after(2 * Window * time.Millisecond)
		d.Tell(Note{From: sw1, Kind: "trap", Key: "linkDown 1", Text: "linkDown"})
		after(time.Second)
		if len(m.all()) != 5 || labelOf(&m.all()[4].Events[0], "count") != "" {
			t.Errorf("what comes again after a quiet time is news: %+v", m.all()[4:])
		}
		if s := d.Stats(); s.Repeated != 18 || s.Events != 0 {
			t.Errorf("%+v", s)
		}
		m.commit()
		if s := d.Stats(); s.Events != 5 {
			t.Errorf("%+v", s)
		}
	})
}

// One that waits for its commit does not wait for the end of a window.
func TestWhoWaits(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		var answered []int
		tell := func(i int) bool {
			return d.Tell(Note{From: sw1, Kind: "trap", Key: "k", Text: "t", Done: func(kept bool) {
				if !kept {
					i = -i
				}
				answered = append(answered, i)
			}})
		}
		for i := range 5 {
			tell(i)
		}
		after(200 * time.Millisecond)
		if len(answered) > 0 {
			t.Fatal("answered before the commit")
		}
		m.commit()
		if fmt.Sprint(answered) != "[0]" {
			t.Fatal(answered)
		}
		after(1200 * time.Millisecond)
		m.commit()
		if fmt.Sprint(answered) != "[0 1 2 3 4]" || len(m.all()) != 2 || labelOf(&m.all()[1].Events[0], "count") != "4" {
			t.Fatal(answered, m.all())
		}
	})
}

// Who waits hears also that the event was not kept, and it is counted, whether the
// buffer refuses it or loses it later.
func TestWhoWaitsInVain(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		var heard []string
		tell := func(what string) {
			d.Tell(Note{From: sw1, Kind: "trap", Key: what, Text: what, Done: func(kept bool) { heard = append(heard, fmt.Sprint(what, " ", kept)) }})
		}
		tell("lost")
		after(200 * time.Millisecond)
		m.lose()
		tell("lost")
		tell("lost")
		after(1200 * time.Millisecond)
		m.lose()
		m.fill()
		tell("refused")
		after(time.Second)
		if got := strings.Join(heard, ", "); got != "lost false, lost false, lost false, refused false" {
			t.Error(got)
		}
		if s := d.Stats(); s.Dropped[NotKept] != 4 || s.Events != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// What only one message said is not told of all.
func TestWhatDiffersIsLeftOut(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		for i := range 6 {
			from := fmt.Sprintf("10.1.2.%d", i+1)
			labels := []collectors.Label{{Name: "from", Value: from}, {Name: "app", Value: "sshd"}}
			if i == 0 {
				labels = append(labels, collectors.Label{Name: "user", Value: "bob"})
			} else if i < 4 {
				labels = append(labels, collectors.Label{Name: "user", Value: "eve"})
			}
			d.Tell(Note{From: sw1, Kind: "login_failure", Text: "failed from " + from, Labels: labels})
		}
		after(2 * Window * time.Millisecond)
		if len(m.all()) != 2 {
			t.Fatalf("%+v", m.all())
		}
		first, rest := m.all()[0].Events[0], m.all()[1].Events[0]
		if labelOf(&first, "from") != "10.1.2.1" || labelOf(&first, "user") != "bob" || first.Text != "failed from 10.1.2.1" {
			t.Errorf("%+v", first)
		}
		if labelOf(&rest, "count") != "5" || labelOf(&rest, "from") != Several || labelOf(&rest, "user") != "" || labelOf(&rest, "app") != "sshd" ||
			labelOf(&rest, "device") != "sw1" || rest.Text != "several, such as: failed from 10.1.2.2" {
			t.Errorf("%+v", rest)
		}
	})
}

// 10,000 messages of one source displace none of another's.
func TestFlood(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		taken := 0
		for i := range 10_000 {
			if d.Admit(sw1) && d.Tell(Note{From: sw1, Kind: "trap", Key: fmt.Sprint(i), Text: "flood"}) {
				taken++
			}
			if i%1000 == 0 && (!d.Admit(sw2) || !d.Tell(Note{From: sw2, Kind: "trap", Key: fmt.Sprint(i), Text: "other"})) {
				t.Errorf("%d: the other source is not heard", i)
			}
		}
		if taken != int(EventsPerSource.Burst) {
			t.Errorf("%d events of the flood, want %v", taken, EventsPerSource.Burst)
		}
		after(2 * time.Minute)
		others, told := 0, ""
		for _, x := range m.all() {
			switch e := &x.Events[0]; {
			case e.Text == "other":
				others++
			case e.Kind == "trap_dropped":
				told = e.Text
				if labelOf(e, "count") != "9700" || labelOf(e, TooFast) != "9500" || labelOf(e, TooMany) != "200" {
					t.Errorf("%+v", e)
				}
			}
		}
		if others != 10 || !strings.Contains(told, "9700 trap messages were not taken") || !strings.Contains(told, "10.0.0.1 9700") {
			t.Errorf("%d of the other source; %q", others, told)
		}
		s := d.Stats()
		if s.Messages != 10_010 || s.Dropped[TooFast]+s.Dropped[TooMany]+310 != s.Messages {
			t.Errorf("not all is accounted for: %+v", s)
		}
	})
}

func TestOutOfScope(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		for range 3 * 60 { // three hours, one a minute
			if d.Admit(netip.MustParseAddr("192.0.2.1")) {
				t.Fatal("heard")
			}
			after(time.Minute)
		}
		if n := len(m.all()); n < 3 || n > 10 {
			t.Errorf("%d events in three hours of noise", n)
		}
		if s := d.Stats(); s.Dropped[OutOfScope] != 180 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBurst(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		fail := func(from netip.Addr, n int) {
			for range n {
				d.Tell(Note{From: from, Kind: "login_failure", Text: "x", Alarm: LoginFailures, Culprit: "203.0.113.9"})
			}
		}
		fail(sw1, 4)
		after(2 * time.Minute)
		for _, x := range m.all() {
			if x.Events[0].Kind == LoginFailures {
				t.Errorf("four are no burst: %+v", x)
			}
		}
		m.forget()
		fail(sw1, 30)
		after(10 * time.Second)
		fail(sw2, 7)
		after(2 * time.Minute)
		var bursts []collectors.Event
		for _, x := range m.all() {
			if x.Events[0].Kind == LoginFailures {
				bursts = append(bursts, x.Events[0])
			}
		}
		if len(bursts) != 1 || bursts[0].Text != "37 login failures within 10 s at sw1 30, 10.0.0.2 7, from 203.0.113.9 37." ||
			labelOf(&bursts[0], "security") != "true" || labelOf(&bursts[0], "count") != "37" || bursts[0].Severity != collectors.Warning {
			t.Errorf("%+v", bursts)
		}
	})
}

// However much comes, the buffer is asked to commit at most every five seconds on the
// long run; nothing that was taken is forgotten.
func TestFlashIsSpared(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		times := map[int]bool{}
		n, before := 0, 0
		for i := range 1200 { // ten minutes, two a second
			if d.Tell(Note{From: netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), Kind: "trap", Key: fmt.Sprint(i), Text: "t"}) {
				n++
			}
			after(500 * time.Millisecond)
			if len(m.all()) > before {
				times[i] = true
			}
			before = len(m.all())
		}
		if len(times) > gatherBurst+600/5+1 {
			t.Errorf("given %d times in ten minutes", len(times))
		}
		after(time.Minute)
		if got := len(m.all()); got != n || n < 1200 {
			t.Errorf("%d events given of %d taken", got, n)
		}
	})
}

// What a desk keeps is bounded, whoever sends.
func TestBounds(t *testing.T) {
	desking(t, func(d *Desk, m *memory) {
		for i := range 100_000 {
			from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			if d.Admit(from) {
				d.Tell(Note{From: from, Kind: "trap", Key: fmt.Sprint(i), Text: strings.Repeat("x", 1000), Alarm: LoginFailures, Culprit: fmt.Sprint(i)})
			}
		}
		d.mu.Lock()
		if len(d.gate.of) > maxSources || len(d.events.of) > maxSources || len(d.windows) > maxWindows || len(d.pending) > maxPending ||
			len(d.losses.senders.by) > 4*maxNamed || len(d.bursts[LoginFailures].from.by) > 4*maxNamed {
			t.Errorf("%d %d %d %d", len(d.gate.of), len(d.events.of), len(d.windows), len(d.pending))
		}
		d.mu.Unlock()
		after(time.Hour)
		d.mu.Lock()
		if len(d.windows) > 0 || len(d.pending) > 0 || len(d.bursts) > 0 {
			t.Errorf("kept after an hour: %d %d %d", len(d.windows), len(d.pending), len(d.bursts))
		}
		d.mu.Unlock()
	})
}

// What is there when the desk closes goes to the buffer.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		d := NewDesk(Options{What: "trap", Clock: clock{time.Now()}, Sources: lan{}, Buffer: m})
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			d.Tell(Note{From: sw1, Kind: "trap", Text: "t"})
		}
		d.Drop(Malformed, sw1, 2)
		cancel()
		d.Run(ctx)
		if len(m.all()) != 3 || labelOf(&m.all()[1].Events[0], "count")+labelOf(&m.all()[2].Events[0], "count") == "" {
			t.Errorf("%+v", m.all())
		}
	})
}
