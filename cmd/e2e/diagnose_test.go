package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/diagnosis/sitetest"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// labSite writes the site file of a lab's box.
func labSite(t *testing.T, s *sitetest.Site) (file string) {
	t.Helper()
	dir := t.TempDir()
	community := filepath.Join(dir, "community")
	var b strings.Builder
	fmt.Fprintf(&b, "site: {id: site, tenant: lab, wan: {isp: Labnet, circuit: L-1}}\nscope: {managed: [192.168.77.0/24]}\n")
	fmt.Fprintf(&b, "credentials: [{name: lan, snmp: {version: 2c, community: {file: %s}}}]\ndefaults: {interval: 10s, timeout: 2s, credentials: [lan]}\n", community)
	fmt.Fprintf(&b, "devices: [{name: gw, address: %s, owner: isp, watch: [wan]}, {name: nvr, address: %s, parent: gw}]\n", s.Gateway.V4, s.NVR.V4)
	fmt.Fprintf(&b, "topology: {interval: 0s}\nbuffer: {path: %s, commit: 1s}\n", filepath.Join(dir, "buffer.db"))
	fmt.Fprintf(&b, "uplink: {servers: [%q], tls: {ca: %s, cert: %s, key: %s}, backoff: {min: 500ms, max: 5s, herd: 1s}}\n", sitetest.BrokerURL, s.TLS.CA, s.TLS.Cert, s.TLS.Key)
	fmt.Fprintf(&b, "diagnosis:\n  heartbeat: 5s\n  survey: 1m\n  anchors:\n")
	for i, a := range s.Anchors {
		fmt.Fprintf(&b, "    - {provider: p%d, address4: %s, address6: %q, tcp: 443, dns: true}\n", i, a.V4, a.V6.String())
	}
	fmt.Fprintf(&b, "  resolvers: [%s, %s]\n  ntp: [%s, %s, %s]\n", s.PublicResolver.V4, s.Anchors[1].V4, s.NTP[0].V4, s.NTP[1].V4, s.NTP[2].V4)
	fmt.Fprintf(&b, "  portal: [{url: %q, body: %q}]\n", sitetest.PortalURL, sitetest.PortalBody)
	fmt.Fprintf(&b, "  names: {canary: portal.lab.test, addresses: [%s], signed: signed.lab.test, bogus: bogus.lab.test, random: lab.test}\n", s.Portal.V4)
	file = filepath.Join(dir, "siteprobe.yaml")
	for path, text := range map[string]string{file: b.String(), community: "public\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// TestDaemonDiagnoses breaks a site around a running daemon: what broke stands in its
// status within a minute, is over when it is mended, and leaves evidence that holds.
func TestDaemonDiagnoses(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	s := sitetest.New(t, sitetest.Options{})
	if err := s.StartHub(program(t, "siteprobe-hub")); err != nil {
		t.Fatal(err)
	}
	file := labSite(t, s)
	dir := filepath.Dir(file)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := s.Box().Command(program(t, "siteprobe"), "run", "-c", file)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("the daemon said:\n%s", b[max(0, len(b)-8000):])
		}
	})
	accepted := func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "diagnosis.json"))
		var base diagnosis.Baseline
		return err == nil && json.Unmarshal(b, &base) == nil && base.Good >= 3
	}
	if !until(3*time.Minute, accepted) {
		t.Fatal("the site is not accepted")
	}
	is := func(code diagnosis.Code) func() bool {
		return func() bool {
			out, _, _ := run(t, "siteprobe", "status", "--json", "-c", file)
			var st wire.Status
			return json.Unmarshal([]byte(out), &st) == nil && st.Verdict != nil && *st.Verdict == string(code)
		}
	}
	for _, c := range []struct {
		breaks func() func()
		code   diagnosis.Code
	}{{s.AccessDown, diagnosis.AccessDown}, {s.BrokerAuthRefused, diagnosis.AuthRefused}, {s.HubStall, diagnosis.HubStall}} {
		start := time.Now()
		undo := c.breaks()
		if !until(2*time.Minute, is(c.code)) {
			t.Errorf("it does not become %s", c.code)
		}
		t.Logf("%s after %v", c.code, time.Since(start).Round(time.Second))
		if c.code == diagnosis.AccessDown {
			diagnoseIn(t, s, file)
		}
		undo()
		start = time.Now()
		if !until(2*time.Minute, is(diagnosis.OK)) {
			t.Errorf("%s is not over", c.code)
		}
		t.Logf("over after %v", time.Since(start).Round(time.Second))
	}
	checkEvidence(t, filepath.Join(dir, "evidence"), file)
}

// diagnoseIn asks in the box while the line is down.
func diagnoseIn(t *testing.T, s *sitetest.Site, file string) {
	t.Helper()
	out, err := s.Box().Command(program(t, "siteprobe"), "diagnose", "--json", "-c", file).Output()
	var d struct {
		diagnosis.Verdict
		Since  *string
		Stages []struct{ Name string }
	}
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 1 {
		t.Errorf("diagnose: %v", err)
	}
	if err := json.Unmarshal(out, &d); err != nil || d.Code != diagnosis.AccessDown || d.Owner != diagnosis.ISP || d.Since == nil || len(d.Stages) < 12 || !strings.Contains(d.Sentence, "Labnet (circuit L-1)") {
		t.Errorf("%v: %s", err, out)
	}
}

func checkEvidence(t *testing.T, folder, file string) {
	t.Helper()
	key, _, code := run(t, "siteprobe", "evidence", "key", "-c", file)
	if code != 0 {
		t.Fatal("no key")
	}
	files, _ := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if len(files) != 3 {
		t.Errorf("%d outages left evidence, want 3", len(files))
	}
	for _, f := range files {
		out, why, code := run(t, "siteprobe", "evidence", "verify", f, "--key", strings.TrimSpace(key))
		if code != 0 {
			t.Errorf("%s: %s", f, why)
		}
		t.Log(out)
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, code := run(t, "siteprobe", "evidence", "verify", f); code != 1 {
			t.Errorf("a flipped bit: exit %d", code)
		}
	}
}

// until asks again and again, for so long at most.
func until(most time.Duration, ok func() bool) bool {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	over := time.After(most)
	for !ok() {
		select {
		case <-over:
			return ok()
		case <-tick.C:
		}
	}
	return true
}
