package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
	"github.com/siteprobe/siteprobe/collectors/topology"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// neighbours starts two switches that hear each other, and writes a site file that has
// them and a third device that is silent where asked for.
func neighbours(t *testing.T, silent bool) (site string) {
	t.Helper()
	const community = "canary-5150"
	dir := t.TempDir()
	file := filepath.Join(dir, "community")
	if err := os.WriteFile(file, []byte(community+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(chassis, other byte, at, remote int) string {
		mib := snmptest.Switch(4)
		set := func(oid string, v snmptest.Value) { mib.Set("1.0.8802.1.1.2.1."+oid, v) }
		set("3.1.0", snmptest.Integer(4))
		set("3.2.0", snmptest.Octets(string([]byte{2, 0, 0, 0, 9, chassis})))
		row := func(column int, v snmptest.Value) { set(fmt.Sprintf("4.1.1.%d.0.%d.1", column, at), v) }
		row(4, snmptest.Integer(4))
		row(5, snmptest.Octets(string([]byte{2, 0, 0, 0, 9, other})))
		row(6, snmptest.Integer(5))
		row(7, snmptest.Octets(fmt.Sprintf("Gi1/0/%d", remote)))
		row(12, snmptest.Octets("\x28\x00"))
		if chassis == 2 { // a host at its port 3
			mib.Set("1.3.6.1.2.1.17.4.3.1.2.0.17.50.0.0.1", snmptest.Integer(3))
			mib.Set("1.3.6.1.2.1.4.22.1.2.1.192.168.1.20", snmptest.Octets("\x00\x11\x32\x00\x00\x01"))
			mib.Set("1.3.6.1.2.1.4.22.1.2.1.192.168.1.21", snmptest.Octets("\x00\x11\x32\x00\x00\x02"))
		}
		a, err := snmptest.Listen("", snmptest.Config{MIB: mib, Community: community})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Close() })
		return a.Addr().String()
	}
	text := "site: {id: s, tenant: t, timezone: UTC, internet: none}\nscope: {managed: [127.0.0.1]}\n" +
		"credentials: [{name: lan, snmp: {version: 2c, community: {file: " + file + "}}}]\n" +
		"defaults: {credentials: [lan], timeout: 200ms, retries: 0}\n" +
		"devices:\n  - {name: sw1, address: \"" + start(1, 2, 4, 1) + "\"}\n  - {name: sw2, parent: sw1, address: \"" + start(2, 1, 1, 4) + "\"}\n"
	if silent {
		text += "  - {name: dead, address: \"127.0.0.1:1\"}\n"
	}
	text += "buffer: {path: " + filepath.Join(dir, "buffer.db") + "}\n"
	site = filepath.Join(dir, "site.yaml")
	if err := os.WriteFile(site, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return site
}

func TestTopologyNow(t *testing.T) {
	site := neighbours(t, false)
	svg := filepath.Join(t.TempDir(), "site.svg")
	text := call(t, "topology", "-c", site, "--now")
	for _, part := range []string{"as of 20", "\nsw1 ", "\n└─ sw2  Gi1/0/4        Gi1/0/1   1 Gbit/s  high        1 "} {
		if text.code != 0 || !strings.Contains(text.out, part) {
			t.Errorf("exit code %d, no %q in\n%s%s", text.code, part, text.out, text.err)
		}
	}
	got := call(t, "topology", "-c", site, "--now", "--json", "--svg", svg)
	var out struct {
		Root    string
		Parents map[string][]string
		Nodes   []topology.Node
		Links   []topology.Link
		Hosts   []topology.Host
		From    string
	}
	if err := json.Unmarshal([]byte(got.out), &out); err != nil || got.code != 0 {
		t.Fatalf("%+v: %v", got, err)
	}
	if out.Root != "sw1" || fmt.Sprint(out.Parents) != "map[sw2:[sw1]]" || len(out.Nodes) != 2 || len(out.Links) != 1 || len(out.Hosts) != 1 || out.From == "" {
		t.Errorf("%+v", out)
	}
	if b, err := os.ReadFile(svg); err != nil || !strings.HasPrefix(string(b), "<svg ") {
		t.Errorf("the drawing: %v", err)
	}
	if got := call(t, "where", "192.168.1.21", "-c", site, "--now"); got.code != badNews || !strings.Contains(got.err, "ARP of sw2 says that 192.168.1.21 is 00:11:32:00:00:02") {
		t.Errorf("an address that no switch has learned: %+v", got)
	}
	if got := call(t, "topology", "-c", site, "--now", "--root", "sw9"); got.code != usage {
		t.Errorf("a root that is not there: %+v", got)
	}
	where := call(t, "where", "192.168.1.20", "-c", site, "--now")
	want := "-: sw2 Gi1/0/3 (00:11:32:00:00:01, 192.168.1.20), confidence high\n  ARP of sw2 says that 192.168.1.20 is 00:11:32:00:00:01\n  sw2 port Gi1/0/3 has it alone\n"
	if where.code != 0 || where.out != want {
		t.Errorf("where: %+v", where)
	}
}

func TestTopologyOfTheDaemon(t *testing.T) {
	site := neighbours(t, true)
	if got := call(t, "topology", "-c", site); got.code != unknown || !strings.Contains(got.err, "every 15m; --now") {
		t.Errorf("nothing is known: %+v", got)
	}
	// What the daemon does.
	s, err := config.Loader{}.Load(site)
	if err != nil {
		t.Fatal(err)
	}
	j := newJobs(nil, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = j.close() })
	if j.topology, err = topology.OpenStore(topologyFile(s)); err != nil {
		t.Fatal(err)
	}
	js, err := j.of(s)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, job := range js {
		if job.Source != topology.Source {
			continue
		}
		found = true
		var values []float64
		err = job.Collector.Collect(t.Context(), func(b collectors.Batch) {
			for _, v := range b.Values {
				values = append(values, v.Gauge())
			}
		})
		if fmt.Sprint(values) != "[2 1 1 0 1]" || err == nil || !strings.Contains(err.Error(), "dead: ") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v, %v", values, err)
		}
	}
	if !found {
		t.Fatal("there is no job")
	}
	got := call(t, "topology", "-c", site)
	if got.code != 0 || !strings.Contains(got.out, "└─ sw2  Gi1/0/4 ") || !strings.Contains(got.out, "without a link\n  dead\n") {
		t.Errorf("%+v", got)
	}
	if got := call(t, "where", "sw2", "-c", site, "--json"); got.code != 0 || !strings.Contains(got.out, `"node":"sw1","port":"Gi1/0/4","confidence":"high"`) {
		t.Errorf("%+v", got)
	}
	if got := call(t, "where", "10.0.0.1", "-c", site); got.code != badNews || !strings.Contains(got.err, "10.0.0.1 is seen nowhere") {
		t.Errorf("%+v", got)
	}
	if got := call(t, "topology", "-c", site, "--now"); got.code != badNews || !strings.Contains(got.err, "dead: ") || strings.Contains(got.err, "canary") {
		t.Errorf("one is silent: %+v", got)
	}
	s.Topology.Interval = 0
	if js, err = j.of(s); err != nil {
		t.Fatal(err)
	}
	for _, job := range js {
		if job.Source == topology.Source {
			t.Error("it is off, and there is a job")
		}
	}
	if err := os.WriteFile(topologyFile(s), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := call(t, "where", "sw2", "-c", site); got.code != unknown {
		t.Errorf("a damaged file: %+v", got)
	}
}
