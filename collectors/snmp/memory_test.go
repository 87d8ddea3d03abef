package snmp

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
	"github.com/siteprobe/siteprobe/collectors/snmp/walkfile"
)

func memoryAt(t *testing.T, path string) *Memory {
	t.Helper()
	m, err := OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMemory: a program that begins anew asks a device as it has learned to.
func TestMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.json")
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(20), Community: "canary-right", Manners: snmptest.Manners{NoBulk: true}})
	lan := v2c("canary-right")
	lan.Name = "lan"
	cfg := Config{Address: agent.Addr().String(), Credentials: []Credential{v2c("wrong"), lan}, Timeout: 200 * time.Millisecond}
	m := memoryAt(t, path)
	c := collectorOf(t, cfg, WithMemory(m))
	for range 2 {
		mustPoll(t, c)
	}
	learned := c.Manners()
	if !learned.NoBulk || learned.Credential != "lan" || learned.Profile != "_generic" {
		t.Errorf("manners %+v", learned)
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "canary") {
		t.Errorf("%v: %s", err, text)
	}

	before, bulk := agent.Requests()
	again := collectorOf(t, cfg, WithMemory(memoryAt(t, path)))
	start := time.Now()
	mustPoll(t, again)
	if _, now := agent.Requests(); now != bulk {
		t.Errorf("%d GetBulk requests to an agent that was known not to understand them", now-bulk)
	}
	if took := time.Since(start); took > 150*time.Millisecond && before > 0 {
		t.Logf("the first poll took %s: were other credentials tried?", took)
	}
	if diff := cmp.Diff(learned, again.Manners()); diff != "" {
		t.Errorf("manners (-before +after):\n%s", diff)
	}

	moved := cfg
	moved.Address = "127.0.0.1:9"
	if c := collectorOf(t, moved, WithMemory(memoryAt(t, path))); c.good >= 0 {
		t.Error("a device at another address is taken for the one that was known")
	}
	m.Keep(nil)
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	if c := collectorOf(t, cfg, WithMemory(memoryAt(t, path))); c.good >= 0 {
		t.Error("a device that was to be forgotten is known")
	}
}

// TestMemoryOfPins: a counter of 64 bits that comes while the program is off does
// not take the place of the one of 32.
func TestMemoryOfPins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.json")
	m := memoryAt(t, path)
	d := newDevice(t, 2)
	d.narrow(2)
	begin := func(m *Memory) {
		d.c = collectorOf(t, Config{Address: "127.0.0.1"}, over(d.fake), WithMemory(m), WithClock(func() time.Time { return d.now }))
	}
	begin(m)
	d.step()
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	d.put(ifx+"6.2", num(pdu.TagCounter64, 6))
	begin(memoryAt(t, path))
	bs := d.step()
	if hc, in := count(bs, "ifHCInOctets"), count(bs, "ifInOctets"); hc != 1 || in != 1 {
		t.Errorf("%d counters of 64 bits and %d of 32, want one each", hc, in)
	}
}

func TestHostileMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.json")
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "hello", "another version": `{"version":2}`, "cut off": `{"version":1,"devices":{"a":`,
		"too large": `{"version":1,"devices":{"a":{"address":"` + strings.Repeat("x", maxMemory) + `"}}}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := OpenMemory(path); err == nil || m == nil {
			t.Errorf("%s: error %v", name, err)
		}
	}
	wild := Manners{Credential: "public", Version: "2c", MaxRepetitions: -5, MaxColumns: 1 << 40, ScalarsAtOnce: 1 << 30, OtherAddress: true,
		Narrow: map[string][]string{"ifInOctets": {"x", "1.2.3", "-1"}, "nobody": {"1"}}}
	b, err := json.Marshal(memoryFile{1, map[string]remembered{"sw1": {Address: "127.0.0.1", Manners: wild}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDevice(t, 3)
	d.c = collectorOf(t, Config{Address: "127.0.0.1"}, over(d.fake), WithMemory(memoryAt(t, path)), WithClock(func() time.Time { return d.now }))
	for range 3 {
		if n := count(d.step(), "ifHCInOctets"); n != 3 {
			t.Errorf("%d rows", n)
		}
	}
	if m := d.c.Manners(); m.OtherAddress || m.MaxRepetitions < 4 {
		t.Errorf("manners %+v", m)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := memoryAt(t, filepath.Join(t.TempDir(), "devices.json"))
	for i := range maxRemembered + 10 {
		m.note(fmt.Sprint(i), "a", func(*remembered) {})
	}
	if len(m.devices) != maxRemembered {
		t.Errorf("%d devices", len(m.devices))
	}
}

// TestEmptyTablesAreToldOnce: not by the collector that takes another's place, nor after a
// restart.
func TestEmptyTablesAreToldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.json")
	m := memoryAt(t, path)
	vars, problems, err := walkfile.Read(strings.NewReader("1.3.6.1.2.1.1.1.0|4|Linux TS-453A 4.2.8\n1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.8072.3.2.10\n" +
		"1.3.6.1.4.1.24681.1.2.1.0|4|5.00 %\n1.3.6.1.4.1.24681.1.2.12.0|4|TS-453A\n"))
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	told := func() (out []collectors.Event) {
		c := collectorOf(t, Config{Address: "127.0.0.1"}, WithKinds(builtInKinds()), WithMemory(m), Offline(vars))
		for _, b := range mustPoll(t, c) {
			for _, e := range b.Events {
				if e.Kind == "snmp_empty_tables" {
					out = append(out, e)
				}
			}
		}
		return out
	}
	es := told()
	if len(es) != 1 || !strings.HasPrefix(es[0].Text, "profile qnap: the device has nothing in ") {
		t.Fatalf("%+v", es)
	}
	if es := told(); len(es) > 0 {
		t.Errorf("told again: %+v", es)
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	m = memoryAt(t, path)
	if es := told(); len(es) > 0 {
		t.Errorf("told again after a restart: %+v", es)
	}
}

// TestEnumerate: no name is cut.
func TestEnumerate(t *testing.T) {
	names := []string{"interfaces", "pethPsePortTable", "hrStorageTable"}
	for room, want := range map[int]string{
		100: "interfaces, pethPsePortTable, hrStorageTable", 44: "interfaces, pethPsePortTable, hrStorageTable",
		43: "interfaces, pethPsePortTable and 1 more", 30: "interfaces and 2 more", 10: "3 tables",
	} {
		if got := enumerate(names, room); got != want {
			t.Errorf("%d: %q, want %q", room, got, want)
		}
	}
}
