package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// probeName is the site of these tests.
const probeName = "northwind/e2e"

// rig is a site and its MSP on this machine: agents, a probe, a broker (mosquitto,
// or the hub's own) and a hub.
type rig struct {
	t      *testing.T
	dir    string
	site   site
	fleet  *fleet
	ledger *ledger
	broker *uplinktest.Mosquitto // nil: the hub's own
	line   *uplinktest.Proxy     // between the probe and the broker
	probe  *process
	hub    *process
}

// site is what differs between the site files of these tests.
type site struct {
	ack      string
	interval time.Duration // of the devices
	commit   time.Duration
	more     string // further lines
}

// quiet is an interval within which a test is over: what is polled so is polled
// once after a start.
const quiet = 24 * time.Hour

// lineDelay is the line's, each way. It keeps blocks and acknowledgements under way
// for long enough that kills meet them there.
const lineDelay = 100 * time.Millisecond

// newRig makes a rig in which nothing but the broker runs yet.
func newRig(t *testing.T, devices int, embedded bool) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), fleet: newFleet(t, devices), ledger: newLedger()}
	hubArgs := []string{"run", "--data", r.hubDir(), "--http", "", "--log-level", "debug"}
	var addr string
	if embedded {
		addr = freeAddr(t)
		hubArgs = append(hubArgs, "--listen", addr)
	} else {
		r.broker = uplinktest.StartMosquitto(t)
		addr = r.broker.Addr()
		hubArgs = append(hubArgs, "--broker", r.broker.URL("mqtt"))
	}
	r.line = uplinktest.NewProxy(t, addr)
	r.line.SetDelay(lineDelay)
	r.site = site{ack: "hub", interval: time.Second, commit: 50 * time.Millisecond}
	r.hub = newProcess(t, "siteprobe-hub", hubArgs...)
	r.probe = newProcess(t, "siteprobe", "run", "-c", r.siteFile(), "--log-level", "debug")
	r.probe.onLine = r.ledger.line
	if err := os.WriteFile(filepath.Join(r.dir, "community"), []byte(community+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.writeSite()
	return r
}

func (r *rig) siteFile() string { return filepath.Join(r.dir, "siteprobe.yaml") }
func (r *rig) bufferDB() string { return filepath.Join(r.dir, "buffer.db") }
func (r *rig) hubDir() string   { return filepath.Join(r.dir, "hub") }
func (r *rig) hubDB() string    { return filepath.Join(r.hubDir(), "hub.db") }

// freeAddr gives a loopback address on which nothing listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// writeSite writes the site file; a probe that runs learns of it with reload.
func (r *rig) writeSite() {
	r.t.Helper()
	var b strings.Builder
	tenant, id, _ := strings.Cut(probeName, "/")
	fmt.Fprintf(&b, "site: {id: %s, tenant: %s}\ndiagnosis: {heartbeat: 0s}\n", id, tenant)
	fmt.Fprintf(&b, "scope: {managed: [127.0.0.0/8]}\n")
	fmt.Fprintf(&b, "credentials:\n  - {name: lan, snmp: {version: 2c, community: {file: %[1]s}}}\n"+
		"  - {name: core, snmp: {version: 3, username: core, auth_protocol: SHA256, auth_password: {file: %[1]s}, priv_protocol: AES, priv_password: {file: %[1]s}}}\n",
		filepath.Join(r.dir, "community"))
	fmt.Fprintf(&b, "defaults: {interval: %v, timeout: 500ms, retries: 1, credentials: [lan]}\n", quiet)
	fmt.Fprintf(&b, "devices:\n")
	for _, a := range r.fleet.agents {
		fmt.Fprintf(&b, "  - {name: %s, address: %s, interval: %v}\n", a.name, a.addr, r.site.interval)
	}
	fmt.Fprintf(&b, "buffer: {path: %s, commit: %v}\n", r.bufferDB(), r.site.commit)
	fmt.Fprintf(&b, "uplink: {servers: [%q], ack: %s, format: block, backoff: {min: 50ms, max: 500ms, herd: 100ms}}\n", r.line.URL(), r.site.ack)
	fmt.Fprintf(&b, "limits: {spread: 1s}\n%s", r.site.more)
	// As an editor does it: the probe never sees half a file.
	tmp := r.siteFile() + ".new"
	if err := os.WriteFile(tmp, []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, r.siteFile()); err != nil {
		r.t.Fatal(err)
	}
}

// reload puts the site file in force while the probe runs.
func (r *rig) reload() {
	r.t.Helper()
	r.writeSite()
	r.probe.mustAwait("siteprobe runs", r.probe.begin) // a process that has just begun knows no signals yet
	from := r.probe.mark()
	r.probe.signal(syscall.SIGHUP)
	r.probe.mustAwait("the site file is in force", from)
}

// pending asks the probe how many readings wait; -1 when it does not say.
func (r *rig) pending() int64 {
	out, _, _ := run(r.t, "siteprobe", "status", "--json", "-c", r.siteFile())
	var s wire.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Site == "" || len(s.Trouble) > 0 && strings.Contains(out, "the buffer cannot be read") {
		return -1
	}
	return s.Buffer.PendingReadings
}

// verify asks the hub what it can prove; nil when it knows nothing yet.
func (r *rig) verify() *hub.Proof {
	out, _, _ := run(r.t, "siteprobe-hub", "verify", "--json", "--data", r.hubDir(), "--site", probeName)
	var p hub.Proof
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		return nil
	}
	return &p
}

// drain makes the devices quiet and waits until the probe has nothing left.
func (r *rig) drain() {
	r.t.Helper()
	r.site.interval = quiet
	r.reload()
	// Each source is polled once more within the spread of a second; a commit later
	// the log shows that nothing comes any more.
	last := time.Now()
	eventually(r.t, patience, "the devices are quiet", func() bool {
		if b := r.ledger.since(last); len(b) > 0 {
			last = b[len(b)-1].at
		}
		return time.Since(last) > 2500*time.Millisecond
	})
	eventually(r.t, 2*patience, "nothing is pending on the box", func() bool {
		if r.probe.ended() {
			r.t.Fatal("the probe ended by itself, or somebody else ended it")
		}
		return r.pending() == 0
	})
}
