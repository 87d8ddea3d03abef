package exporter_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/exporter"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
	"github.com/siteprobe/siteprobe/collectors/snmp/walkfile"
)

// TestBesideSNMPExporter reads the same module for the same device through Debian's
// prometheus-snmp-exporter and through us: the same series, labels and values. The
// devices are one that was made up for this test and, where SITEPROBE_SHARED names
// the folder, recordings of real ones. What differs on purpose is in plain.
func TestBesideSNMPExporter(t *testing.T) {
	const module = "testdata/compare.yml"
	walks := []string{"testdata/device.snmprec"}
	if shared := os.Getenv("SITEPROBE_SHARED"); shared != "" {
		for _, name := range []string{"dsm", "procurve_2520", "windows_svr_2019_1809", "iosxe_c9300", "full_linux_ibm-x3550-m3", "full_cisco-c3750", "drac_r640", "vmware-esxi"} {
			walks = append(walks, filepath.Join(shared, "snmprec", name+".snmprec"))
		}
	} else {
		t.Log("SITEPROBE_SHARED is not set: without recordings of real devices")
	}
	url := startExporter(t, module)
	p, problems := exporter.Load(module, "cmp")
	if p == nil || len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, file := range walks {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".snmprec"), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			vars, _, err := walkfile.Read(f)
			if err != nil {
				t.Fatal(err)
			}
			want := scrape(t, url, serve(t, vars))
			got := collect(t, p, vars)
			if len(want) < 20 {
				t.Errorf("only %d series", len(want))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-snmp_exporter +us\n%s", d)
			}
		})
	}
}

// startExporter starts Debian's program and gives its URL.
func startExporter(t *testing.T, config string) string {
	t.Helper()
	program, err := exec.LookPath("prometheus-snmp-exporter")
	if err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") != "" {
			t.Fatalf("prometheus-snmp-exporter is not installed, and SITEPROBE_REQUIRE wants it: %v", err)
		}
		t.Skipf("prometheus-snmp-exporter is not installed: %v", err)
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	cmd := exec.Command(program, "--config.file="+config, "--web.listen-address="+address)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(log)
	ready := false
	for !ready && lines.Scan() {
		ready = strings.Contains(lines.Text(), "istening on")
	}
	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, log) }()
	t.Cleanup(func() {
		watchdog.Stop()
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait()
	})
	if !ready {
		t.Fatal("prometheus-snmp-exporter does not start")
	}
	return "http://" + address + "/snmp?module=cmp&target="
}

// serve lets an agent answer with vars.
func serve(t *testing.T, vars []pdu.Varbind) (address string) {
	t.Helper()
	mib := &snmptest.MIB{}
	for i := range vars {
		v := &vars[i]
		mib.Set(string(pdu.AppendDotted(nil, v.OID)), valueOf(t, v))
	}
	a, err := snmptest.Listen("127.0.0.1:0", snmptest.Config{Community: "public", MIB: mib})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a.Addr().String()
}

func valueOf(t *testing.T, v *pdu.Varbind) snmptest.Value {
	switch v.Tag {
	case pdu.TagInteger:
		return snmptest.Integer(int32(v.Num))
	case pdu.TagCounter32:
		return snmptest.Counter32(uint32(v.Num))
	case pdu.TagCounter64:
		return snmptest.Counter64(v.Num)
	case pdu.TagGauge32:
		return snmptest.Gauge32(uint32(v.Num))
	case pdu.TagTimeTicks:
		return snmptest.TimeTicks(uint32(v.Num))
	case pdu.TagOctets:
		return snmptest.Octets(string(v.Bytes))
	case pdu.TagOID:
		return snmptest.Raw(pdu.TagOID, v.Bytes)
	case pdu.TagIPAddress:
		return snmptest.IPAddress(netip.AddrFrom4([4]byte(v.Bytes)))
	case pdu.TagFloat:
		return snmptest.Raw(pdu.TagOpaque, binary.BigEndian.AppendUint32([]byte{0x9f, 0x78, 4}, uint32(v.Num)))
	case pdu.TagNull, pdu.TagOpaque:
		return snmptest.Raw(v.Tag, v.Bytes)
	}
	t.Fatalf("%s has the tag %d", pdu.AppendDotted(nil, v.OID), v.Tag)
	return snmptest.Value{}
}

var (
	sample = regexp.MustCompile(`^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$`)
	label  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// scrape gives the series of snmp_exporter.
func scrape(t *testing.T, url, target string) map[string]float64 {
	t.Helper()
	client := http.Client{Timeout: time.Minute}
	answer, err := client.Get(url + target)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v\n%s", answer.Status, err, text)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		m := sample.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		labels := map[string]string{}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			var s string
			if err := json.Unmarshal([]byte(`"`+l[2]+`"`), &s); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			labels[l[1]] = s
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		add(t, out, m[1], labels, v)
	}
	return out
}

// collect gives ours.
func collect(t *testing.T, p *profile.Profile, vars []pdu.Varbind) map[string]float64 {
	t.Helper()
	cfg := snmp.Config{Device: "x", Address: "192.0.2.1", Profile: p, Credentials: []snmp.Credential{{Name: "x", Auth: snmp.Auth{Version: "2c", Community: "x"}}}}
	c, err := snmp.New(cfg, nil, snmp.Offline(vars))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out := map[string]float64{}
	err = c.Collect(t.Context(), func(b collectors.Batch) {
		for i := range b.Values {
			s := &b.Schema.Series[i]
			v, ok := b.Values[i].Float(s.Kind)
			if !ok {
				continue
			}
			if s.Kind == collectors.Counter { // snmp_exporter has floats, and takes large counters modulo 2^53; we don't
				v = float64(b.Values[i].Counter() % (1 << 53))
			}
			labels := map[string]string{}
			for _, l := range s.Labels {
				if l.Name != "device" {
					labels[l.Name] = l.Value
				}
			}
			add(t, out, s.Metric, labels, v)
		}
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// add takes a series in that is about the device.
func add(t *testing.T, out map[string]float64, metric string, labels map[string]string, v float64) {
	t.Helper()
	if strings.HasPrefix(metric, "snmp_") {
		return
	}
	var b strings.Builder
	b.WriteString(metric)
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if s := plain(labels[name]); s != "" {
			fmt.Fprintf(&b, " %s=%q", name, s)
		}
	}
	if _, twice := out[b.String()]; twice {
		t.Errorf("%s is there twice", b.String())
	}
	out[b.String()] = v
}

// plain takes away what differs on purpose: blanks at the ends of texts and control
// characters, which we do not show, and a hardware address of no octets, which
// snmp_exporter fills up with zeros and we leave empty.
func plain(s string) string {
	if s = strings.Join(strings.Fields(s), " "); s == "00:00:00:00:00:00" {
		return ""
	}
	return s
}
