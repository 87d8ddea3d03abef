package snmp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

func TestJudge(t *testing.T) {
	const minute, day = 60 * second, 24 * 3600 * second
	start := time.Unix(1700000000, 0)
	// look is what the clocks showed; -1: nothing.
	type look struct{ sys, engine, host, boots int64 }
	read := func(l look, at time.Time) (c clocks) {
		for _, r := range []struct {
			n  int64
			to *uptime
		}{{l.sys, &c.sys}, {l.engine, &c.engine}, {l.host, &c.host}, {l.boots, &c.boots}} {
			if r.n >= 0 {
				*r.to = uptime{uint64(r.n), at, true}
			}
		}
		return c
	}
	for _, test := range []struct {
		name      string
		last, now look
		source    string
		want      verdict
	}{
		{"all go on", look{day, day, day, 5}, look{day + minute, day + minute, day + minute, 5}, "", ranOn},
		{"a restart of all", look{day, day, day, 5}, look{minute, minute, minute, 6}, "", anew},
		{"of the agent", look{day, day, day, 5}, look{minute, minute, day + minute, 6}, "", agentAnew},
		{"without more than sysUpTime", look{day, -1, -1, -1}, look{minute, -1, -1, -1}, "", anew},
		{"a wrap", look{sysWrap - 10, 500 * day, -1, 5}, look{minute - 10, 500*day + minute, -1, 5}, "", wrapped},
		{"a wrap without another clock", look{sysWrap - 10, -1, -1, -1}, look{minute - 10, -1, -1, -1}, "", wrapped},
		{"a restart just before the wrap", look{sysWrap - 10, 490 * day, -1, 5}, look{minute / 2, minute / 2, -1, 6}, "", anew},
		{"an engine that begins anew by itself", look{day, day, -1, 5}, look{day + minute, 5, -1, 5}, "", badEngine},
		{"sysUpTime is the device's", look{day, day, -1, 5}, look{day + minute, minute, -1, 6}, "", agentAnew},
		{"the engine alone", look{-1, day, -1, 5}, look{-1, minute, -1, 6}, "", anew},
		{"the profile trusts sysUpTime", look{day, day, -1, 5}, look{day + minute, minute, -1, 6}, "sysUpTime", ranOn},
		{"the profile trusts the engine", look{day, day, -1, 5}, look{minute, day + minute, -1, 5}, "snmpEngineTime", ranOn},
		{"the profile trusts the engine, which began anew", look{day, day, -1, 5}, look{minute, minute, -1, 6}, "snmpEngineTime", anew},
		{"the profile trusts the host", look{day, day, day, 5}, look{minute, minute, day + minute, 6}, "hrSystemUptime", ranOn},
		{"the host's, which began anew", look{day, day, day, 5}, look{minute, minute, minute, 6}, "hrSystemUptime", anew},
		{"the first look", look{-1, -1, -1, -1}, look{minute, minute, minute, 6}, "", ranOn},
	} {
		if got := judge(read(test.last, start), read(test.now, start.Add(time.Minute)), test.source); got != test.want {
			t.Errorf("%s: verdict %d, want %d", test.name, got, test.want)
		}
	}
}

func TestAgentRestart(t *testing.T) {
	d := newDevice(t, 1)
	set := func(sys, engine, host, boots uint64) {
		d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, sys))
		d.put("1.3.6.1.6.3.10.2.1.3.0", num(pdu.TagInteger, engine))
		d.put("1.3.6.1.6.3.10.2.1.2.0", num(pdu.TagInteger, boots))
		d.put("1.3.6.1.2.1.25.1.1.0", num(pdu.TagTimeTicks, host))
	}
	poll := func() []string {
		d.now = d.now.Add(time.Minute)
		return eventKinds(mustPoll(t, d.c))
	}
	set(1000000, 10000, 9000000, 5)
	if got := poll(); len(got) != 0 {
		t.Errorf("events %v", got)
	}
	set(3000, 30, 9006000, 6)
	if got := poll(); len(got) != 1 || got[0] != "agent_restart" {
		t.Errorf("events %v", got)
	}
	set(100, 1, 100, 7)
	if got := poll(); len(got) != 1 || got[0] != "reboot" {
		t.Errorf("events %v", got)
	}
	set(6100, 61, 6100, 7)
	poll()
	set(12100, 5, 12100, 7)
	if got := poll(); len(got) != 0 || d.c.Manners().UptimeSource != "sysUpTime" {
		t.Errorf("an engine that is bad: events %v, manners %+v", got, d.c.Manners())
	}
}

func TestWraps(t *testing.T) {
	const gigabit = 1e9
	for _, test := range []struct {
		name      string
		last, now uint64
		wide      bool
		octets    bool
		speed     float64
		elapsed   time.Duration
		want      bool
	}{
		{"a busy gigabit", 1<<32 - 1000, 5e8, false, true, gigabit, time.Minute, true},
		{"more than a gigabit can", 1e9, 9e8, false, true, gigabit, 5 * time.Second, false},
		{"a slow line", 4e9, 100, false, true, 1e7, time.Minute, false},
		{"64 bits", 1<<63 + 5, 5, true, true, gigabit, time.Minute, false},
		{"errors", 5000, 0, false, false, gigabit, time.Minute, false},
		{"an unknown speed, at the end", 4.2e9, 5e8, false, true, 0, time.Minute, true},
		{"an unknown speed, in the middle", 1e9, 5, false, true, 0, time.Minute, false},
		{"more than 32 bits hold", 1 << 33, 5, false, true, gigabit, time.Hour, false},
	} {
		f := fall{last: test.last, now: test.now, wide: test.wide}
		if got := wraps(f, test.octets, test.speed, test.elapsed); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestCounterResets(t *testing.T) {
	d := newDevice(t, 20)
	d.put(ifs+"14.1", num(pdu.TagCounter32, 5))
	d.step()
	d.put(ifx+"6.1", num(pdu.TagCounter64, 7))
	d.put(ifs+"14.1", num(pdu.TagCounter32, 0))
	bs := d.step()
	if len(bs[0].Events) != 1 {
		t.Fatalf("events %v", bs[0].Events)
	}
	e := bs[0].Events[0]
	if e.Kind != "counter_reset" || !strings.Contains(e.Text, "ifInErrors, ifHCInOctets") || !strings.Contains(fmt.Sprint(e.Labels), "{ifName p1}") {
		t.Errorf("event %+v", e)
	}
	if got := eventKinds(d.step()); len(got) != 0 {
		t.Errorf("events afterwards: %v", got)
	}
	for p := 1; p <= 20; p++ {
		d.put(fmt.Sprintf("%s6.%d", ifx, p), num(pdu.TagCounter64, 1))
	}
	if got := eventKinds(d.step()); len(got) != maxResetEvents+1 {
		t.Errorf("%d events of 20 resets, want %d and one", len(got), maxResetEvents)
	}
	for p := 1; p <= 20; p++ {
		d.put(fmt.Sprintf("%s6.%d", ifx, p), num(pdu.TagCounter64, 0))
	}
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 0))
	if diff := cmp.Diff([]string{"reboot"}, eventKinds(d.step())); diff != "" {
		t.Errorf("resets at a restart (-want +got):\n%s", diff)
	}
}

func TestRenumbered(t *testing.T) {
	d := newDevice(t, 4)
	d.take(ifx + "1.4") // known by ifDescr
	d.step()
	columns := []string{ifs + "2", ifs + "8", ifs + "10", ifx + "1", ifx + "6", ifx + "15", ifx + "18"}
	for p := 1; p <= 4; p++ { // each moves by ten
		for _, c := range columns {
			if i, ok := d.find(pdu.MustOID(fmt.Sprintf("%s.%d", c, p))); ok {
				v := d.vars[i]
				d.take(fmt.Sprintf("%s.%d", c, p))
				d.put(fmt.Sprintf("%s.%d", c, p+2), v)
			}
		}
		if p == 2 {
			break
		}
	}
	// Now the first two are 3 and 4, in place of those that are gone.
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 0))
	bs := d.step()
	if diff := cmp.Diff([]string{"reboot", "interfaces_renumbered"}, eventKinds(bs)); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	if text := bs[0].Events[1].Text; !strings.Contains(text, "2 of 2 interfaces") || !strings.Contains(text, "p1 was 1 and is 3; p2 was 2 and is 4") {
		t.Errorf("event %q", text)
	}
	d.check("readings", bs, map[string]string{
		`ifHCInOctets{ifIndex="3",ifName="p1",ifAlias=""}`: "1099511627776", `ifHCInOctets{ifIndex="4",ifName="p2",ifAlias=""}`: "2199023255552"}, "ifHCInOctets")
	if got := eventKinds(d.step()); len(got) != 0 {
		t.Errorf("events afterwards: %v", got)
	}
}

func TestRenumberedByWhatTellsApart(t *testing.T) {
	identity := []int{12, 13}
	for _, test := range []struct {
		name        string
		before, now map[string]string
		want        int
	}{
		{"nothing", map[string]string{"12 \x04a": "1"}, map[string]string{"12 \x04a": "1"}, 0},
		{"gone", map[string]string{"12 \x04a": "1"}, map[string]string{}, 0},
		{"moved", map[string]string{"12 \x04a": "1"}, map[string]string{"12 \x04a": "2"}, 1},
		{"a description that moved, of an interface that did not", map[string]string{"12 \x04a": "1", "13 \x04x": "1"}, map[string]string{"12 \x04a": "1", "13 \x04x": "2"}, 0},
		{"only a description", map[string]string{"13 \x04x": "1"}, map[string]string{"13 \x04x": "2"}, 1},
		{"both", map[string]string{"12 \x04a": "1", "13 \x04x": "1"}, map[string]string{"12 \x04a": "2", "13 \x04x": "2"}, 1},
	} {
		if _, moved := renumbered(test.before, test.now, identity); len(moved) != test.want {
			t.Errorf("%s: %v", test.name, moved)
		}
	}
}

func TestDuplicateEngineIDs(t *testing.T) {
	engines := NewEngines()
	device := func(name, id string) *device {
		d := newDevice(t, 1)
		d.put("1.3.6.1.6.3.10.2.1.1.0", octets(id))
		d.c = collectorOf(t, Config{Device: name, Address: "127.0.0.1"}, over(d.fake), WithEngines(engines), WithClock(func() time.Time { return d.now }))
		return d
	}
	a, b, c := device("a", "\x80engine1"), device("b", "\x80engine1"), device("c", "\x80engine2")
	if got := eventKinds(append(a.step(), c.step()...)); len(got) != 0 {
		t.Errorf("events of a and c: %v", got)
	}
	if got := b.step()[0].Events; len(got) != 1 || got[0].Kind != "duplicate_engine_id" || !strings.Contains(got[0].Text, "as a:") {
		t.Errorf("events of b: %v", got)
	}
	a.now = a.now.Add(10 * time.Minute)
	if got := a.step()[0].Events; len(got) != 1 || !strings.Contains(got[0].Text, "as b:") {
		t.Errorf("events of a: %v", got)
	}
	a.now = a.now.Add(10 * time.Minute)
	if got := eventKinds(a.step()); len(got) != 0 {
		t.Errorf("told again: %v", got)
	}
	engines.Keep([]string{"a"})
	if others := engines.claim("a", "x"); len(others) != 0 {
		t.Errorf("forgotten, and still there: %v", others)
	}
}
