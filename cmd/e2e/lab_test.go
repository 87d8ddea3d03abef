package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis/sitetest"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// lab is a site with a probe in it, and its MSP's hub.
type lab struct {
	*sitetest.Site
	t     *testing.T
	dir   string
	pace  pace
	probe *process
	page  *http.Client
	heard *listener
}

// pace is how quick all is in a lab.
type pace struct {
	poll, settle, patience time.Duration
}

// labPace is a pace at which a test is over in a minute and a half, and that of a
// customer's site where time is no matter.
func labPace() pace {
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		return pace{poll: time.Minute, settle: 3 * time.Minute, patience: 6 * time.Minute}
	}
	return pace{poll: 5 * time.Second, settle: 10 * time.Second, patience: patience}
}

// newLab makes a lab and waits until the hub knows that all is well in it. The devices
// are the host of these names and, where there are some, the core and those behind it.
func newLab(t *testing.T, behindCore int, hosts ...string) *lab {
	t.Helper()
	l := &lab{Site: sitetest.New(t, sitetest.Options{Devices: behindCore}), t: t, dir: t.TempDir(), pace: labPace()}
	l.page = l.HubPage()
	l.heard = listenOnLAN(t, l.Site)
	l.writeSite(hosts)
	if err := l.StartHub(program(t, "siteprobe-hub")); err != nil {
		t.Fatal(err)
	}
	l.probe = newProcess(t, "siteprobe")
	cmd := l.Box().Command(l.probe.path, "run", "-c", l.siteFile())
	l.probe.path, l.probe.args = cmd.Path, cmd.Args[1:] // ip becomes the program, so that a signal reaches it
	l.probe.start()
	l.probe.mustAwait("siteprobe runs", 0)
	l.awaitAllUp()
	return l
}

func (l *lab) siteFile() string { return filepath.Join(l.dir, "siteprobe.yaml") }

func (l *lab) writeSite(hosts []string) {
	l.t.Helper()
	community, secret := filepath.Join(l.dir, "community"), filepath.Join(l.dir, "secret")
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("site: {id: site, tenant: lab, wan: {isp: Lab Telecom, hotline: \"+49 800 1\"}}")
	line("scope: {managed: [192.168.77.0/24]}")
	line("credentials: [{name: lan, snmp: {version: 2c, community: {file: %s}}}]", community)
	line("defaults: {interval: %v, timeout: 1s, retries: 1, credentials: [lan]}", l.pace.poll)
	line("limits: {spread: 1s, backoff_after: 0}")
	line("topology: {interval: 0s}")
	line("devices:")
	for _, h := range hosts {
		line("  - {name: %s, address: %s}", h, map[string]sitetest.Host{"gateway": l.Gateway, "server": l.Server, "nvr": l.NVR}[h].V4)
	}
	if len(l.Devices) > 0 {
		line("  - {name: core, address: %s, parent: gateway}", l.Core.V4)
	}
	for i, d := range l.Devices {
		line("  - {name: device%d, address: %s, parent: core}", i+1, d.V4)
	}
	if slices.Contains(hosts, "nvr") {
		line("checks: [{name: recordings, device: nvr, http: {url: \"http://%s/\", status: [200]}}]", l.NVR.V4)
	}
	l.writeDiagnosis(line)
	line("buffer: {path: %s, commit: 1s}", filepath.Join(l.dir, "buffer.db"))
	line("uplink: {servers: [%q], backoff: {min: 100ms, max: 1s, herd: 200ms}, tls: {ca: %s, cert: %s, key: %s}}", sitetest.BrokerURL, l.TLS.CA, l.TLS.Cert, l.TLS.Key)
	line("incidents: {settle: %v}", l.pace.settle)
	line("notices: [{name: log, syslog: {server: %q, transport: udp}}, {name: hook, webhook: {url: \"http://%s/\", secret: {file: %s}}}]", l.heard.syslog, l.heard.web, secret)
	line("agreements: [{name: all, counts: [isp, msp, customer, undetermined], services: [{name: Internet, needs: [line]}, {name: NVR, needs: [device/nvr]}]}]")
	text := b.String()
	if !slices.Contains(hosts, "nvr") {
		text = strings.Replace(text, ", {name: NVR, needs: [device/nvr]}", "", 1)
	}
	for path, text := range map[string]string{community: "public\n", secret: "what both sides have, and nobody else\n", l.siteFile(): text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}

// writeDiagnosis asks what the lab has.
func (l *lab) writeDiagnosis(line func(format string, args ...any)) {
	line("diagnosis:")
	line("  heartbeat: 5s")
	line("  survey: 1m")
	line("  anchors:")
	for i, a := range l.Anchors {
		line("    - {provider: provider %d, address4: %s, address6: %q, tcp: 443, dns: true}", i+1, a.V4, a.V6)
	}
	line("  resolvers: [%s, %s, %s]", l.PublicResolver.V4, l.Anchors[1].V4, l.Anchors[2].V4)
	line("  ntp: [%s, %s, %s]", l.NTP[0].V4, l.NTP[1].V4, l.NTP[2].V4)
	line("  portal: [{url: %q, body: %q}]", sitetest.PortalURL, sitetest.PortalBody)
	line("  names: {canary: portal.lab.test, addresses: [%s], signed: signed.lab.test, bogus: bogus.lab.test, random: lab.test}", l.Portal.V4)
}

// awaitAllUp waits until the hub knows that the line and all devices are up.
func (l *lab) awaitAllUp() {
	l.t.Helper()
	want := len(l.Devices) + 2 // the line, and one host at least
	if len(l.Devices) > 0 {
		want++
	}
	up := map[string]bool{}
	defer func() {
		if l.t.Failed() {
			l.t.Logf("of %d, these are up or not: %v", want, up)
		}
	}()
	eventually(l.t, l.pace.patience, "the hub knows that all is up", func() bool {
		clear(up)
		for _, e := range l.edges() {
			up[e.Source] = e.State == incident.Up
		}
		for _, is := range up {
			if !is {
				return false
			}
		}
		return len(up) >= want && up[incident.Line]
	})
	if got := l.atHub(); len(got) != 0 {
		l.t.Fatalf("all is well, and the hub has incidents: %+v", got)
	}
}

// story is all events of incidents that the hub has.
func (l *lab) story() (edges []incident.Edge, changes []incident.Change) {
	l.t.Helper()
	st, err := store.Open(filepath.Join(l.HubData(), "hub.db"), store.Options{ReadOnly: true})
	if err != nil {
		return nil, nil // it has not begun
	}
	defer st.Close()
	events, err := st.EventsOf(context.Background(), sitetest.SiteName, incident.Source, 0, 10_000)
	if err != nil {
		return nil, nil
	}
	slices.SortStableFunc(events, func(a, b store.EventRecord) int { return int(a.T - b.T) })
	for i := range events {
		at := collectors.Stamp(events[i].T)
		if e, ok := incident.EdgeOf(&events[i].Event, at); ok {
			edges = append(edges, e)
		}
		if c, _, ok := incident.ChangeOf(&events[i].Event, at); ok {
			changes = append(changes, c)
		}
	}
	return edges, changes
}

func (l *lab) edges() []incident.Edge {
	l.t.Helper()
	es, _ := l.story()
	return es
}

// down lists the sources that the hub was ever told to be down.
func (l *lab) down() (out []string) {
	l.t.Helper()
	for _, e := range l.edges() {
		if e.State == incident.Down && !slices.Contains(out, e.Source) {
			out = append(out, e.Source)
		}
	}
	return out
}

// labIncident is one as the hub's page and `siteprobe incidents --json` tell it.
type labIncident struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Cause    string     `json:"cause"`
	Owner    string     `json:"owner"`
	Source   string     `json:"source"`
	Evidence string     `json:"evidence"`
	Opened   time.Time  `json:"opened"`
	Closed   *time.Time `json:"closed"`

	Since  time.Time `json:"since"` // at the hub: the first evidence
	First  time.Time `json:"first"` // on the box: the same
	AtHub  any       `json:"affected"`
	Number int       `json:"affected_count"` // on the box
}

// atHub asks the hub's page for incidents.
func (l *lab) atHub() (out []labIncident) {
	l.t.Helper()
	resp, err := l.page.Get("http://127.0.0.1/api/v1/sites/" + sitetest.SiteName + "/incidents")
	if err != nil {
		return nil // it is being started
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		l.t.Errorf("the hub's answer: %v", err)
	}
	return out
}

// atBox asks the probe for incidents; all are also those that are over.
func (l *lab) atBox(all bool) (out []labIncident) {
	l.t.Helper()
	args := []string{"incidents", "--json", "-c", l.siteFile()}
	if all {
		args = append(args, "--all")
	}
	stdout, stderr, code := run(l.t, "siteprobe", args...)
	if code > 1 {
		l.t.Logf("incidents: %d %s", code, stderr)
	}
	for d := json.NewDecoder(strings.NewReader(stdout)); ; {
		var x labIncident
		if err := d.Decode(&x); err != nil {
			return out
		}
		out = append(out, x)
	}
}

// listener hears notices in the LAN's server.
type listener struct {
	syslog, web string // where it listens

	mu    sync.Mutex
	lines []string // of syslog
	posts []string
}

func listenOnLAN(t *testing.T, s *sitetest.Site) *listener {
	t.Helper()
	h := &listener{}
	err := s.OnServer(func() error {
		udp, err := net.ListenPacket("udp", net.JoinHostPort(s.Server.V4.String(), "0"))
		if err != nil {
			return err
		}
		t.Cleanup(func() { udp.Close() })
		tcp, err := net.Listen("tcp", net.JoinHostPort(s.Server.V4.String(), "0"))
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(h.post), ReadTimeout: 5 * time.Second}
		t.Cleanup(func() { server.Close() })
		h.syslog, h.web = udp.LocalAddr().String(), tcp.Addr().String()
		go func() { _ = server.Serve(tcp) }() // ends with Close
		go h.read(udp)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *listener) read(conn net.PacketConn) {
	for buf := make([]byte, 64<<10); ; {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.lines = append(h.lines, string(buf[:n]))
		h.mu.Unlock()
	}
}

func (h *listener) post(_ http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts = append(h.posts, string(b))
}

// told tells how many notices by syslog and by webhook hold a text.
func (h *listener) told(text string) (logged, posted int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := func(all []string) (n int) {
		for _, s := range all {
			if strings.Contains(s, text) {
				n++
			}
		}
		return n
	}
	return count(h.lines), count(h.posts)
}
