package topology

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mac(s string) MAC {
	m, ok := ParseMAC(s)
	if !ok {
		panic(s)
	}
	return m
}

// sw makes a switch of n ports that says the chassis ID 02:00:00:00:00:nn.
func sw(name string, last byte, n int) *Facts {
	f := &Facts{Device: name, SysName: name, Bridge: MAC{2, 0, 0, 0, 0, last}, Ports: map[uint32]int{}}
	f.Chassis = ID{chassisMAC, f.Bridge.String()}
	for p := 1; p <= n; p++ {
		f.Interfaces = append(f.Interfaces, Interface{Index: 100 + p, Name: port(p), Descr: "GigabitEthernet1/0/" + number(p), MAC: MAC{2, 1, 0, 0, last, byte(p)}, Speed: 1e9})
		f.Ports[uint32(p)] = 100 + p
	}
	return f
}

func (f *Facts) hears(p int, n Neighbour) *Facts {
	n.Protocol, n.IfIndex, n.Port = orElse(n.Protocol, protocolLLDP), 100+p, port(p)
	f.Neighbours = append(f.Neighbours, n)
	return f
}

func (f *Facts) learns(p int, macs ...string) *Facts {
	w := Forwards{IfIndex: 100 + p, Port: uint32(p)}
	for _, m := range macs {
		w.MACs = append(w.MACs, mac(m))
	}
	f.FDB = append(f.FDB, w)
	return f
}

func (f *Facts) resolves(ip, m string) *Facts {
	f.ARP = append(f.ARP, Binding{netip.MustParseAddr(ip), mac(m)})
	return f
}

func lldpOf(last byte, p string) Neighbour {
	return Neighbour{Chassis: ID{chassisMAC, MAC{2, 0, 0, 0, 0, last}.String()}, PortID: ID{portIfName, p}, Bridges: true}
}

const (
	phone = "00:08:5d:00:00:01"
	pc    = "00:1b:21:00:00:01"
	pc2   = "00:1b:21:00:00:02"
	nas   = "00:11:32:00:00:01"
	gw    = "00:09:0f:00:00:01"
)

// inWords writes links as "a port - b port: confidence" and hosts as "mac @ node
// port: confidence".
func inWords(g *Graph) (out []string) {
	for _, l := range g.Links {
		out = append(out, strings.TrimSpace(l.A.Node+" "+l.A.Port)+" - "+strings.TrimSpace(l.B.Node+" "+l.B.Port)+": "+string(l.Confidence))
	}
	for _, h := range g.Hosts {
		out = append(out, h.MAC.String()+" @ "+strings.TrimSpace(h.Node+" "+h.Port)+": "+string(h.Confidence))
	}
	return out
}

func TestBuild(t *testing.T) {
	bundle := func(f *Facts, ports ...int) *Facts {
		f.Interfaces = append(f.Interfaces, Interface{Index: 500, Name: "Po1"})
		for _, p := range ports {
			f.byIndex(100 + p).LAG = 500
		}
		return f
	}
	a, b := MAC{2, 0, 0, 0, 0, 1}.String(), MAC{2, 0, 0, 0, 0, 2}.String()
	for _, test := range []struct {
		name  string
		known []Known // beside the devices of the facts
		facts []*Facts
		want  []string
		notes string
	}{
		{name: "both ends report", want: []string{"sw1 Gi1/0/4 - sw2 Gi1/0/1: high"},
			facts: []*Facts{sw("sw1", 1, 4).hears(4, lldpOf(2, "Gi1/0/1")), sw("sw2", 2, 4).hears(1, lldpOf(1, "Gi1/0/4"))}},
		{name: "one end reports", want: []string{"sw1 Gi1/0/4 - sw2 Gi1/0/1: medium"},
			facts: []*Facts{sw("sw1", 1, 4).hears(4, lldpOf(2, "GigabitEthernet1/0/1")), sw("sw2", 2, 4)}},
		{name: "LLDP one way and CDP the other", want: []string{"sw1 Gi1/0/4 - sw2 Gi1/0/1: high"},
			facts: []*Facts{sw("sw1", 1, 4).hears(4, lldpOf(2, "Gi1/0/1")),
				sw("sw2", 2, 4).hears(1, Neighbour{Protocol: protocolCDP, SysName: "sw1.acme.example(FOC1)", PortID: ID{portIfName, "GigabitEthernet1/0/4"}, Bridges: true})}},
		{name: "a port that one end cannot name", want: []string{"sw1 Gi1/0/4 - sw2 Gi1/0/1: high"},
			facts: []*Facts{sw("sw1", 1, 4).hears(4, lldpOf(2, "slot 7")), sw("sw2", 2, 4).hears(1, lldpOf(1, "Gi1/0/4"))}},
		{name: "a port by its MAC", want: []string{"sw1 Gi1/0/4 - sw2 Gi1/0/3: medium"},
			facts: []*Facts{sw("sw1", 1, 4).hears(4, Neighbour{Chassis: ID{chassisMAC, b}, PortID: ID{portMAC, MAC{2, 1, 0, 0, 2, 3}.String()}, Bridges: true}), sw("sw2", 2, 4)}},
		{name: "a bundle of two", want: []string{"sw1 Po1 - sw2 Po1: high"},
			facts: []*Facts{bundle(sw("sw1", 1, 4), 1, 2).hears(1, lldpOf(2, "Gi1/0/3")).hears(2, lldpOf(2, "Gi1/0/4")),
				bundle(sw("sw2", 2, 4), 3, 4).hears(3, lldpOf(1, "Gi1/0/1")).hears(4, lldpOf(1, "Gi1/0/2"))}},
		{name: "two cables that are no bundle", want: []string{"sw1 Gi1/0/1 - sw2 Gi1/0/3: high", "sw1 Gi1/0/2 - sw2 Gi1/0/4: high"},
			facts: []*Facts{sw("sw1", 1, 4).hears(1, lldpOf(2, "Gi1/0/3")).hears(2, lldpOf(2, "Gi1/0/4")),
				sw("sw2", 2, 4).hears(3, lldpOf(1, "Gi1/0/1")).hears(4, lldpOf(1, "Gi1/0/2"))}},
		{name: "a telephone and a PC behind it", want: []string{"sw1 Gi1/0/2 - neighbour:" + phone + " port 1: medium", phone + " @ sw1 Gi1/0/2: high", pc + " @ sw1 Gi1/0/2: medium"},
			facts: []*Facts{sw("sw1", 1, 4).learns(2, phone, pc).hears(2, Neighbour{Chassis: ID{chassisMAC, phone}, PortID: ID{portLocal, "port 1"}, SysName: "SEP1", Phone: true})}},
		{name: "a telephone and a PC that both speak LLDP", facts: []*Facts{sw("sw1", 1, 4).learns(2, phone, pc).
			hears(2, Neighbour{Chassis: ID{chassisMAC, phone}, PortID: ID{portMAC, phone}, SysName: "SEP1", Phone: true}).
			hears(2, Neighbour{Chassis: ID{chassisMAC, pc}, PortID: ID{portMAC, pc}})},
			want: []string{"sw1 Gi1/0/2 - neighbour:" + phone + ": medium", "sw1 Gi1/0/2 - neighbour:" + pc + ": medium", phone + " @ sw1 Gi1/0/2: high", pc + " @ sw1 Gi1/0/2: high"}},
		{name: "a hub at the edge", facts: []*Facts{sw("sw1", 1, 4).learns(3, pc, pc2, nas)},
			want: []string{nas + " @ sw1 Gi1/0/3: medium", pc + " @ sw1 Gi1/0/3: medium", pc2 + " @ sw1 Gi1/0/3: medium"}},
		{name: "a host behind two switches without LLDP", want: []string{"sw1 Gi1/0/4 - sw2 Gi1/0/1: medium", pc + " @ sw2 Gi1/0/3: high"},
			facts: []*Facts{sw("sw1", 1, 4).learns(4, b, pc), sw("sw2", 2, 4).learns(1, a).learns(3, pc)}},
		{name: "only one of them remembers the other", want: []string{"sw1 Gi1/0/4 - sw2: low", pc + " @ sw2 Gi1/0/3: high"},
			facts: []*Facts{sw("sw1", 1, 4).learns(4, b, pc), sw("sw2", 2, 4).learns(3, pc)}},
		{name: "a firewall that only answers to its address", known: []Known{{Name: "gw", Address: "192.168.1.1"}},
			facts: []*Facts{sw("sw1", 1, 4).learns(1, gw).learns(2, pc).resolves("192.168.1.1", gw)},
			want:  []string{"gw - sw1 Gi1/0/1: high", gw + " @ sw1 Gi1/0/1: high", pc + " @ sw1 Gi1/0/2: high"}},
		{name: "a router that answers for others tells nothing", known: []Known{{Name: "x", Address: "10.1.0.1"}, {Name: "y", Address: "10.1.0.2"}},
			facts: []*Facts{sw("sw1", 1, 4).learns(1, gw).resolves("10.1.0.1", gw).resolves("10.1.0.2", gw)}, want: []string{gw + " @ sw1 Gi1/0/1: high"}},
		{name: "two devices with one chassis are told apart by name", notes: "sw2 and sw3 both have the chassis " + b,
			facts: []*Facts{sw("sw1", 1, 4).hears(3, withName(lldpOf(2, "Gi1/0/1"), "sw2")).hears(4, withName(lldpOf(2, "Gi1/0/1"), "sw3")), sw("sw2", 2, 2), sw("sw3", 2, 2)},
			want:  []string{"sw1 Gi1/0/3 - sw2 Gi1/0/1: medium", "sw1 Gi1/0/4 - sw3 Gi1/0/1: medium"}},
		{name: "a loop", notes: "sw1 hears itself at Gi1/0/3", facts: []*Facts{sw("sw1", 1, 4).hears(3, lldpOf(1, "Gi1/0/4"))}},
		{name: "a name that many have", want: []string{"sw1 Gi1/0/3 - neighbour:02:00:00:00:00:77 ether1: medium"},
			facts: []*Facts{sw("sw1", 1, 4).hears(3, withName(lldpOf(0x77, "ether1"), "sw2")), sw("sw2", 2, 2)}},
		{name: "three switches at one port", facts: []*Facts{
			sw("sw1", 1, 4).hears(3, lldpOf(2, "Gi1/0/1")).hears(3, lldpOf(3, "Gi1/0/1")), sw("sw2", 2, 2).hears(1, lldpOf(1, "Gi1/0/3")), sw("sw3", 3, 2)},
			want: []string{"segment:sw1 Gi1/0/3 - sw1 Gi1/0/3: medium", "segment:sw1 Gi1/0/3 - sw2 Gi1/0/1: medium", "segment:sw1 Gi1/0/3 - sw3 Gi1/0/1: medium"}},
		{name: "a neighbour that calls two ports by one name", facts: []*Facts{sw("sw1", 1, 4).hears(3, lldpOf(9, "bridge1")).hears(4, lldpOf(9, "bridge1"))},
			want: []string{"sw1 Gi1/0/3 - neighbour:02:00:00:00:00:09 bridge1: medium", "sw1 Gi1/0/4 - neighbour:02:00:00:00:00:09 bridge1: medium"}},
		{name: "an access point that two switches hear", facts: []*Facts{sw("sw1", 1, 4).hears(3, lldpOf(9, "")), sw("sw2", 2, 4).hears(2, lldpOf(9, ""))},
			want: []string{"sw1 Gi1/0/3 - neighbour:02:00:00:00:00:09: medium", "sw2 Gi1/0/2 - neighbour:02:00:00:00:00:09: medium"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			known := test.known
			for _, f := range test.facts {
				known = append(known, Known{Name: f.Device})
			}
			g := Build(known, test.facts)
			want := slices.Clone(test.want)
			got := inWords(g)
			for _, l := range [][]string{want, got} { // ends in one order
				for i, s := range l {
					if x, rest, ok := strings.Cut(s, " - "); ok {
						y, confidence, _ := cutLast(rest, ": ")
						ends := []string{x, y}
						slices.Sort(ends)
						l[i] = strings.Join(ends, " - ") + ": " + confidence
					}
				}
				slices.Sort(l)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if notes := strings.Join(g.Notes, "\n"); test.notes == "" && notes != "" || !strings.Contains(notes, test.notes) {
				t.Errorf("notes %q, want %q", notes, test.notes)
			}
			for _, root := range []string{"sw1", "nobody", ""} {
				g.Parents(root) // circles included
			}
		})
	}
}

func withName(n Neighbour, name string) Neighbour {
	n.SysName = name
	return n
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func TestWhere(t *testing.T) {
	sw1 := sw("sw1", 1, 4).hears(4, lldpOf(2, "Gi1/0/1")).learns(4, "02:00:00:00:00:02", pc, nas).learns(1, gw).resolves("192.168.1.20", nas)
	sw2 := sw("sw2", 2, 4).hears(1, lldpOf(1, "Gi1/0/4")).learns(1, gw).learns(2, phone, pc).learns(3, nas).
		hears(2, Neighbour{Chassis: ID{chassisMAC, phone}, SysName: "SEP1", Phone: true})
	g := Build([]Known{{Name: "sw1"}, {Name: "sw2"}, {Name: "gw", MACs: []MAC{mac(gw)}}}, []*Facts{sw1, sw2})
	for what, want := range map[string][]string{
		"192.168.1.20":      {"sw2 Gi1/0/3 high", "ARP of sw1 says that 192.168.1.20 is " + nas, "sw2 port Gi1/0/3 has it alone"},
		"00-11-32-00-00-01": {"sw2 Gi1/0/3 high", "sw2 port Gi1/0/3 has it alone"},
		"001b.2100.0001":    {"sw2 Gi1/0/2 medium", "sw2 port Gi1/0/2 has it and 1 others; no port that has fewer has it", "SEP1 is heard at that port"},
		"GW":                {"sw1 Gi1/0/1 high", "FDB: sw1 Gi1/0/1 sees " + gw + ", which is gw's"},
		"sw2":               {"sw1 Gi1/0/4 high", "LLDP: sw1 Gi1/0/4 hears sw2 Gi1/0/1", "LLDP: sw2 Gi1/0/1 hears sw1 Gi1/0/4", "neighbour:00:08:5d:00:00:01  medium", "LLDP: sw2 Gi1/0/2 hears SEP1"},
		"02:00:00:00:00:01": {"sw2 Gi1/0/1 high", "02:00:00:00:00:01 is sw1's", "LLDP: sw1 Gi1/0/4 hears sw2 Gi1/0/1", "LLDP: sw2 Gi1/0/1 hears sw1 Gi1/0/4", "gw  high", "02:00:00:00:00:01 is sw1's", "FDB: sw1 Gi1/0/1 sees " + gw + ", which is gw's"},
		"192.168.1.99":      nil,
		"nobody":            nil,
		"":                  nil,
	} {
		var got []string
		for _, p := range g.Where(what) {
			got = append(append(got, p.Node+" "+p.Port+" "+string(p.Confidence)), p.Evidence...)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want := map[string][]string{"sw1": {"gw"}, "sw2": {"sw1"}, "neighbour:" + phone: {"sw2"}}
	if diff := cmp.Diff(want, g.Parents("gw")); diff != "" {
		t.Errorf("parents (-want +got):\n%s", diff)
	}
}

// TestParents: a ring has two shortest ways to its far side.
func TestParents(t *testing.T) {
	ring := []*Facts{
		sw("a", 1, 4).hears(1, lldpOf(2, "Gi1/0/1")).hears(2, lldpOf(3, "Gi1/0/1")),
		sw("b", 2, 4).hears(2, lldpOf(4, "Gi1/0/1")),
		sw("c", 3, 4).hears(2, lldpOf(4, "Gi1/0/2")),
		sw("d", 4, 4),
		sw("alone", 5, 4),
	}
	var known []Known
	for _, f := range ring {
		known = append(known, Known{Name: f.Device})
	}
	g := Build(known, ring)
	want := map[string][]string{"b": {"a"}, "c": {"a"}, "d": {"b", "c"}}
	if diff := cmp.Diff(want, g.Parents("a")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := g.Parents("alone"); len(got) != 0 {
		t.Errorf("from a device without links: %v", got)
	}
	if root := g.Root("alone", "nobody"); root != "a" {
		t.Errorf("root %q", root)
	}
}

// TestRoot: a drawing does not begin at a device that has told nothing.
func TestRoot(t *testing.T) {
	link := func(a, b string) Link { return Link{A: End{Node: a}, B: End{Node: b}} }
	node := func(id string, asked bool) Node { return Node{ID: id, Kind: KindDevice, Asked: asked} }
	for name, c := range map[string]struct {
		nodes []Node
		links []Link
		want  string
	}{
		"nothing":                        {nil, nil, ""},
		"the first has not answered":     {[]Node{node("a", false), node("b", true), node("c", true)}, []Link{link("a", "b")}, "b"},
		"nor has it links":               {[]Node{node("a", false), node("b", true), node("c", true)}, []Link{link("b", "c")}, "b"},
		"one that answers without links": {[]Node{node("a", true), node("b", false), node("c", false)}, []Link{link("b", "c")}, "b"},
		"none has links":                 {[]Node{node("a", false), node("b", true)}, nil, "b"},
		"most links":                     {[]Node{node("a", true), node("b", true), node("c", true)}, []Link{link("a", "b"), link("b", "c")}, "b"},
	} {
		g := &Graph{Nodes: c.nodes, Links: c.links}
		if got := g.Root(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestParseMAC(t *testing.T) {
	for text, want := range map[string]string{
		"00:1B:21:0a:00:01": "00:1b:21:0a:00:01", "0:1b:21:a:0:1": "00:1b:21:0a:00:01", "00-1b-21-0a-00-01": "00:1b:21:0a:00:01",
		"001b.210a.0001": "00:1b:21:0a:00:01", "001b210a0001": "00:1b:21:0a:00:01",
		"": "", "00:1b:21:0a:00": "", "00:1b:21:0a:00:01:02": "", "00:1b-21:0a:00:01": "", "xx:1b:21:0a:00:01": "", "192.168.1.1": "", "001b:210a:0001": "",
	} {
		m, ok := ParseMAC(text)
		if ok != (want != "") || ok && m.String() != want {
			t.Errorf("%q: %v %v", text, m, ok)
		}
	}
}
