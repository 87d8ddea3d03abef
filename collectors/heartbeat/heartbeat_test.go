package heartbeat

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/collectortest"
)

// clock is a box's, which a test moves.
type clock struct {
	mu     sync.Mutex
	now    collectors.Stamp
	boot   string
	offset int64
	sure   bool
}

func (c *clock) Now() collectors.Stamp { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) Boot() string          { c.mu.Lock(); defer c.mu.Unlock(); return c.boot }
func (c *clock) Offset() (int64, bool) { c.mu.Lock(); defer c.mu.Unlock(); return c.offset, c.sure }
func (c *clock) pass(d time.Duration)  { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

const wall = 1_790_000_000_000

func newClock() *clock { return &clock{now: 1000, boot: "a", offset: wall, sure: true} }

// restart begins a new boot after so much time, with a clock that shows so much more.
func (c *clock) restart(after, off time.Duration, sure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := int64(c.now) + c.offset + after.Milliseconds() + off.Milliseconds()
	c.now, c.boot, c.sure = 500, c.boot+"+", sure
	c.offset = at - 500
}

type everybody struct{ but netip.Addr }

func (e everybody) Sender(a netip.Addr) (string, bool) { return "", a != e.but }

var backup = Job{Name: "backup", Device: "nas", Every: 24 * time.Hour, Grace: time.Hour, Token: "hush-hush"}

// rig is a server with its book.
type rig struct {
	t     *testing.T
	clock *clock
	path  string
	book  *Book
	url   string
	stop  func()
	srv   *Server
}

func newRig(t *testing.T, sources everybody) *rig {
	t.Helper()
	r := &rig{t: t, clock: newClock(), path: filepath.Join(t.TempDir(), "heartbeats.json")}
	r.open()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + l.Addr().String() + "/heartbeat/"
	r.srv = NewServer(Config{Jobs: []Job{backup}}, Options{Listener: l, Sources: sources, Book: r.book, Clock: r.clock, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.srv.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.book, err = OpenBook(r.path, r.clock); err != nil {
		r.t.Fatal(err)
	}
	if err := r.book.Keep([]Job{backup}); err != nil {
		r.t.Fatal(err)
	}
}

// call calls and returns the status.
func (r *rig) call(method, what, header string) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+what, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if strings.Contains(string(b), "hush") {
		r.t.Errorf("the answer says the token: %s", b)
	}
	return resp.StatusCode
}

// want compares what the collector tells, as probe_success and its reason.
func (r *rig) want(what, success, reason string) {
	r.t.Helper()
	var got []collectors.Batch
	if err := NewCollector(backup, r.book).Collect(r.t.Context(), func(b collectors.Batch) { got = append(got, b) }); err != nil || len(got) != 1 {
		r.t.Fatalf("%s: %v, %d batches", what, err, len(got))
	}
	s, w := got[0].Values[0].Format(collectors.State), got[0].Values[1].Text()
	if s != success || w != reason {
		r.t.Errorf("%s: success %q, reason %q; want %q, %q", what, s, w, success, reason)
	}
}

func TestReports(t *testing.T) {
	r := newRig(t, everybody{})
	for _, c := range []struct {
		method, what, header string
		want                 int
	}{
		{"GET", "backup/hush-hush", "", 204},
		{"POST", "backup", "Authorization: Bearer hush-hush", 204},
		{"POST", "backup", "X-Token: hush-hush", 204},
		{"POST", "backup?status=fail&message=disk%0Afull", "X-Token: hush-hush", 204},
		{"GET", "backup/hush-hush?status=maybe", "", 400},
		{"GET", "backup/hush-hush?message=" + strings.Repeat("x", maxReferred), "", 400},
		{"GET", "backup/wrong", "", 404},
		{"GET", "backup", "", 404},
		{"GET", "other/hush-hush", "", 404},
		{"GET", "", "", 404},
		{"PUT", "backup/hush-hush", "", 405},
	} {
		if got := r.call(c.method, c.what, c.header); got != c.want {
			t.Errorf("%s %.60s: %d, want %d", c.method, c.what, got, c.want)
		}
	}
	if s := r.srv.Stats(); s.Reports != 4 || s.Refused[errWrong.Error()] != 4 {
		t.Errorf("counted %+v", s)
	}
	r.want("the last said fail", "0", "heartbeat: job reported failure")
	if m := r.book.state("backup").message; m != "disk?full" {
		t.Errorf("message %q", m)
	}
}

// What a job is from its first day on, over restarts of the program and of the box.
func TestAJobsLife(t *testing.T) {
	r := newRig(t, everybody{})
	r.want("new", "", "")
	r.clock.pass(26 * time.Hour)
	r.want("never came", "0", "heartbeat: never came")
	if got := r.call("POST", "backup/hush-hush", ""); got != 204 {
		t.Fatal(got)
	}
	r.want("came", "1", "")
	r.clock.pass(24*time.Hour + 30*time.Minute)
	r.want("in its grace", "1", "")
	r.open()
	r.want("the program was started again", "1", "")
	r.clock.pass(31 * time.Minute)
	r.want("late", "0", "heartbeat: overdue")
	if got := r.call("POST", "backup/hush-hush", ""); got != 204 {
		t.Fatal(got)
	}
	r.clock.restart(2*time.Hour, 0, true)
	r.open()
	r.want("the box was started again", "1", "")
	r.clock.restart(time.Hour, 1000*time.Hour, false)
	r.want("and its clock is not right yet", "", "")
	r.clock.restart(0, -1000*time.Hour, true)
	r.want("now it is", "1", "")
	r.clock.restart(0, -1000*time.Hour, false)
	r.want("a clock that went back", "1", "")
	if err := r.book.Keep(nil); err != nil {
		t.Fatal(err)
	}
	if err := NewCollector(backup, r.book).Collect(t.Context(), func(collectors.Batch) { t.Error("a batch") }); err == nil {
		t.Error("a job that is gone is collected")
	}
}

func TestStrangersAreNotHeard(t *testing.T) {
	r := newRig(t, everybody{but: netip.MustParseAddr("127.0.0.1")})
	if got := r.call("POST", "backup/hush-hush", ""); got != 403 {
		t.Errorf("%d, want 403", got)
	}
}

// Guessing and calling without end are both bounded, and cost no writes.
func TestTooManyCalls(t *testing.T) {
	r := newRig(t, everybody{})
	taken := 0
	for range 12 {
		if r.call("POST", "backup/hush-hush", "") == 204 {
			taken++
		}
	}
	if taken != int(perJob.Burst) {
		t.Errorf("%d calls of one job taken, want %v", taken, perJob.Burst)
	}
	refused := 0
	for i := range 40 {
		if r.call("POST", fmt.Sprintf("backup/guess-%d", i), "") == 429 {
			refused++
		}
	}
	if want := 40 + 12 - int(perCaller.Burst); refused != want {
		t.Errorf("%d guesses refused unseen, want %d", refused, want)
	}
	r.clock.pass(time.Hour)
	if got := r.call("POST", "backup/hush-hush", ""); got != 204 {
		t.Errorf("an hour later: %d", got)
	}
}

// A caller that says nothing, drips or sends without end keeps nobody else from being
// heard, and is gone when the server stops.
func TestHostileCallers(t *testing.T) {
	r := newRig(t, everybody{})
	address := strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/heartbeat/")
	for _, says := range []string{"", "POST /heartbeat/backup HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\nabc", "\x16\x03\x01garbage\r\n\r\n",
		"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\n\r\n"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, _ = io.WriteString(conn, says)
	}
	if got := r.call("POST", "backup/hush-hush", ""); got != 204 {
		t.Errorf("%d beside hostile callers", got)
	}
	start := time.Now()
	r.stop()
	if took := time.Since(start); took > 2*callTime {
		t.Errorf("stopping took %v", took)
	}
}

func TestADamagedBookIsBegunAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heartbeats.json")
	for _, text := range []string{"{", "[]", "null", `{"a":null}`, strings.Repeat(" ", maxBook+1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := OpenBook(path, newClock())
		if (err == nil) != (text == "null" || strings.Contains(text, "a")) {
			t.Errorf("%.10q: %v", text, err)
		}
		if err := b.Keep([]Job{backup}); err != nil {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, cfg := range map[string]Config{
		"":                      {Listen: ":9180", Jobs: []Job{backup}},
		"listen: is missing":    {Jobs: []Job{backup}},
		"listen: must be :port": {Listen: "9180"},
		"listen: systemd hands": {Listen: "systemd"},
		"jobs: at most 200":     {Listen: ":9180", Jobs: make([]Job, 201)},
	} {
		if err := cfg.Validate(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, change := range map[string]func(*Job){
		"":              func(*Job) {},
		"name: must be": func(j *Job) { j.Name = "a/b" },
		"every: must":   func(j *Job) { j.Every = time.Second },
		"grace: must":   func(j *Job) { j.Grace = -1 },
		"token: is":     func(j *Job) { j.Token = "qqq" },
		"token: must":   func(j *Job) { j.Token = "zz\tzzzzzzz" },
	} {
		j := backup
		change(&j)
		err := j.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), j.Token.Reveal()) && j.Token != backup.Token {
			t.Errorf("%v says the token", err)
		}
	}
}

func TestConformance(t *testing.T) {
	collectortest.Run(t, func(t *testing.T) collectortest.Subject {
		b, err := OpenBook(filepath.Join(t.TempDir(), "heartbeats.json"), newClock())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Keep([]Job{backup}); err != nil {
			t.Fatal(err)
		}
		if err := b.report("backup", true, "disk full"); err != nil {
			t.Fatal(err)
		}
		return collectortest.Subject{Collector: NewCollector(backup, b), Source: backup.Source(), Secrets: []string{backup.Token.Reveal()}}
	})
}
