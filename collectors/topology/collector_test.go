package topology

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/collectortest"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

const community = "canary-7717"

// agent serves a switch that says the chassis ID 02:00:00:00:00:nn by LLDP.
func agent(t *testing.T, last byte, m snmptest.Manners) *snmptest.Agent {
	t.Helper()
	mib := snmptest.Switch(4)
	mib.Set("1.0.8802.1.1.2.1.3.1.0", snmptest.Integer(chassisMAC))
	mib.Set("1.0.8802.1.1.2.1.3.2.0", snmptest.Octets(string([]byte{2, 0, 0, 0, 9, last})))
	a, err := snmptest.Listen("", snmptest.Config{MIB: mib, Community: community, Manners: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// hear lets an agent hear a neighbour at a port.
func hear(a *snmptest.Agent, p int, last byte, remote string) {
	row := func(column int, v snmptest.Value) {
		a.MIB().Set(fmt.Sprintf("1.0.8802.1.1.2.1.4.1.1.%d.0.%d.1", column, p), v)
	}
	row(4, snmptest.Integer(chassisMAC))
	row(5, snmptest.Octets(string([]byte{2, 0, 0, 0, 9, last})))
	row(6, snmptest.Integer(portIfName))
	row(7, snmptest.Octets(remote))
	row(9, snmptest.Octets(fmt.Sprintf("switch %d\u202e", last)))
	row(12, snmptest.Octets("\x28\x00"))
}

func deaf(a *snmptest.Agent, p int) {
	for column := 4; column <= 12; column++ {
		a.MIB().Delete(fmt.Sprintf("1.0.8802.1.1.2.1.4.1.1.%d.0.%d", column, p))
	}
}

func targets(agents map[string]*snmptest.Agent) (out []Target) {
	for name, a := range agents {
		out = append(out, Target{Known{Name: name, Address: a.Addr().String()}, deviceAt(name, a.Addr().String(), community)})
	}
	slices.SortFunc(out, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	collectortest.Run(t, func(t *testing.T) collectortest.Subject {
		a, b, silent := agent(t, 1, snmptest.Manners{}), agent(t, 2, snmptest.Manners{}), agent(t, 3, snmptest.Manners{DropEvery: 1})
		hear(a, 4, 2, "Gi1/0/1")
		of := func(agents map[string]*snmptest.Agent) collectors.Collector {
			return New(targets(agents), local(t), openStore(t, filepath.Join(t.TempDir(), "topology.json.gz")), nil)
		}
		return collectortest.Subject{Source: Source, Collector: of(map[string]*snmptest.Agent{"sw1": a, "sw2": b}),
			Silent: of(map[string]*snmptest.Agent{"sw3": silent}), Secrets: []string{community}, Soon: 2 * time.Second}
	})
}

// round collects once and gives the values and the texts of the events.
func round(t *testing.T, c *Collector) (values []float64, events []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = c.Collect(ctx, func(b collectors.Batch) {
		if e := b.Validate(); e != nil {
			t.Error(e)
		}
		for _, v := range b.Values {
			values = append(values, v.Gauge())
		}
		for _, e := range b.Events {
			events = append(events, e.Severity.String()+" "+e.Text)
		}
	})
	return values, events, err
}

// TestRounds: a cable that moves, a neighbour that goes and comes, a device that
// falls silent, a restart.
func TestRounds(t *testing.T) {
	a, b, d := agent(t, 1, snmptest.Manners{}), agent(t, 2, snmptest.Manners{}), agent(t, 3, snmptest.Manners{})
	hear(a, 4, 2, "Gi1/0/1")
	hear(b, 1, 1, "Gi1/0/4")
	path := filepath.Join(t.TempDir(), "topology.json.gz")
	all := targets(map[string]*snmptest.Agent{"sw1": a, "sw2": b, "sw3": d})
	c := New(all, local(t), openStore(t, path), nil)
	step := func(what string, values []float64, events ...string) {
		t.Helper()
		v, e, err := round(t, c)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(values, v); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", what, diff)
		}
		if diff := cmp.Diff(events, e); diff != "" {
			t.Errorf("%s: events (-want +got):\n%s", what, diff)
		}
	}
	step("the first round", []float64{3, 0, 1, 0, 0})
	step("nothing has changed", []float64{3, 0, 1, 0, 0})

	deaf(b, 1)
	hear(a, 4, 3, "Gi1/0/2")
	hear(d, 2, 1, "Gi1/0/4")
	step("the cable was moved to another switch", []float64{3, 0, 1, 0, 0},
		"warning sw1 Gi1/0/4: neighbour was sw2 Gi1/0/1, is sw3 Gi1/0/2", "warning sw2 Gi1/0/1: neighbour sw1 Gi1/0/4 is gone", "info sw3 Gi1/0/2: neighbour is sw1 Gi1/0/4")

	c = New(all, local(t), openStore(t, path), nil)
	deaf(d, 2)
	step("only one end says so still, over a restart", []float64{3, 0, 1, 0, 0}, "warning sw3 Gi1/0/2: neighbour sw1 Gi1/0/4 is gone")
	deaf(a, 4)
	step("now neither does", []float64{3, 0, 0, 0, 0}, "warning sw1 Gi1/0/4: neighbour sw3 Gi1/0/2 is gone")
	hear(a, 4, 7, "7")
	step("a switch of nobody", []float64{3, 0, 1, 1, 0}, "info sw1 Gi1/0/4: neighbour is switch 7 7")

	a.SetManners(snmptest.Manners{DropEvery: 1})
	v, e, err := round(t, c)
	if err == nil || !strings.Contains(err.Error(), "sw1: ") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a device that is silent: %v", err)
	}
	if diff := cmp.Diff([]float64{3, 1, 1, 1, 0}, v); diff != "" || len(e) > 0 {
		t.Errorf("what it said before counts (-want +got):\n%s%q", diff, e)
	}
}

// TestV1: what a device lacks does not keep it from being read.
func TestV1(t *testing.T) {
	a := agent(t, 1, snmptest.Manners{})
	hear(a, 4, 2, "Gi1/0/1")
	cfg := deviceAt("sw1", a.Addr().String(), community)
	cfg.Credentials[0].Auth.Version = "1"
	f, err := Ask(t.Context(), cfg, time.Now, local(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.SysName != "switch" || f.Chassis.Text != "02:00:00:00:09:01" || len(f.Interfaces) != 4 || len(f.Neighbours) != 1 || len(f.Partial) > 0 {
		t.Errorf("%+v", f)
	}
}

// TestOutOfTime: a round that ends early leaves what was known as it was, and goes on
// with those that were not asked.
func TestOutOfTime(t *testing.T) {
	a, b := agent(t, 1, snmptest.Manners{}), agent(t, 2, snmptest.Manners{DropEvery: 1})
	hear(a, 4, 2, "Gi1/0/1")
	c := New(targets(map[string]*snmptest.Agent{"sw1": a, "sw2": b}), local(t), openStore(t, filepath.Join(t.TempDir(), "x")), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	var links float64
	_ = c.Collect(ctx, func(b collectors.Batch) { links = b.Values[2].Gauge() })
	if links != 1 {
		t.Errorf("%v links", links)
	}
}

// faults is a client whose answers the test makes up.
type faults struct {
	walk  func(each func(pdu.Varbind) bool, root []byte) error
	walks int
}

func (f *faults) Get(context.Context, ...[]byte) ([]pdu.Varbind, error) { return nil, nil }

func (f *faults) Walk(_ context.Context, _ snmp.Limits, each func(pdu.Varbind) bool, roots ...[]byte) error {
	f.walks++
	for _, r := range roots {
		if err := f.walk(each, r); err != nil {
			return err
		}
	}
	return nil
}

func TestReadHostile(t *testing.T) {
	t.Run("endless tables of nonsense", func(t *testing.T) {
		var n uint64
		c := &faults{walk: func(each func(pdu.Varbind) bool, root []byte) error {
			for range maxForwards + 100 {
				n++
				oid := slices.Clone(root)
				for range n % 22 {
					oid = pdu.AppendArc(oid, n*2654435761%(1<<32))
				}
				if !each(pdu.Varbind{OID: oid, Tag: byte(n % 140), Num: n << (n % 60), Bytes: []byte(strings.Repeat("\x00\x1b", int(n%9)))}) {
					return nil
				}
			}
			return nil
		}}
		f := Read(t.Context(), "x", time.Now(), c, nil)
		Build([]Known{{Name: "x"}}, []*Facts{f}).Parents("x")
		if len(f.Interfaces) > maxInterfaces || len(f.Neighbours) > maxNeighbours || len(f.ARP) > maxBindings || len(f.Partial) > maxPartial {
			t.Errorf("%d interfaces, %d neighbours, %d addresses, %d reasons", len(f.Interfaces), len(f.Neighbours), len(f.ARP), len(f.Partial))
		}
		if len(f.Partial) == 0 {
			t.Error("it does not say that something is missing")
		}
	})
	t.Run("a device that falls silent", func(t *testing.T) {
		c := &faults{walk: func(func(pdu.Varbind) bool, []byte) error { return fmt.Errorf("walking x: %w", snmp.ErrNoAnswer) }}
		f := Read(t.Context(), "x", time.Now(), c, nil)
		if c.walks != maxSilent || !f.Deaf || !slices.Contains(f.Partial, errSilent.Error()) {
			t.Errorf("%d walks, %q", c.walks, f.Partial)
		}
	})
	t.Run("no VLAN answers", func(t *testing.T) {
		c := &faults{walk: func(each func(pdu.Varbind) bool, root []byte) error {
			if string(root) == string(oidVLANState) {
				for v := uint64(1); v < 1010; v++ {
					each(pdu.Varbind{OID: pdu.AppendArc(pdu.AppendArc(slices.Clone(root), 1), v), Tag: pdu.TagInteger, Num: 1})
				}
			}
			return nil
		}}
		var asked []int
		f := Read(t.Context(), "x", time.Now(), c, func(_ context.Context, vlan int) (Client, func(), error) {
			asked = append(asked, vlan)
			return nil, nil, snmp.ErrNoAnswer
		})
		if diff := cmp.Diff([]int{2, 3}, asked); diff != "" || len(f.Partial) == 0 {
			t.Errorf("%v, %q", asked, f.Partial)
		}
	})
}

// TestContexts: the bridges of two VLANs, whose ports have numbers of their own.
func TestContexts(t *testing.T) {
	bridge := func(port, ifIndex uint64, mac ...uint64) *faults {
		return &faults{walk: func(each func(pdu.Varbind) bool, root []byte) error {
			at := func(arcs ...uint64) []byte {
				oid := slices.Clone(root)
				for _, a := range arcs {
					oid = pdu.AppendArc(oid, a)
				}
				return oid
			}
			switch string(root) {
			case string(oidIfName):
				each(pdu.Varbind{OID: at(10101), Tag: pdu.TagOctets, Bytes: []byte("Gi1/0/1")})
				each(pdu.Varbind{OID: at(10102), Tag: pdu.TagOctets, Bytes: []byte("Gi1/0/2")})
			case string(oidBasePortIfIndex):
				each(pdu.Varbind{OID: at(port), Tag: pdu.TagInteger, Num: ifIndex})
			case string(oidFDBPort):
				each(pdu.Varbind{OID: at(mac...), Tag: pdu.TagInteger, Num: port})
			case string(oidVLANState):
				for _, vlan := range []uint64{1, 20, 30, 1002, 1005} {
					state := uint64(1)
					if vlan == 30 {
						state = 2 // suspended
					}
					each(pdu.Varbind{OID: at(1, vlan), Tag: pdu.TagInteger, Num: state})
				}
			}
			return nil
		}}
	}
	f := Read(t.Context(), "x", time.Now(), bridge(1, 10101, 0, 27, 33, 0, 0, 1), func(_ context.Context, vlan int) (Client, func(), error) {
		if vlan != 20 {
			t.Errorf("asked for VLAN %d", vlan)
		}
		return bridge(1, 10102, 0, 27, 33, 0, 0, 2), func() {}, nil
	})
	want := []Forwards{
		{IfIndex: 10101, Port: 1, MACs: MACList{mac(pc)}},
		{IfIndex: 10102, Port: 1, VLAN: 20, MACs: MACList{mac(pc2)}},
	}
	if diff := cmp.Diff(want, f.FDB); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for version, want := range map[string]snmp.Auth{"2c": {Version: "2c", Community: "c@20"}, "3": {Version: "3", Context: "vlan-20"}} {
		auth := snmp.Auth{Version: version}
		if version == "2c" {
			auth.Community = "c"
		}
		cfg, err := inVLAN(snmp.Config{Credentials: []snmp.Credential{{Name: "other"}, {Name: "lan", Auth: auth}}, Retries: 3}, "lan", 20)
		if err != nil || len(cfg.Credentials) != 1 || cfg.Credentials[0].Auth != want || cfg.Retries != 0 {
			t.Errorf("version %s: %v, %+v", version, err, cfg.Credentials)
		}
	}
}

func TestStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.json.gz")
	now := time.Now()
	s := openStore(t, path)
	sw1 := sw("sw1", 1, 3).hears(2, lldpOf(2, "Gi1/0/1")).learns(3, pc, pc2).resolves("192.168.1.20", pc)
	sw1.At = now
	s.Put(sw1)
	s.Put(&Facts{Device: "gone", At: now})
	s.Put(&Facts{Device: "old", At: now.Add(-25 * time.Hour)})
	s.Keep([]string{"sw1", "old"}, now)
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	again := openStore(t, path)
	got := again.Facts("sw1", "gone", "old", "nobody")
	if len(got) != 1 {
		t.Fatalf("%d devices are left", len(got))
	}
	known := []Known{{Name: "sw1"}}
	if diff := cmp.Diff(inWords(Build(known, []*Facts{sw1})), inWords(Build(known, got))); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	halfDeaf := &Facts{Device: "sw1", At: now, Deaf: true}
	again.Put(halfDeaf)
	if len(halfDeaf.Neighbours) != 1 {
		t.Error("neighbours that could not be read are forgotten")
	}

	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": {}, "no gzip": []byte("{}"), "cut off": whole[:len(whole)/2], "damaged": append(append([]byte{}, whole[:60]...), whole[70:]...)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(path)
		if err == nil || s == nil || len(s.Facts("sw1")) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		if s.Put(sw1); s.Save() != nil {
			t.Errorf("%s: the store cannot be used", name)
		}
	}
}

// TestStoreTooLarge: what does not fit is left out by whole databases.
func TestStoreTooLarge(t *testing.T) {
	facts := []*Facts{sw("a", 1, 1).learns(1, pc), sw("b", 2, 1).learns(1, pc, pc2)}
	if !dropLargest(facts) || facts[0].FDB == nil || facts[1].FDB != nil || len(facts[1].Partial) != 1 {
		t.Errorf("%+v", facts[1])
	}
	if !dropLargest(facts) || dropLargest(facts) {
		t.Error("it does not end")
	}
}

func FuzzStore(f *testing.F) {
	one, err := json.Marshal(&storeFile{storeVersion, []*Facts{sw("sw1", 1, 3).hears(2, lldpOf(2, "Gi1/0/1")).learns(3, pc).resolves("192.168.1.20", pc)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := parseStore(b)
		if err == nil {
			g := Build([]Known{{Name: "sw1"}}, facts)
			g.Where("sw1")
			g.Parents(g.Root())
		}
	})
}
