package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// Whatever comes, decoding does not panic, and what it accepts is in bounds and
// survives being encoded again.

const most = 1 << 48 // batch numbers

func inBounds(t *testing.T, r block.Ranges) {
	t.Helper()
	var end uint64
	for i, x := range r {
		if x.First >= x.End || x.End > most || i > 0 && x.First <= end {
			t.Fatalf("range %d of %v", i, r)
		}
		end = x.End
	}
}

func FuzzDecodeAccount(f *testing.F) {
	for _, p := range wire.EncodeAccount(&buffer.Account{Probe: "t/s", Lines: []buffer.AccountLine{{Epoch: 1, Source: "a", Next: 9,
		Pending: []buffer.TierRanges{{Tier: 1, Ranges: ranges(2, 1)}}, Gaps: []store.Gap{{Epoch: 1, Source: "a", Range: block.Range{First: 1, End: 2}, Reason: "r"}}}}}) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := wire.DecodeAccount(b)
		if err != nil {
			return
		}
		for _, l := range a.Lines {
			if l.From > l.Next || l.Next > most || l.Source == "" {
				t.Fatalf("%+v", l)
			}
			for _, p := range l.Pending {
				inBounds(t, p.Ranges)
			}
			for _, g := range l.Gaps {
				inBounds(t, block.Ranges{g.Range})
			}
		}
		again := &buffer.Account{Probe: a.Probe}
		for _, p := range wire.EncodeAccount(a) {
			part, err := wire.DecodeAccount(p)
			if err != nil {
				t.Fatal(err)
			}
			again.Lines = append(again.Lines, part.Lines...)
		}
		if d := cmp.Diff(a, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	for _, p := range wire.EncodeReply(&wire.Reply{Hub: "h", Stored: []block.ID{{1}}, Unreadable: []block.ID{{2}},
		Missing: []wire.Missing{{Block: block.ID{3}, Schemas: []block.ID{{4}}}},
		Answer:  []buffer.AnswerLine{{Epoch: 1, Source: "a", Has: []buffer.TierRanges{{Ranges: ranges(2, 3)}}, Want: ranges(2, 4)}}}) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := wire.DecodeReply(b)
		if err != nil {
			return
		}
		if r.Hub == "" || 16*(len(r.Stored)+len(r.Unreadable)) > len(b) {
			t.Fatalf("%d ids of %d bytes", len(r.Stored), len(b))
		}
		for _, l := range r.Answer {
			inBounds(t, l.Want)
			for _, h := range l.Has {
				inBounds(t, h.Ranges)
			}
		}
		for _, p := range wire.EncodeReply(r) {
			if _, err := wire.DecodeReply(p); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecodeSchemas(f *testing.F) {
	f.Add(wire.EncodeSchemas([][]byte{{1, 2}, {3}})[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := wire.DecodeSchemas(b)
		if err != nil {
			return
		}
		size := 0
		for _, s := range list {
			size += len(s)
		}
		if size > len(b) {
			t.Fatalf("%d bytes out of %d", size, len(b))
		}
	})
}

func FuzzDecodeStatus(f *testing.F) {
	f.Add([]byte(`{"site":"t/s","online":true,"buffer":{"days_left":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := wire.DecodeStatus(b)
		if err != nil {
			return
		}
		if b, err := wire.EncodeStatus(s); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

func FuzzParseTopic(f *testing.F) {
	f.Add("sp/v1/t/s/d/l")
	f.Add("sp/v1/t/flow")
	f.Fuzz(func(t *testing.T, topic string) {
		s, k, ok := wire.ParseTopic(topic)
		if !ok {
			return
		}
		if again, kind, ok := wire.ParseTopic(s.Topic(k)); !ok || again != s || kind != k || s.Topic(k) != topic {
			t.Fatalf("%q: %v %q", topic, s, k)
		}
	})
}
