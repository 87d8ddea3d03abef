package wire_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// ranges makes n ranges that neither overlap nor touch.
func ranges(n int, step uint64) (r block.Ranges) {
	for i := range n {
		first := uint64(i)*step*3 + 1
		r = append(r, block.Range{First: first, End: first + step})
	}
	return r
}

// fits checks that every message is one, and not just a little of one.
func fits(t *testing.T, payloads [][]byte) {
	t.Helper()
	for i, p := range payloads {
		if len(p) == 0 || len(p) > wire.MaxMessage {
			t.Errorf("message %d of %d has %d bytes", i, len(payloads), len(p))
		}
		if i < len(payloads)-1 && len(p) < 16<<10 {
			t.Errorf("message %d of %d has only %d bytes", i, len(payloads), len(p))
		}
	}
}

func TestAccountRoundTrip(t *testing.T) {
	small := &buffer.Account{Probe: "t/s", Lines: []buffer.AccountLine{
		{Epoch: 1<<64 - 1, EpochStart: 1_772_366_400_000, Prev: 1<<64 - 2, N: 7, Source: "device/sw", From: 3, Next: 1000,
			Pending: []buffer.TierRanges{{Tier: 0, Ranges: ranges(3, 5)}, {Tier: 2, Ranges: block.Ranges{{First: 600, End: 700}}}},
			Gaps:    []store.Gap{{Epoch: 1<<64 - 1, Source: "device/sw", Range: block.Range{First: 100, End: 105}, T0: 5, T1: 6, Reason: "budget"}}},
		{Epoch: 2, Source: "box"},
	}}
	big := &buffer.Account{Probe: "t/s"}
	for i := range 3000 {
		l := buffer.AccountLine{Epoch: uint64(i % 7), Source: fmt.Sprintf("device/%d %s", i, strings.Repeat("x", i%90)), Next: 10_000}
		if i%60 == 0 {
			l.Pending = []buffer.TierRanges{{Ranges: ranges(500, 2)}}
		}
		big.Lines = append(big.Lines, l)
	}
	for name, a := range map[string]*buffer.Account{"small": small, "big": big} {
		payloads := wire.EncodeAccount(a)
		fits(t, payloads)
		got := &buffer.Account{Probe: a.Probe}
		for _, p := range payloads {
			part, err := wire.DecodeAccount(p)
			if err != nil || part.Probe != a.Probe {
				t.Fatalf("%s: %v %+v", name, err, part)
			}
			got.Lines = append(got.Lines, part.Lines...)
		}
		if d := cmp.Diff(a, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %.2000s", name, d)
		}
	}
	if n := len(wire.EncodeAccount(&buffer.Account{Probe: "t/s"})); n != 0 {
		t.Errorf("an account of nothing takes %d messages", n)
	}
}

func TestReplyRoundTrip(t *testing.T) {
	r := &wire.Reply{Hub: "h"}
	rnd := rand.New(rand.NewPCG(1, 1))
	id := func() (id block.ID) {
		for i := range id {
			id[i] = byte(rnd.Uint32())
		}
		return id
	}
	for i := range 5000 {
		r.Stored = append(r.Stored, id())
		if i%60 == 0 {
			r.Unreadable = append(r.Unreadable, id())
			r.Missing = append(r.Missing, wire.Missing{Block: id(), Schemas: []block.ID{id(), id()}})
		}
	}
	r.Answer = []buffer.AnswerLine{
		{Epoch: 1, Source: "a", Has: []buffer.TierRanges{{Tier: 1, Ranges: ranges(2000, 1000)}}, Want: ranges(4000, 1_000_000)},
		{Epoch: 1, Source: "nothing to say"},
	}
	payloads := wire.EncodeReply(r)
	fits(t, payloads)
	got := &wire.Reply{Hub: "h"}
	lines := map[string]*buffer.AnswerLine{}
	for _, p := range payloads {
		part, err := wire.DecodeReply(p)
		if err != nil || part.Hub != "h" {
			t.Fatalf("%v %+v", err, part)
		}
		got.Stored = append(got.Stored, part.Stored...)
		got.Unreadable = append(got.Unreadable, part.Unreadable...)
		got.Missing = append(got.Missing, part.Missing...)
		for _, l := range part.Answer {
			x := lines[l.Source]
			if x == nil {
				x = &buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source}
				lines[l.Source] = x
			}
			x.Want = x.Want.Union(l.Want)
			for _, h := range l.Has {
				if x.Has == nil {
					x.Has = []buffer.TierRanges{{Tier: h.Tier}}
				}
				x.Has[0].Ranges = x.Has[0].Union(h.Ranges)
			}
		}
	}
	for i := range r.Answer {
		l := lines[r.Answer[i].Source]
		if l == nil {
			t.Fatalf("the answer about %q is lost", r.Answer[i].Source)
		}
		got.Answer = append(got.Answer, *l)
	}
	if d := cmp.Diff(r, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%.2000s", d)
	}
	if len(wire.EncodeReply(&wire.Reply{Hub: "h", Answer: r.Answer[1:]})) != 1 {
		t.Error("an account with nothing to say about it is not answered")
	}
}

func TestSchemasRoundTrip(t *testing.T) {
	var all [][]byte
	for i := range 40 {
		all = append(all, bytes.Repeat([]byte{byte(i)}, 1+i*1400))
	}
	payloads := wire.EncodeSchemas(all)
	var got [][]byte
	for i, p := range payloads {
		if len(p) > wire.MaxMessage {
			t.Errorf("message %d has %d bytes", i, len(p))
		}
		part, err := wire.DecodeSchemas(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !slices.EqualFunc(all, got, bytes.Equal) {
		t.Errorf("%d schemas became %d, or other ones", len(all), len(got))
	}
	if wire.EncodeSchemas(nil) != nil {
		t.Error("no schemas take messages")
	}
}

func TestTopics(t *testing.T) {
	s := wire.Site{Tenant: "northwind", Name: "acme-berlin"}
	for _, k := range []wire.Kind{wire.Live, wire.Backfill, wire.SchemaUp, wire.Accounts, wire.Replies, wire.State} {
		if got, kind, ok := wire.ParseTopic(s.Topic(k)); !ok || got != s || kind != k {
			t.Errorf("%s: %v %v %v", s.Topic(k), got, kind, ok)
		}
	}
	if got, k, ok := wire.ParseTopic(s.Topic(wire.Flow)); !ok || k != wire.Flow || got.Tenant != s.Tenant {
		t.Errorf("flow: %v %v %v", got, k, ok)
	}
	if got := s.Converted("json"); got != "sp/v1/northwind/acme-berlin/json" {
		t.Error(got)
	}
	if got, ok := wire.ParseProbe(s.Probe()); !ok || got != s {
		t.Errorf("%v %v", got, ok)
	}
	for _, bad := range []string{"", "sp", "sp/v1/", "sp/v1/a", "sp/v1/a/b", "sp/v2/a/b/st", "sp/v1//b/st", "sp/v1/a//st", "sp/v1/A/b/st",
		"sp/v1/a b/c/st", "sp/v1/+/b/st", "sp/v1/a/#", "sp/v1//flow", "x/sp/v1/a/b/st", "sp/v1/a/" + strings.Repeat("x", 64) + "/st", "sp/v1/ä/b/st"} {
		if s, k, ok := wire.ParseTopic(bad); ok {
			t.Errorf("%q is %v %v", bad, s, k)
		}
	}
	for _, bad := range []string{"", "a", "a/", "/b", "a/b/c", "a/B", "a/b ", "a/b\x00"} {
		if s, ok := wire.ParseProbe(bad); ok {
			t.Errorf("%q is %v", bad, s)
		}
	}
}

func TestStatus(t *testing.T) {
	verdict, oldest, days := "isp", "2026-03-01T12:00:00Z", 12.5
	s := &wire.Status{Site: "t/s", Version: "1", Online: true, Uplink: wire.Uplink{State: "connected", Ack: "hub", Proved: true}, Verdict: &verdict,
		Buffer: wire.Buffer{PendingReadings: 1 << 40, Oldest: &oldest, DaysLeft: &days}, Trouble: []wire.Trouble{{What: "w", Hint: "h"}}}
	b, err := wire.EncodeStatus(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeStatus(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, got); d != "" {
		t.Error(d)
	}
	// However many devices there are, and whatever their names, it is one message.
	for i := range 2000 {
		s.Devices.List = append(s.Devices.List, wire.SourceState{Source: fmt.Sprint(i), Why: strings.Repeat("<\x00>", 85)})
	}
	if b, err = wire.EncodeStatus(s); err != nil || len(b) > wire.MaxMessage {
		t.Errorf("%d bytes: %v", len(b), err)
	}
	if len(s.Devices.List) != 2000 {
		t.Error("the caller's status was changed")
	}
	for _, bad := range []string{"", "[]", "{", `{"online":3}`, strings.Repeat(" ", wire.MaxMessage+1)} {
		if _, err := wire.DecodeStatus([]byte(bad)); err == nil {
			t.Errorf("%.20q is a status", bad)
		}
	}
}
