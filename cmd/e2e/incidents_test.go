package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/diagnosis/sitetest"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// TestIncidents breaks sites and asks what the hub was told: see doc.go. All labs are at
// work at once, however few processors there are: they mostly wait.
func TestIncidents(t *testing.T) {
	cases := map[string]func(*testing.T){"core": testCoreDies, "device": testDeviceDies}
	for _, u := range uplinks {
		cases[u.name] = func(t *testing.T) { testUplinkDies(t, u) }
	}
	var wg sync.WaitGroup
	for name, test := range cases {
		wg.Go(func() { t.Run(name, test) })
	}
	wg.Wait()
}

// testCoreDies: one incident, and no other device is called down.
func testCoreDies(t *testing.T) {
	const behind = 40
	l := newLab(t, behind, "gateway")
	l.CoreSwitchDown()
	eventually(t, l.pace.patience, "the hub has the core's incident, with all that it affects", func() bool {
		got := l.atHub()
		return len(got) == 1 && got[0].Kind == "device_down" && got[0].Source == "device/core" && got[0].Closed == nil && got[0].AtHub == float64(behind+1)
	})
	eventually(t, l.pace.patience, "the devices behind it are unknown", func() bool {
		hidden := map[string]bool{}
		for _, e := range l.edges() {
			hidden[e.Source] = e.State == incident.Unknown && e.Why == incident.WhyParent && strings.HasPrefix(e.Incident, "device/core@")
		}
		n := 0
		for _, is := range hidden {
			if is {
				n++
			}
		}
		return n == behind
	})
	if down := l.down(); !slices.Equal(down, []string{"device/core"}) {
		t.Errorf("called down: %v", down)
	}
	if got := l.atHub(); len(got) != 1 {
		t.Errorf("incidents: %+v", got)
	}
	if logged, posted := l.heard.told("device_down"); logged != 1 || posted != 1 {
		t.Errorf("%d notices by syslog and %d by webhook, not one each", logged, posted)
	}
}

// testDeviceDies: a device and the service on it are one incident, also where the probe is
// killed in the middle of it.
func testDeviceDies(t *testing.T) {
	l := newLab(t, 0, "gateway", "server", "nvr")
	begun := time.Now()
	undo := l.HostDown("nvr")
	broken := time.Now()
	eventually(t, min(l.pace.patience, 3*time.Minute), "the hub has the incident", func() bool {
		got := l.atHub()
		return len(got) == 1 && got[0].Source == "device/nvr" && got[0].Closed == nil
	})
	first := l.atHub()[0]
	t.Logf("known at the hub %v after the fault", time.Since(broken).Round(time.Second))
	eventually(t, l.pace.patience, "the service is down with it", func() bool { return slices.Contains(l.down(), "check/recordings") })

	l.probe.kill9()
	killed := time.Now()
	<-time.After(l.pace.poll) // so that it is missed
	l.probe.start()
	started := time.Now()
	eventually(t, l.pace.patience, "the probe knows the incident again", func() bool {
		got := l.atBox(false)
		return len(got) == 1 && got[0].ID == first.ID
	})
	eventually(t, l.pace.patience, "the device is down again by what was seen since", func() bool {
		es := l.edges()
		i := slices.IndexFunc(es, func(e incident.Edge) bool {
			return e.Source == "device/nvr" && e.State == incident.Down && time.UnixMilli(int64(e.At)).After(killed)
		})
		return i >= 0
	})
	undo()
	mended := time.Now()
	eventually(t, 2*l.pace.patience, "the hub knows that it is over", func() bool {
		got := l.atHub()
		return len(got) == 1 && got[0].ID == first.ID && got[0].Closed != nil
	})
	_, changes := l.story()
	opens, closes := 0, 0
	for _, c := range changes {
		opens, closes = opens+number(c.What == incident.Open), closes+number(c.What == incident.Close)
	}
	if opens != 1 || closes != 1 {
		t.Errorf("%d opens and %d closes: %+v", opens, closes, changes)
	}
	if down := l.down(); len(down) != 2 {
		t.Errorf("called down: %v", down)
	}
	l.within("closed", *l.atHub()[0].Closed, mended, l.pace.poll)
	l.within("since", first.Since, broken, l.pace.poll)

	s := l.service("NVR", begun)
	lost := started.Sub(killed)
	l.near("down by the customer", s.Down["customer"], mended.Sub(broken)-lost, 4*l.pace.poll)
	l.near("not measured", s.Seconds["unmeasured"], lost, 4*l.pace.poll)
	if s.Seconds["unmeasured"] < lost.Seconds()-2 {
		t.Errorf("%v s are unmeasured, and the probe was dead for %v", s.Seconds["unmeasured"], lost)
	}
	if isp := s.Down["isp"] + s.Down["msp"] + s.Down["undetermined"]; isp != 0 {
		t.Errorf("%v s are down by others", isp)
	}
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// death is a way in which the line dies, and what that is to be called.
type death struct {
	name, cause, owner string
	breaks             sitetest.Fault
	noLAN              bool // nobody on the LAN can be told either
}

var uplinks = []death{
	{"access", "ACCESS_DOWN", "isp", (*sitetest.Site).AccessDown, false},
	{"gateway", "GW_DOWN", "customer", (*sitetest.Site).GatewayDead, false},
	{"unplugged", "LINK_DOWN", "customer", (*sitetest.Site).UnplugBox, true},
}

// testUplinkDies: no device is called down; one incident of the line, known on the site
// while it lasts, and at the hub afterwards as if it had been there.
func testUplinkDies(t *testing.T, u death) {
	l := newLab(t, 0, "gateway", "server")
	begun := time.Now()
	undo := u.breaks(l.Site)
	broken := time.Now()
	var diagnosed func()
	if u.name == "access" {
		diagnosed = l.diagnose(u.cause)
	}
	var known labIncident
	eventually(t, max(l.pace.patience, 90*time.Second), "the box knows that the line is down", func() bool {
		got := l.atBox(false)
		if len(got) != 1 {
			return false
		}
		known = got[0]
		return known.Kind == "line_down" && known.Cause == u.cause
	})
	t.Logf("known on the box %v after the fault", time.Since(broken).Round(time.Second))
	if known.Owner != u.owner {
		t.Errorf("whose it is: %s", known.Owner)
	}
	if !u.noLAN {
		eventually(t, l.pace.patience, "the LAN was told", func() bool {
			logged, posted := l.heard.told(u.cause)
			return logged == 1 && posted == 1
		})
	}
	if got := l.atHub(); len(got) != 0 {
		t.Errorf("the line is down, and the hub knows: %+v", got)
	}
	if diagnosed != nil {
		diagnosed()
		l.testDiagnoseJSON(u.cause)
	}
	undo()
	mended := time.Now()
	eventually(t, max(2*l.pace.patience, 2*time.Minute), "the hub has it all", func() bool {
		got := l.atHub()
		return len(got) == 1 && got[0].Closed != nil
	})
	t.Logf("over at the hub %v after it was mended", time.Since(mended).Round(time.Second))
	got := l.atHub()[0]
	if got.ID != known.ID || got.Owner != u.owner || got.Cause != u.cause || got.Evidence == "" {
		t.Errorf("the hub has %+v, the box had %+v", got, known)
	}
	_, changes := l.story()
	if len(changes) < 2 || changes[0].What != incident.Open || changes[len(changes)-1].What != incident.Close {
		t.Errorf("what the hub was told: %+v", changes)
	}
	if down := l.down(); !slices.Equal(down, []string{incident.Line}) {
		t.Errorf("called down: %v", down)
	}
	if u.noLAN {
		eventually(t, l.pace.patience, "the LAN was told when it was there again", func() bool {
			_, posted := l.heard.told(u.cause)
			return posted >= 1
		})
	}
	const look = 10 * time.Second // between two looks, and how long one may take
	whole := l.whole(mended)
	l.within("since", got.Since, broken, look)
	l.within("closed", *got.Closed, whole, 2*look)
	l.near("down by its owner", l.service("Internet", begun).Down[u.owner], whole.Sub(broken), 2*look)
	l.testEvidence(got.Evidence)
}

// whole is when the line was whole again that was mended at a time: with the probe's
// session, which is part of it. One that has died meanwhile is found by its keepalive.
func (l *lab) whole(mended time.Time) time.Time {
	l.probe.mu.Lock()
	defer l.probe.mu.Unlock()
	for _, x := range l.probe.lines {
		if x.at.After(mended) && strings.Contains(x.text, "the uplink is up") {
			return x.at
		}
	}
	return mended
}

// within asks that something is said to have been at most so much after it was.
func (l *lab) within(what string, said, was time.Time, most time.Duration) {
	l.t.Helper()
	if d := said.Sub(was); d < -2*time.Second || d > most+5*time.Second {
		l.t.Errorf("%s: %v, %v after it was", what, said.Format(time.TimeOnly), d)
	}
}

func (l *lab) near(what string, seconds float64, want, by time.Duration) {
	l.t.Helper()
	if d := time.Duration(seconds*float64(time.Second)) - want; d.Abs() > by {
		l.t.Errorf("%s: %v s, and it was %v", what, seconds, want.Round(time.Second))
	}
}

// labService is a service as `siteprobe sla --json` tells it.
type labService struct {
	Name       string             `json:"name"`
	Seconds    map[string]float64 `json:"seconds"`
	Down       map[string]float64 `json:"down_seconds"`
	Resolution float64            `json:"resolution_seconds"`
}

// service asks for the service level since a time.
func (l *lab) service(name string, from time.Time) labService {
	l.t.Helper()
	out, stderr, code := run(l.t, "siteprobe", "sla", "--json", "--from", from.UTC().Format(time.RFC3339), "-c", l.siteFile())
	var all []struct {
		Services []labService `json:"services"`
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil || code > 1 || len(all) != 1 {
		l.t.Fatalf("sla: %v, %d %s", err, code, stderr)
	}
	i := slices.IndexFunc(all[0].Services, func(s labService) bool { return s.Name == name })
	if i < 0 {
		l.t.Fatalf("sla knows no %s: %s", name, out)
	}
	l.t.Logf("%s: %+v", name, all[0].Services[i])
	return all[0].Services[i]
}

// testEvidence: it holds, and does not once a byte was flipped.
func (l *lab) testEvidence(name string) {
	l.t.Helper()
	path := filepath.Join(l.dir, "evidence", name+".jsonl")
	key, _, code := run(l.t, "siteprobe", "evidence", "key", "-c", l.siteFile())
	if code != 0 {
		l.t.Fatalf("evidence key: %d", code)
	}
	verify := func(path string) (out string, code int) {
		out, stderr, code := run(l.t, "siteprobe", "evidence", "verify", path, "--key", strings.TrimSpace(key))
		return out + stderr, code
	}
	if out, code := verify(path); code != 0 || !strings.Contains(out, "the same verdict") {
		l.t.Errorf("evidence verify: %d\n%s", code, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, at := range []int{len(b) / 3, len(b) / 2} {
		edited := slices.Clone(b)
		edited[at] ^= 1
		copied := filepath.Join(l.dir, fmt.Sprintf("edited-%d.jsonl", at))
		if err := os.WriteFile(copied, edited, 0o600); err != nil {
			l.t.Fatal(err)
		}
		if out, code := verify(copied); code != 1 {
			l.t.Errorf("octet %d was flipped, and evidence verify ends with %d\n%s", at, code, out)
		}
	}
}

// diagnose starts a diagnosis; what it returns waits for its end. Stages come as they
// finish, then the verdict in a sentence.
func (l *lab) diagnose(want string) (await func()) {
	l.t.Helper()
	cmd := l.Box().Command(program(l.t, "siteprobe"), "diagnose", "-c", l.siteFile())
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	var lines []line
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines = append(lines, line{s.Text(), time.Now()})
		}
	}()
	return func() {
		l.t.Helper()
		<-read
		_ = cmd.Wait() // the code is looked at
		l.testStream(lines, cmd.ProcessState.ExitCode(), want)
	}
}

func (l *lab) testStream(lines []line, code int, want string) {
	l.t.Helper()
	stages := slices.IndexFunc(lines, func(x line) bool { return x.text == "" })
	if code != 1 || stages < 5 || len(lines) < stages+2 || !strings.HasPrefix(lines[stages+1].text, want+": ") {
		l.t.Fatalf("diagnose: %d %+v", code, lines)
	}
	if took := lines[stages].at.Sub(lines[0].at); took < time.Second {
		l.t.Errorf("all stages were shown within %v, not as they finish", took)
	}
	l.t.Log(lines[stages+1].text)
}

func (l *lab) testDiagnoseJSON(want string) {
	l.t.Helper()
	out, err := l.Box().Command(program(l.t, "siteprobe"), "diagnose", "--json", "-c", l.siteFile()).Output()
	var d struct {
		Verdict, Owner, Confidence string
		Since                      *time.Time
		Stages                     []struct {
			Name   string
			OK     *bool
			Detail *string
			TookMS *int64 `json:"took_ms"`
		}
	}
	if e := json.Unmarshal(out, &d); e != nil {
		l.t.Fatalf("diagnose --json: %v, %v: %s", err, e, out)
	}
	if d.Verdict != want || d.Owner == "" || d.Confidence == "" || d.Since == nil || len(d.Stages) < 5 {
		l.t.Errorf("diagnose --json: %s", out)
	}
	for _, s := range d.Stages {
		if s.Name == "" || s.Detail == nil || s.TookMS == nil {
			l.t.Errorf("a stage: %+v", s)
		}
	}
}
