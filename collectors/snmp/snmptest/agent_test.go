package snmptest_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosnmp/gosnmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// client asks an agent with gosnmp, whose reading of SNMP is not ours.
func client(t *testing.T, a *snmptest.Agent, version gosnmp.SnmpVersion) *gosnmp.GoSNMP {
	t.Helper()
	g := &gosnmp.GoSNMP{Target: a.Addr().Addr().String(), Port: a.Addr().Port(), Community: "public",
		Version: version, Timeout: 200 * time.Millisecond, MaxOids: 60}
	if err := g.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func listen(t *testing.T, c snmptest.Config) *snmptest.Agent {
	t.Helper()
	a, err := snmptest.Listen("", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// say writes an answer on one line.
func say(p *gosnmp.SnmpPacket, err error) string {
	if err != nil {
		return "error"
	}
	var b strings.Builder
	if p.Error != gosnmp.NoError {
		fmt.Fprintf(&b, "%v %d:", p.Error, p.ErrorIndex)
	}
	for _, v := range p.Variables {
		fmt.Fprintf(&b, " %s=%v/%v", strings.TrimPrefix(v.Name, "."), v.Type, v.Value)
	}
	return strings.TrimSpace(b.String())
}

func small() *snmptest.MIB {
	m := &snmptest.MIB{}
	m.Set("1.3.6.1.1.2", snmptest.Counter64(1<<64-1))
	m.Set("1.3.6.1.1.1", snmptest.Integer(-5))
	m.Set("1.3.6.1.2.1", snmptest.Octets("text"))
	m.Set("1.3.6.1.2.300", snmptest.IPAddress(netip.MustParseAddr("192.0.2.1")))
	m.Set("1.3.6.1.3.1", snmptest.ObjectID("1.3.6.1.4.1.4294967295"))
	return m
}

func TestAnswers(t *testing.T) {
	a := listen(t, snmptest.Config{MIB: small()})
	for _, test := range []struct {
		name    string
		version gosnmp.SnmpVersion
		ask     func(*gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error)
		want    string
	}{
		{"get", gosnmp.Version2c, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
			return g.Get([]string{"1.3.6.1.1.1", "1.3.6.1.1.2", "1.3.6.1.1.3", "1.3.6.1.9.1"})
		}, "1.3.6.1.1.1=Integer/-5 1.3.6.1.1.2=Counter64/18446744073709551615 1.3.6.1.1.3=NoSuchInstance/<nil> 1.3.6.1.9.1=NoSuchObject/<nil>"},
		{"next", gosnmp.Version2c, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
			return g.GetNext([]string{"1.3.6.1.1", "1.3.6.1.2.1", "1.3.6.1.3.1"})
		}, "1.3.6.1.1.1=Integer/-5 1.3.6.1.2.300=IPAddress/192.0.2.1 1.3.6.1.3.1=EndOfMibView/<nil>"},
		{"bulk", gosnmp.Version2c, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
			return g.GetBulk([]string{"1.3.6.1.1", "1.3.6.1.2", "1.3.6.1.2.300"}, 1, 2)
		}, "1.3.6.1.1.1=Integer/-5 1.3.6.1.2.1=OctetString/[116 101 120 116] 1.3.6.1.3.1=ObjectIdentifier/.1.3.6.1.4.1.4294967295" +
			" 1.3.6.1.2.300=IPAddress/192.0.2.1 1.3.6.1.3.1=EndOfMibView/<nil>"},
		{"v1 get", gosnmp.Version1, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
			return g.Get([]string{"1.3.6.1.1.1", "1.3.6.1.1.2"})
		}, "NoSuchName 2: 1.3.6.1.1.1=Null/<nil> 1.3.6.1.1.2=Null/<nil>"},
		{"v1 next", gosnmp.Version1, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
			return g.GetNext([]string{"1.3.6.1.1.1"})
		}, "1.3.6.1.2.1=OctetString/[116 101 120 116]"},
		{"v1 end", gosnmp.Version1, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
			return g.GetNext([]string{"1.3.6.1.3.1"})
		}, "NoSuchName 1: 1.3.6.1.3.1=Null/<nil>"},
		{"set", gosnmp.Version2c, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
			return g.Set([]gosnmp.SnmpPDU{{Name: "1.3.6.1.1.1", Type: gosnmp.Integer, Value: 1}})
		}, "NotWritable 1: 1.3.6.1.1.1=Integer/1"},
	} {
		if got := say(test.ask(client(t, a, test.version))); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
	other := client(t, a, gosnmp.Version2c)
	other.Community = "other"
	if got := say(other.Get([]string{"1.3.6.1.1.1"})); got != "error" {
		t.Errorf("another community: %s", got)
	}
}

func TestManners(t *testing.T) {
	bulk := func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.GetBulk([]string{"1.3.6.1.1"}, 0, 3) }
	next := func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.GetNext([]string{"1.3.6.1.1.1"}) }
	const first = "1.3.6.1.1.1=Integer/-5"
	for _, test := range []struct {
		name    string
		manners snmptest.Manners
		ask     func(*gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error)
		want    string
	}{
		{"tooBig", snmptest.Manners{TooBig: 20}, bulk, "TooBig 0:"},
		{"short", snmptest.Manners{MaxMessage: 70}, bulk, first},
		{"no bulk", snmptest.Manners{NoBulk: true}, bulk, "GenErr 0: 1.3.6.1.1=Null/<nil>"},
		{"a cap", snmptest.Manners{MaxRepetitions: 1}, bulk, first},
		{"a loop", snmptest.Manners{LoopAt: "1.3.6.1.1.1"}, bulk, first + " " + first + " " + first},
		{"genErr", snmptest.Manners{GenErrAt: "1.3.6.1.1.2"}, next, "GenErr 1: 1.3.6.1.1.1=Null/<nil>"},
		{"lost", snmptest.Manners{DropEvery: 1}, next, "error"},
		{"another number", snmptest.Manners{WrongRequestID: true}, next, "error"},
		{"cut off", snmptest.Manners{Truncate: 1}, next, "error"},
		{"from elsewhere", snmptest.Manners{ReplyFrom: netip.MustParseAddr("127.0.0.2")}, next, "error"},
		{"late", snmptest.Manners{Delay: time.Hour}, next, "error"},
		{"a little late", snmptest.Manners{Delay: time.Millisecond}, bulk, first + " 1.3.6.1.1.2=Counter64/18446744073709551615 1.3.6.1.2.1=OctetString/[116 101 120 116]"},
		{"rewritten", snmptest.Manners{Rewrite: func(_, out []byte) []byte { return nil }}, next, "error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := listen(t, snmptest.Config{MIB: small(), Manners: test.manners})
			if got := say(test.ask(client(t, a, gosnmp.Version2c))); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
			a.SetManners(snmptest.Manners{})
			if got := say(client(t, a, gosnmp.Version2c).Get([]string{"1.3.6.1.1.1"})); got != first {
				t.Errorf("with good manners again: %s", got)
			}
		})
	}
}

func TestFuncIsCalledOncePerRequest(t *testing.T) {
	m := small()
	calls := 0
	m.SetFunc("1.3.6.1.1.1", func() snmptest.Value { calls++; return snmptest.Gauge32(uint32(calls)) })
	a := listen(t, snmptest.Config{MIB: m})
	g := client(t, a, gosnmp.Version2c)
	for n := 1; n <= 3; n++ {
		want := fmt.Sprintf("1.3.6.1.1.1=Gauge32/%d 1.3.6.1.1.1=Gauge32/%d", n, n)
		if got := say(g.Get([]string{"1.3.6.1.1.1", "1.3.6.1.1.1"})); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if all, bulk := a.Requests(); all != 3 || bulk != 0 {
		t.Errorf("%d requests, %d of them bulk", all, bulk)
	}
}

func TestMIBMayChange(t *testing.T) {
	a := listen(t, snmptest.Config{MIB: small()})
	g := client(t, a, gosnmp.Version2c)
	a.MIB().Set("1.3.6.1.1.1", snmptest.TimeTicks(1))
	a.MIB().Delete("1.3.6.1.2")
	want := "1.3.6.1.1.1=TimeTicks/1 1.3.6.1.1.2=Counter64/18446744073709551615 1.3.6.1.3.1=ObjectIdentifier/.1.3.6.1.4.1.4294967295"
	if diff := cmp.Diff(want, say(g.GetBulk([]string{"1.3.6.1.1"}, 0, 3))); diff != "" || a.MIB().Len() != 3 {
		t.Errorf("%d variables (-want +got):\n%s", a.MIB().Len(), diff)
	}
}

func TestSwitch(t *testing.T) {
	var later atomic.Int64
	now := func() time.Time { return time.Unix(1700000000+later.Load(), 0) }
	a := listen(t, snmptest.Config{MIB: snmptest.SwitchAt(3, now)})
	g := client(t, a, gosnmp.Version2c)
	oids := []string{"1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.31.1.1.1.6.2", "1.3.6.1.2.1.31.1.1.1.1.3"}
	before := say(g.Get(oids))
	later.Store(10)
	after := say(g.Get(oids))
	for _, test := range [][2]string{
		{before, "1.3.6.1.2.1.1.3.0=TimeTicks/360000 1.3.6.1.2.1.31.1.1.1.6.2=Counter64/2720000000 1.3.6.1.2.1.31.1.1.1.1.3=OctetString/[71 105 49 47 48 47 51]"},
		{after, "1.3.6.1.2.1.1.3.0=TimeTicks/361000 1.3.6.1.2.1.31.1.1.1.6.2=Counter64/2722000000 1.3.6.1.2.1.31.1.1.1.1.3=OctetString/[71 105 49 47 48 47 51]"},
	} {
		if test[0] != test[1] {
			t.Errorf("got  %s\nwant %s", test[0], test[1])
		}
	}
}

func TestListenFails(t *testing.T) {
	if _, err := snmptest.Listen("nowhere", snmptest.Config{}); err == nil {
		t.Error("an agent without a port")
	}
}

func FuzzRequest(f *testing.F) {
	a, err := snmptest.Listen("", snmptest.Config{MIB: small()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = a.Close() })
	g := &gosnmp.GoSNMP{Community: "public", Version: gosnmp.Version2c}
	msg, err := g.SnmpEncodePacket(gosnmp.GetBulkRequest, []gosnmp.SnmpPDU{{Name: ".1.3.6.1.1", Type: gosnmp.Null}}, 0, 3)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Fuzz(func(t *testing.T, msg []byte) {
		if out := snmptest.Answer(a, msg); len(out) > 66000 {
			t.Errorf("%d bytes", len(out))
		}
	})
}
