package discovery

import (
	"bufio"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/scope"
)

// log collects what the sniffer tells.
type log struct {
	mu     sync.Mutex
	frames []frame
}

func (g *log) read(lines *bufio.Scanner) {
	for lines.Scan() {
		var f frame
		if json.Unmarshal(lines.Bytes(), &f) == nil {
			g.mu.Lock()
			g.frames = append(g.frames, f)
			g.mu.Unlock()
		}
	}
}

// take gives what was seen since the last time. The sniffer may be a moment late, so
// it waits until nothing has come for some time.
func (g *log) take() []frame {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for n := -1; ; <-tick.C {
		g.mu.Lock()
		if len(g.frames) == n {
			out := g.frames
			g.frames = nil
			g.mu.Unlock()
			return out
		}
		n = len(g.frames)
		g.mu.Unlock()
	}
}

// to picks the frames to an address.
func to(fs []frame, a string) (out []frame) {
	for _, f := range fs {
		if f.To == netip.MustParseAddr(a) {
			out = append(out, f)
		}
	}
	return out
}

// protos tells what was sent, in order, without repetitions.
func protos(fs []frame) string {
	var out []string
	for _, f := range fs {
		s := f.Proto
		if f.Community != "" {
			s = "community"
		} else if f.User {
			s = "user"
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

// busiest is how many of the frames came within any second.
func busiest(fs []frame) (most int) {
	for i := range fs {
		n := 0
		for _, f := range fs[i:] {
			if f.At.Sub(fs[i].At) < time.Second {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// TestManners sweeps a network of real hosts and looks at each packet that the box
// sends.
func TestManners(t *testing.T) {
	l := newLab(t)
	for name, host := range map[string][2]string{
		"v2c":    {"10.77.0.10", "00:1b:21:00:00:10"}, // net-snmp with our community
		"v3":     {"10.77.0.11", "00:1b:21:00:00:11"}, // net-snmp with SNMPv3 only
		"other":  {"10.77.0.12", "00:1b:21:00:00:12"}, // net-snmp with another community
		"old":    {"10.77.0.13", "00:1b:21:00:00:13"}, // SNMPv2c only
		"core":   {"10.77.0.14", "00:1b:21:00:00:14"}, // polled anyway
		"silent": {"10.77.0.30", "00:1b:21:00:00:30"}, // answers pings
		"plc":    {"10.77.0.31", "00:1b:21:00:00:31"}, // answers pings, and swallows what comes to SNMP's port
		"extern": {"10.77.9.9", "00:1b:21:00:09:09"},  // outside of scope and networks
		"hands":  {"10.77.0.20", "00:1b:21:00:00:20"}, // excluded
	} {
		l.host(name, host[0], host[1])
	}
	l.snmpd("v2c", "agentAddress udp:161\nrocommunity canary-lan\nsysName v2c-box\n")
	l.snmpd("v3", "agentAddress udp:161\nsysName v3-box\ncreateUser canary-user SHA-256 \"authpass1234\" AES \"privpass1234\"\nrouser canary-user priv\n")
	l.snmpd("other", "agentAddress udp:161\nrocommunity somebody-elses\nsysName other-box\n")
	l.errand("old", "agent", "old-box OLD1")
	l.errand("core", "agent", "core-box CORE1")
	l.errand("plc", "swallow", "")
	l.errand("extern", "agent", "extern-box EXT1")
	l.errand("hands", "agent", "hands-box HANDS1")
	var g log
	go g.read(l.errand("lan", "sniff", "p-box"))

	const rate = 50
	w := sweepWith{Dir: t.TempDir(), Scope: scope.Config{Managed: []string{"10.77.0.0/24"}, Excluded: []string{"10.77.0.20"}},
		Config: Config{Networks: []string{"10.77.0.0/26"}, Rate: rate}, Lan: []string{"core=10.77.0.14"}}
	out := l.sweep(w)
	for _, want := range []string{"device_new v2c-box 10.77.0.10", "device_new v3-box 10.77.0.11", "device_new 10.77.0.12 10.77.0.12"} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n"); n != 3 {
		t.Errorf("%d changes, want 3:\n%s", n, out)
	}
	fs := g.take()
	for address, want := range map[string]string{
		"10.77.0.10": "arp icmp udp user community", // the user is tried first, for it speaks SNMPv3
		"10.77.0.11": "arp icmp udp user",
		"10.77.0.12": "arp icmp udp user community",
		"10.77.0.13": "arp icmp udp", // careful: it does not speak SNMPv3
		"10.77.0.14": "arp community",
		"10.77.0.30": "arp icmp udp",
		"10.77.0.31": "arp icmp udp",
		"10.77.0.50": "arp", // nobody
		"10.77.0.20": "", "10.77.9.9": "", "10.77.0.0": "", "10.77.0.200": "", "10.77.0.255": "",
	} {
		if got := protos(to(fs, address)); got != want {
			t.Errorf("to %s: %q, want %q", address, got, want)
		}
	}
	if n := len(to(fs, "10.77.0.31")); n > 4 { // ARP, twice when it is confirmed, a ping, a probe
		t.Errorf("%d packets to the PLC: %+v", n, to(fs, "10.77.0.31"))
	}
	asked := slices.DeleteFunc(slices.Clone(fs), func(f frame) bool { return f.Proto != "icmp" && !(f.Proto == "udp" && f.Community == "" && !f.User) })
	asked = slices.DeleteFunc(asked, func(f frame) bool { return f.To.As4()[3] == 14 || f.To.As4()[3] == 10 || f.To.As4()[3] == 11 })
	if n := busiest(asked); n > rate+2 {
		t.Errorf("%d packets within a second, at a rate of %d", n, rate)
	}
	// ARP made known who is behind core before the networks were gone through.
	first := slices.IndexFunc(fs, func(f frame) bool { return f.Proto == "icmp" })
	if first < 0 || fs[first].To != netip.MustParseAddr("10.77.0.30") {
		t.Errorf("the first to be pinged is %v, not the neighbour of a polled device", fs[first].To)
	}
	book, err := OpenRegistry(w.Dir).Read()
	if err != nil {
		t.Fatal(err)
	}
	l.checkBook(&book)

	// What was wrong once is not tried for ever.
	for range 2 {
		l.sweep(w)
	}
	wrong := 0
	for _, f := range to(g.take(), "10.77.0.12") {
		if f.Community != "" {
			wrong++
		}
	}
	if wrong > DefaultMaxFailures-1 { // the other one is the user's
		t.Errorf("%d more wrong communities on one day", wrong)
	}
	l.moving(&g, w)
}

func (l *lab) checkBook(b *Book) {
	l.t.Helper()
	find := func(address string) *Device {
		found := b.Find(address)
		if len(found) != 1 {
			l.t.Fatalf("%d devices at %s", len(found), address)
		}
		return found[0]
	}
	if d := find("10.77.0.11"); d.Credential != "core" || d.SysName != "v3-box" || d.EngineID == "" || d.MAC != "00:1b:21:00:00:11" {
		l.t.Errorf("%+v", d)
	}
	if d := find("10.77.0.12"); d.Credential != "" || !d.SNMP || d.EngineID == "" {
		l.t.Errorf("%+v", d)
	}
	if d := find("10.77.0.14"); d.State != Listed || d.Name != "core" || d.Serial != "CORE1-1" || len(d.Modules) != 2 || d.Modules[1].Class != "powerSupply" {
		l.t.Errorf("%+v", d)
	}
	if d := find("10.77.0.31"); d.SNMP || d.Link != "00:1b:21:00:00:31" {
		l.t.Errorf("%+v", d)
	}
}

// moving goes on with a network that is known: devices move, and communities may be
// said to who answers pings.
func (l *lab) moving(g *log, w sweepWith) {
	t := l.t
	l.readdress("v3", "10.77.0.10")
	l.readdress("v2c", "10.77.0.61")
	w.Config.Communities = Pinged
	out := l.sweep(w)
	for _, want := range []string{"device_moved v3-box 10.77.0.10", "device_moved v2c-box 10.77.0.61", "device_new old-box 10.77.0.13"} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n"); n != 3 {
		t.Errorf("%d changes, want 3:\n%s", n, out)
	}
	fs := g.take()
	for address, want := range map[string]string{
		"10.77.0.13": "arp icmp udp community",
		"10.77.0.30": "arp icmp udp", // it refuses the port: nothing is there to be asked
		"10.77.9.9":  "", "10.77.0.20": "",
	} {
		if got := strings.TrimPrefix(protos(to(fs, address)), "arp "); got != strings.TrimPrefix(want, "arp ") {
			t.Errorf("to %s: %q, want %q", address, got, want)
		}
	}
}
