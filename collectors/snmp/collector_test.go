package snmp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

const (
	ifs = "1.3.6.1.2.1.2.2.1."
	ifx = "1.3.6.1.2.1.31.1.1.1."
)

func TestFirstPoll(t *testing.T) {
	now := time.Unix(1700000000, 0)
	agent := serve(t, snmptest.Config{MIB: snmptest.SwitchAt(2, func() time.Time { return now })})
	c := collectorOf(t, Config{Address: agent.Addr().String(), Labels: []collectors.Label{{Name: "contract", Value: "gold"}}})
	bs := mustPoll(t, c)
	want := map[string]string{
		`sysUpTime{device="sw1",contract="gold"}`:   "360000",
		`sysName{device="sw1",contract="gold"}`:     "switch",
		`sysObjectID{device="sw1",contract="gold"}`: "1.3.6.1.4.1.8072.9999.1",
		`sysDescr{device="sw1",contract="gold"}`:    "Siteprobe test switch, 2 ports",
	}
	for port, totals := range map[int][3]string{1: {"1000003600", "1360000000", "1900000000"}, 2: {"2000007200", "2720000000", "3800000000"}} {
		for metric, value := range map[string]string{
			"ifAdminStatus": "1", "ifOperStatus": "1", "ifOutErrors": "0", "ifOutDiscards": "0", "ifHighSpeed": "1000",
			"ifInErrors": "0", "ifInDiscards": totals[0], "ifHCInOctets": totals[1], "ifHCOutOctets": totals[2],
		} {
			want[fmt.Sprintf(`%s{device="sw1",ifIndex="%d",ifName="Gi1/0/%d",ifAlias="desk %d",contract="gold"}`, metric, port, port, port)] = value
		}
	}
	if diff := cmp.Diff(want, readings(bs)); diff != "" {
		t.Errorf("readings (-want +got):\n%s", diff)
	}
	if bs[0].Source != "device/sw1" || c.Source() != "device/sw1" {
		t.Errorf("source %q", bs[0].Source)
	}
}

func TestLaterPollsAreSmallAndKeepTheSchema(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(48)})
	c := collectorOf(t, Config{Address: agent.Addr().String()})
	first := mustPoll(t, c)
	for range 4 {
		mustPoll(t, c)
	}
	before, _ := agent.Requests()
	last := mustPoll(t, c)
	after, _ := agent.Requests()
	if last[0].Schema != first[0].Schema {
		t.Error("the schema is another although nothing has changed")
	}
	if &last[0].Values[0] == &first[0].Values[0] {
		t.Error("the values of the first poll were written over")
	}
	if got := after - before; got != 2 { // 25 and 24 repetitions of nine columns, the scalars before the first
		t.Errorf("%d requests for a poll of 48 ports, want 2", got)
	}
	if got, want := last[0].Readings(), 1+2+48*9; got != want {
		t.Errorf("%d readings, want %d", got, want)
	}
}

func TestCredentialsInTurn(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1), Community: "right"})
	c := collectorOf(t, Config{Address: agent.Addr().String(), Timeout: 200 * time.Millisecond,
		Credentials: []Credential{v2c("wrong"), v2c("right")}})
	mustPoll(t, c)
	before, _ := agent.Requests()
	mustPoll(t, c)
	if after, _ := agent.Requests(); after-before > 3 {
		t.Errorf("%d requests: the credential that works was forgotten", after-before)
	}
}

func TestVersion1(t *testing.T) {
	mib := snmptest.Switch(3)
	mib.Delete("1.3.6.1.2.1.31.1.5.0") // v1 refuses the whole request for it
	agent := serve(t, snmptest.Config{MIB: mib})
	c := collectorOf(t, Config{Address: agent.Addr().String(),
		Credentials: []Credential{{Name: "old", Auth: Auth{Version: "1", Community: "public"}}}})
	bs := mustPoll(t, c)
	if hc, in := count(bs, "ifHCInOctets"), count(bs, "ifInOctets"); hc != 0 || in != 3 {
		t.Errorf("%d ifHCInOctets and %d ifInOctets, want 0 and 3", hc, in)
	}
	if _, bulk := agent.Requests(); bulk != 0 {
		t.Errorf("%d GetBulk requests of v1", bulk)
	}
	mustPoll(t, c)
}

func TestManners(t *testing.T) {
	for _, test := range []struct {
		name    string
		manners snmptest.Manners
		err     error  // nil: all is read
		missing string // the metric that is incomplete
	}{
		{name: "good"},
		{name: "tooBig", manners: snmptest.Manners{TooBig: 400}},
		{name: "tooBig for all but one variable", manners: snmptest.Manners{TooBig: 60}},
		{name: "no bulk", manners: snmptest.Manners{NoBulk: true}},
		{name: "few repetitions", manners: snmptest.Manners{MaxRepetitions: 1}},
		{name: "short answers", manners: snmptest.Manners{MaxMessage: 484}},
		{name: "lost requests", manners: snmptest.Manners{DropEvery: 7}},
		{name: "a slow drip", manners: snmptest.Manners{Delay: time.Millisecond, MaxRepetitions: 2}},
		{name: "answers of more than 500 bytes are cut off",
			manners: snmptest.Manners{Rewrite: func(_, out []byte) []byte { return out[:min(len(out), 500)] }}},
		{name: "large answers are lost",
			manners: snmptest.Manners{Rewrite: func(_, out []byte) []byte {
				if len(out) > 1400 {
					return nil
				}
				return out
			}}},
		{name: "a loop", manners: snmptest.Manners{LoopAt: ifs + "14.9"}, err: errNotIncreasing, missing: "ifInErrors"},
		{name: "a variable that breaks GetNext",
			manners: snmptest.Manners{NoBulk: true, GenErrAt: ifs + "14.9"}, err: &StatusError{Status: 5}, missing: "ifInErrors"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			agent := serve(t, snmptest.Config{MIB: snmptest.Switch(20), Manners: test.manners})
			timeout := 5 * time.Second // not waited for where answers come
			if strings.Contains(test.name, "lost") {
				timeout = 300 * time.Millisecond
			}
			c := collectorOf(t, Config{Address: agent.Addr().String(), Timeout: timeout, Retries: 1})
			var bs []collectors.Batch
			for n := range 3 {
				var err error
				bs, err = poll(t, c)
				var status *StatusError
				switch {
				case test.err == nil && err != nil && strings.Contains(test.name, "lost") && n < 2:
					// What is lost counts as too much asked; it is learned.
				case test.err == nil && err != nil:
					t.Fatalf("poll %d: %v", n, err)
				case errors.As(test.err, &status) && !errors.As(err, &status):
					t.Fatalf("poll %d: error %v, want an error-status", n, err)
				case status == nil && !errors.Is(err, test.err):
					t.Fatalf("poll %d: error %v, want %v", n, err, test.err)
				}
				if test.missing != "" && !strings.Contains(err.Error(), test.missing) {
					t.Errorf("error %q does not name %s", err, test.missing)
				}
			}
			for _, metric := range []string{"ifHCInOctets", "ifInErrors", "ifOperStatus", "ifHighSpeed"} {
				want := 20
				if metric == test.missing {
					want = 9
					if status := (*StatusError)(nil); errors.As(test.err, &status) {
						want = 8
					}
				}
				if got := count(bs, metric); got != want {
					t.Errorf("%d series of %s, want %d", got, metric, want)
				}
			}
		})
	}
}

func TestSilence(t *testing.T) {
	for _, test := range []struct {
		name    string
		manners snmptest.Manners
		want    error
	}{
		{"nothing", snmptest.Manners{DropEvery: 1}, ErrNoAnswer},
		{"wrong numbers", snmptest.Manners{WrongRequestID: true}, ErrOtherAnswer},
		{"cut off", snmptest.Manners{Truncate: 5}, ErrMalformed},
		{"late", snmptest.Manners{Delay: time.Minute}, ErrNoAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1), Manners: test.manners})
			c := collectorOf(t, Config{Address: agent.Addr().String(), Timeout: 30 * time.Millisecond})
			bs, err := poll(t, c)
			if !errors.Is(err, test.want) || len(bs) != 0 {
				t.Errorf("%d batches and error %v, want %v", len(bs), err, test.want)
			}
		})
	}
}

func TestNothingListens(t *testing.T) {
	agent := serve(t, snmptest.Config{})
	address := agent.Addr().String()
	if err := agent.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := poll(t, collectorOf(t, Config{Address: address})); !errors.Is(err, ErrRefused) {
		t.Errorf("error %v, want %v", err, ErrRefused)
	}
}

func TestNothingToSee(t *testing.T) {
	agent := serve(t, snmptest.Config{})
	c := collectorOf(t, Config{Address: agent.Addr().String()})
	for range 2 {
		if bs, err := poll(t, c); !errors.Is(err, ErrNothing) || len(bs) != 0 {
			t.Errorf("%d batches and error %v, want %v", len(bs), err, ErrNothing)
		}
	}
}

func TestOutsideTheScope(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1)})
	c, err := New(Config{Device: "x", Address: agent.Addr().String(), Credentials: []Credential{v2c("public")}}, scopeOf("10.0.0.0/8"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := poll(t, c); !errors.Is(err, errOutside) || !errors.Is(err, errResolve) {
		t.Errorf("error %v, want the resolver's", err)
	}
	if n, _ := agent.Requests(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestAnswersFromAnotherAddress(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1),
		Manners: snmptest.Manners{ReplyFrom: netip.MustParseAddr("127.0.0.2")}})
	cfg := Config{Device: "gw", Address: agent.Addr().String(), Credentials: []Credential{v2c("public")}, Timeout: 200 * time.Millisecond}

	c := collectorOf(t, cfg)
	bs := mustPoll(t, c)
	if len(bs[0].Events) != 1 || bs[0].Events[0].Kind != "snmp_reply_address" {
		t.Errorf("events %v", bs[0].Events)
	}
	before, _ := agent.Requests()
	if bs = mustPoll(t, c); len(bs[0].Events) != 0 {
		t.Errorf("told again: %v", bs[0].Events)
	}
	if after, _ := agent.Requests(); after-before > 2 {
		t.Errorf("%d requests: the way that works was forgotten", after-before)
	}

	narrow, err := New(cfg, scopeOf("127.0.0.1/32"))
	if err != nil {
		t.Fatal(err)
	}
	defer narrow.Close()
	if _, err := poll(t, narrow); !errors.Is(err, ErrOtherAddress) {
		t.Errorf("an answer from outside the scope: error %v", err)
	}
}

// TestAnswersFromAnotherPort: after the first poll no answer is dropped of a device
// behind a translator of addresses that gives each answer another port.
func TestAnswersFromAnotherPort(t *testing.T) {
	r := newRogue(t, snmptest.Switch(2), func(q *question) { q.r.sendFrom("127.0.0.1", q.right, q.from) })
	c := collectorOf(t, Config{Address: r.address(), Timeout: 200 * time.Millisecond})
	first := mustPoll(t, c)
	if ev := first[0].Events; len(ev) != 1 || !strings.Contains(ev[0].Text, "answers from another port, although asked at") {
		t.Errorf("events %v", ev)
	}
	before := c.sockets.Stats().Strangers
	if again := mustPoll(t, c); len(again[0].Events) != 0 || count(again, "ifOperStatus") != 2 {
		t.Errorf("events %v, %d rows", again[0].Events, count(again, "ifOperStatus"))
	}
	if after := c.sockets.Stats().Strangers; after != before {
		t.Errorf("%d answers were not taken", after-before)
	}
}

func TestCancelIsPrompt(t *testing.T) {
	asked := make(chan struct{}, 100)
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1),
		Manners: snmptest.Manners{Rewrite: func(_, _ []byte) []byte { asked <- struct{}{}; return nil }}})
	c := collectorOf(t, Config{Address: agent.Addr().String(), Timeout: time.Minute})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	start := time.Now()
	err := c.Collect(ctx, func(collectors.Batch) { t.Error("emitted") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}

	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := c.Collect(ctx, func(collectors.Batch) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want context.DeadlineExceeded", err)
	}
}

func TestClosed(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1)})
	c := collectorOf(t, Config{Address: agent.Addr().String()})
	mustPoll(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := poll(t, c); err == nil {
		t.Error("a closed collector collects")
	}
}

func TestUniqueCounter(t *testing.T) {
	mib := snmptest.Switch(1)
	n := uint64(0)
	mib.SetFunc(ifx+"6.1", func() snmptest.Value { n++; return snmptest.Counter64(n) })
	agent := serve(t, snmptest.Config{MIB: mib})
	c := collectorOf(t, Config{Address: agent.Addr().String()})
	seen := map[string]bool{}
	for range 20 {
		v := readings(mustPoll(t, c))[`ifHCInOctets{device="sw1",ifIndex="1",ifName="Gi1/0/1",ifAlias="desk 1"}`]
		if seen[v] {
			t.Fatalf("the counter is %s twice", v)
		}
		seen[v] = true
	}
}
