package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// bubbleClock is the box's clock in a bubble of testing/synctest.
type bubbleClock struct {
	begun time.Time
	boot  collectors.Stamp // at begun
	wrong time.Duration    // the wall clock's
}

func (c *bubbleClock) Now() collectors.Stamp { return c.boot.Add(time.Since(c.begun)) }
func (c *bubbleClock) Offset() (int64, bool) {
	return c.begun.Add(c.wrong).UnixMilli() - int64(c.boot), c.wrong == 0
}

// fakeSender keeps what it is given, and fails as it is told to.
type fakeSender struct {
	mu   sync.Mutex
	sent []message
	err  error
	hang bool
}

func (s *fakeSender) send(ctx context.Context, m *message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return &Failure{Doing: "waiting", Err: ctx.Err()}
	}
	if s.err == nil {
		s.sent = append(s.sent, *m)
	}
	return s.err
}

func (s *fakeSender) set(err error, hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.hang = err, hang
}

func (s *fakeSender) words() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.sent {
		w := m.What
		for _, x := range m.Items {
			w += " " + x.Note.ID
		}
		out = append(out, w)
	}
	return out
}

func change(what, key string, c *bubbleClock) incident.Change {
	return incident.Change{What: what, At: c.Now(), Incident: incident.Incident{ID: key + "@1", Key: key, Kind: incident.KindDevice, Cause: "device_down", Owner: diagnosis.Customer,
		Severity: collectors.Error, Summary: key + " does not answer.", Source: "device/" + key, Affected: []string{"device/" + key}, First: c.Now(), Opened: c.Now(), Closed: c.Now()}}
}

// newFake makes a Notifier of two notices that send nowhere.
func newFake(t *testing.T, file string, c *bubbleClock, log io.Writer) (*Notifier, [2]*fakeSender) {
	t.Helper()
	cfgs := []Config{{Name: "mail", SMTP: &SMTP{Server: "127.0.0.1", To: []string{"a@b.example"}}}, {Name: "log", Syslog: &Syslog{Server: "127.0.0.1"}}}
	n, err := New(cfgs, Options{Site: testSite(t), Clock: c, File: file, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	senders := [2]*fakeSender{{}, {}}
	for i := range senders {
		n.lanes[i].sender = senders[i]
	}
	return n, senders
}

// start runs a Notifier; the function it returns ends it.
func start(n *Notifier) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestNotifier(t *testing.T) {
	file := filepath.Join(t.TempDir(), FileName)
	synctest.Test(t, func(t *testing.T) {
		c := &bubbleClock{begun: time.Now(), boot: 5_000}
		var log bytes.Buffer
		n, senders := newFake(t, file, c, &log)
		stop := start(n)
		senders[1].set(nil, true) // one that hangs keeps nobody waiting
		n.Notify(change(incident.Open, "a", c))
		n.Notify(incident.Change{What: incident.Open}) // of nothing
		synctest.Wait()
		if got := fmt.Sprint(senders[0].words()); got != "[open a@1]" {
			t.Errorf("sent %s", got)
		}
		time.Sleep(3 * time.Minute)
		if x := n.Troubles(); len(x) != 1 || x[0].Notice != "log" || x[0].Waiting != 1 || c.Now() < 180_000 {
			t.Errorf("%+v", x)
		}
		senders[0].set(errors.New("full"), false)
		n.Notify(change(incident.Close, "a", c))
		n.Notify(change(incident.Open, "b", c))
		time.Sleep(time.Minute)
		stop()

		// After a restart, in another boot, by another clock: what waits goes out, what
		// was told is known.
		c = &bubbleClock{begun: time.Now(), boot: 1}
		n, senders = newFake(t, file, c, &log)
		stop = start(n)
		n.Notify(change(incident.Open, "a", c))
		time.Sleep(30 * time.Minute)
		n.Notify(change(incident.Close, "b", c))
		time.Sleep(30 * time.Minute)
		stop()
		if got, want := fmt.Sprint(senders[0].words(), senders[1].words()), "[close a@1 open b@1 close b@1] [close a@1 open b@1 close b@1]"; got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
		if first := senders[0].sent[0].Items[0]; first.Before != 1 || !first.Note.First.Equal(c.begun.Add(-time.Minute)) {
			t.Errorf("%+v, now %v", first, c.begun)
		}
		if got := strings.Count(log.String(), "cannot be sent"); got != 2 {
			t.Errorf("%d lines about two that fail:\n%s", got, &log)
		}
	})
}

// Times are those of the clock as it is known when the message goes out.
func TestClockIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &bubbleClock{begun: time.Now(), boot: 5_000, wrong: -20 * 365 * 24 * time.Hour}
		n, senders := newFake(t, "", c, io.Discard)
		senders[0].set(errors.New("down"), false)
		stop := start(n)
		n.Notify(change(incident.Open, "a", c))
		time.Sleep(time.Second)
		stop()
		c.wrong = 0
		senders[0].set(nil, false)
		stop = start(n)
		time.Sleep(time.Hour)
		stop()
		if x := senders[0].sent[0].Items[0].Note; !x.Sure || !x.First.Equal(c.begun) {
			t.Errorf("%+v, want %v", x, c.begun)
		}
		if x := senders[1].sent[0].Items[0].Note; x.Sure {
			t.Errorf("%+v", x)
		}
	})
}

// A file that is damaged, of another version or hostile costs what it held, and nothing
// else.
func TestDamagedFile(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "not JSON": "{", "another version": `{"version":9}`, "another shape": `{"version":1,"notices":[]}`,
		"holes":   `{"version":1,"notices":{"mail":{"pending":[{"note":{}},{"note":{"id":"x","key":"k","affected":null,"severity":200,"count":-5}}],"told":{"k":{"ago_ms":[-5,9223372036854775807,3,4]},"":{}},"sent_ago_ms":[1,-9,5],"lost":-3}}}`,
		"a flood": `{"version":1,"notices":{"mail":{"pending":[` + strings.TrimSuffix(strings.Repeat(`{"note":{"id":"x","key":"k"}},`, 5000), ",") + `]}}}`,
	} {
		file := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			c := &bubbleClock{begun: time.Now(), boot: 5_000}
			n, senders := newFake(t, file, c, io.Discard)
			if len(n.lanes[0].desk.pending) > maxPending {
				t.Errorf("%s: %d wait", name, len(n.lanes[0].desk.pending))
			}
			stop := start(n)
			n.Notify(change(incident.Open, "a", c))
			time.Sleep(3 * time.Hour)
			stop()
			if !strings.Contains(fmt.Sprint(senders[0].words()), "open a@1") {
				t.Errorf("%s: sent %q", name, senders[0].words())
			}
		})
	}
}

// No secret and no path of a URL is in the log or in the file, whatever fails.
func TestNothingLeaks(t *testing.T) {
	address := hostile(t, forEver("535 "+canary+"\r\n", time.Millisecond))
	file := filepath.Join(t.TempDir(), FileName)
	var log bytes.Buffer
	c := &bubbleClock{begun: time.Now(), boot: 5_000}
	n, err := New([]Config{
		{Name: "mail", SMTP: &SMTP{Server: address, To: []string{"a@b.example"}, Username: "u", Password: canary}},
		{Name: "hook", Webhook: &Webhook{URL: "http://" + address + "/" + canary, Secret: canary}},
	}, Options{Site: testSite(t), Clock: c, File: file, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(n)
	n.Notify(change(incident.Open, "a", c))
	for deadline := time.Now().Add(20 * time.Second); len(n.Troubles()) < 2 && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
	}
	troubles := n.Troubles()
	stop()
	kept, err := os.ReadFile(file)
	if err != nil || len(troubles) != 2 {
		t.Fatal(err, troubles)
	}
	for what, text := range map[string]string{"log": log.String(), "file": string(kept), "status": fmt.Sprint(troubles)} {
		if strings.Contains(text, "canary") || strings.Contains(text, "Y2FuYXJ5") {
			t.Errorf("the %s tells the secret: %s", what, text)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"notices":{"mail":{"pending":[{"note":{"id":"x","key":"k"}}],"told":{"k":{"id":"x","open":true,"ago_ms":[5]}},"sent_ago_ms":[1]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &bubbleClock{begun: time.Now(), boot: 5_000}
		n, _ := newFake(t, "", c, io.Discard)
		_ = n.restore(data) // what is wrong with it is not of interest
		n.Notify(change(incident.Close, "k", c))
		n.Notify(change(incident.Open, "k2", c))
		for _, l := range n.lanes {
			if batch, wait := l.desk.next(c.Now()); len(batch) == 0 && wait <= 0 {
				t.Error("it would turn without an end")
			} else if len(batch) > 0 {
				m := n.message(l, batch, 0)
				_, _ = m.subject(), m.body()
			}
		}
		kept, err := n.state()
		if err == nil {
			n, _ = newFake(t, "", c, io.Discard)
			err = n.restore(kept)
		}
		if err != nil {
			t.Error(err)
		}
	})
}
