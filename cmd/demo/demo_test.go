package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDemo runs the demo with a cut, as a user who looks at the page sees it.
func TestDemo(t *testing.T) {
	if _, err := os.Stat(defaultSnmpd); err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") != "" {
			t.Fatalf("SITEPROBE_REQUIRE is set: %v", err)
		}
		t.Skipf("net-snmp's agent is not installed: %v", err)
	}
	r := begin(t, "--for", "2m", "--cut-after", "3s", "--cut-for", "5s")
	if r.await(`(?m)^snmpd +net-snmp \d`) == "" {
		t.Error("net-snmp's agent is not named")
	}
	page := r.await(`http://127\.0\.0\.1:\d+/`)
	r.await(`connected, 3 of 3 devices answer`)
	mustShow(t, page, "demo/office")
	mustShow(t, page+"site/demo/office", "linux-v2c", "linux-v3", "switch", "hub-page", "hub-broker")

	r.await(`pending [\d,]+ readings`)
	r.await(`drained in \d+\.\d s`)
	if got := r.await(`verify: .*`); !strings.Contains(got, "verify: complete") || !strings.HasSuffix(got, " 0 lost") {
		t.Errorf("after the cut: %s", got)
	}
	mustKeepSecrets(t, r)
	r.cancel()
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestStandIn runs it as on a machine without snmpd, twice in one folder at once,
// and again after the first.
func TestStandIn(t *testing.T) {
	r := begin(t, "--snmpd", "none", "--for", "1m")
	r.await(`stand-in +a simulated device`)
	page := r.await(`http://127\.0\.0\.1:\d+/`)
	r.await(`connected, 2 of 2 devices answer`)
	mustShow(t, page+"site/demo/office", "stand-in", "switch")

	var out, errOut output
	if code := execute(t.Context(), []string{"--state", r.state, "--snmpd", "none"}, nil, &out, &errOut); code != 1 {
		t.Errorf("a second demo in the same folder: exit code %d", code)
	}
	if want := "running already (process " + strconv.Itoa(os.Getpid()) + ")"; !strings.Contains(errOut.String(), want) {
		t.Errorf("a second demo says %q, not %q", errOut.String(), want)
	}
	r.cancel()
	if code := r.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}

	again := beginIn(t, r.state, "--snmpd", "none", "--for", "1s")
	if code := again.wait(); code != 0 {
		t.Errorf("started again: exit code %d", code)
	}
}

// TestChildDies: a demo that is not whole says so, with what the program said.
func TestChildDies(t *testing.T) {
	r := begin(t, "--snmpd", "none", "--for", "1m")
	r.await(`q stops|SIGTERM or --for stops`)
	for _, pid := range r.children("siteprobe-hub") {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if code := r.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"hub stopped by itself (signal: killed)", "hub.log", "level=INFO"} {
		if !strings.Contains(r.errOut.String(), want) {
			t.Errorf("it says %q, without %q", r.errOut.String(), want)
		}
	}
}

// running is a demo that runs in this process.
type running struct {
	t           *testing.T
	state       string
	out, errOut output
	cancel      context.CancelFunc
	done        chan struct{}
	code        int
}

func begin(t *testing.T, args ...string) *running {
	t.Helper()
	return beginIn(t, filepath.Join(t.TempDir(), "state"), args...)
}

func beginIn(t *testing.T, state string, args ...string) *running {
	t.Helper()
	r := &running{t: t, state: state, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.code = execute(ctx, append([]string{"--state", state}, args...), nil, &r.out, &r.errOut)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
		if t.Failed() {
			t.Logf("it printed:\n%s%s", r.out.String(), r.errOut.String())
		}
		if left := r.children(""); len(left) > 0 {
			t.Errorf("processes %v are left running", left)
		}
	})
	return r
}

// await waits until the demo has printed something, and gives it.
func (r *running) await(pattern string) string {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(3 * time.Minute) // building without a cache takes its time
	for {
		text, more := r.out.read()
		if found := re.FindString(text); found != "" {
			return found
		}
		select {
		case <-more:
		case <-r.done:
			if text, _ := r.out.read(); re.MatchString(text) {
				return re.FindString(text)
			}
			r.t.Fatalf("it ended with code %d without %q", r.code, pattern)
		case <-late:
			r.t.Fatalf("it does not print %q", pattern)
		}
	}
}

func (r *running) wait() int {
	<-r.done
	return r.code
}

// children finds the processes that work in the demo's folder.
func (r *running) children(name string) (pids []int) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // gone
		}
		if s := string(b); strings.Contains(s, r.state) && strings.Contains(s, name) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err != nil {
				r.t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func mustShow(t *testing.T, url string, wanted ...string) {
	t.Helper()
	late := time.After(20 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		text := get(t, url)
		missing := ""
		for _, w := range wanted {
			if !strings.Contains(text, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-late: // the hub has what the probe has sent by now
			t.Errorf("%s does not show %q:\n%s", url, missing, text)
			return
		case <-tick.C:
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mustKeepSecrets looks for the secrets in everything that others may see.
func mustKeepSecrets(t *testing.T, r *running) {
	t.Helper()
	s, err := readSecrets(filepath.Join(r.state, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]string{"output": r.out.String() + r.errOut.String()}
	logs, err := filepath.Glob(filepath.Join(r.state, "logs", "*"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, f := range append(logs, filepath.Join(r.state, "site.yaml")) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		places[f] = string(b)
	}
	for place, text := range places {
		for _, secret := range []string{s.uplink, s.community, s.auth, s.priv} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret", place)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(r.state, "secrets", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, filepath.Join(r.state, "hub", "users"), filepath.Join(r.state, "snmpd", "snmpd.conf")) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
	}
}

// output collects what is printed and tells when there is more.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.text.Write(b)
}

func (o *output) read() (text string, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.text.String(), o.more
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}
