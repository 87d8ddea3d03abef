package hub_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
	"github.com/siteprobe/siteprobe/uplink/wire/wirepb"
)

// forge makes blocks, good ones and others.
type forge struct {
	t     testing.TB
	codec *block.Codec
	n     uint64
}

func newForge(t testing.TB) *forge {
	t.Helper()
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(codec.Close)
	return &forge{t: t, codec: codec}
}

func (f *forge) schema(source string, series int) (*collectors.Schema, block.ID, []byte) {
	f.t.Helper()
	s := &collectors.Schema{Source: source}
	for i := range series {
		s.Series = append(s.Series, collectors.Series{Metric: "m", Kind: collectors.Counter, Labels: []collectors.Label{{Name: "i", Value: fmt.Sprint(i)}}})
	}
	id, b, err := f.codec.EncodeSchema(s)
	if err != nil {
		f.t.Fatal(err)
	}
	return s, id, b
}

// block makes a block of one batch of the schema, under a name that may be another's.
func (f *forge) block(probe string, s *collectors.Schema, id block.ID) *block.Block {
	f.t.Helper()
	x := collectors.Batch{Source: s.Source, At: 1000, Schema: s}
	for i := range s.Series {
		x.Values = append(x.Values, collectors.CounterValue(uint64(i)))
	}
	f.n++
	b, err := f.codec.Encode(block.Head{Probe: probe, Epoch: 5, Offset: 1_772_366_400_000, Sure: true}, []block.Section{{First: f.n, Schema: id, Batches: []collectors.Batch{x}}})
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// body gives a block another body (its notes, and what is behind them), with a CRC
// that fits.
func body(b *block.Block, notes, values []byte) []byte {
	out := binary.AppendUvarint(bytes.Clone(b.Bytes[:b.HeadSize]), uint64(len(notes)))
	return withCRC(append(append(out, notes...), values...))
}

func withCRC(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func version(b []byte, v byte) []byte {
	out := bytes.Clone(b)
	out[3] = v
	return out
}

// bomb is 64 MB of zeros; sized says so in its head.
func bomb(t testing.TB, sized bool) []byte {
	t.Helper()
	var out bytes.Buffer
	enc, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	if sized {
		return enc.EncodeAll(make([]byte, 64<<20), nil)
	}
	for range 64 {
		if _, err := enc.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func openHub(t testing.TB) *hub.Hub {
	t.Helper()
	h, err := hub.Open(hub.Options{Path: filepath.Join(t.TempDir(), "hub.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func countBlocks(t testing.TB, h *hub.Hub, probe string) (n int64) {
	t.Helper()
	err := h.Store().View(func(tx *store.Tx) error {
		id, err := tx.FindProbe(probe)
		if err == nil && id != 0 {
			n, err = tx.CountBlocks(id)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever stands beside it in the group, a good block is stored and acknowledged,
// and nothing else is.
func TestHostileMessages(t *testing.T) {
	f := newForge(t)
	s, id, schema := f.schema("device/sw", 3)
	good := f.block("t/s", s, id)
	damaged := bytes.Clone(f.block("t/s", s, id).Bytes)
	damaged[len(damaged)/2] ^= 4
	line := func(l *wirepb.AccountLine) []byte {
		return marshal(t, &wirepb.Account{Probe: "t/s", Line: []*wirepb.AccountLine{l}})
	}
	for name, c := range map[string]struct {
		kind    wire.Kind
		payload []byte
		reason  string
	}{
		"empty block":                {wire.Live, nil, "damaged block"},
		"noise":                      {wire.Live, []byte("hello"), "damaged block"},
		"oversize block":             {wire.Backfill, append(bytes.Clone(good.Bytes), make([]byte, block.MaxBlock)...), "damaged block"},
		"damaged block":              {wire.Live, damaged, "damaged block"},
		"cut block":                  {wire.Live, good.Bytes[:len(good.Bytes)-5], "damaged block"},
		"another site's block":       {wire.Live, f.block("t/other", s, id).Bytes, "block of another site"},
		"another tenant's block":     {wire.Live, f.block("other/s", s, id).Bytes, "block of another site"},
		"unknown version":            {wire.Live, version(good.Bytes, 9), "unreadable version"},
		"unknown topic":              {"x/y", good.Bytes, "unknown topic"},
		"the hub's own topic":        {wire.Replies, good.Bytes, "unknown topic"},
		"malformed schemas":          {wire.SchemaUp, []byte{0xFF, 0xFF}, "malformed schemas"},
		"oversize schemas":           {wire.SchemaUp, make([]byte, wire.MaxMessage+1), "malformed schemas"},
		"a schema that is none":      {wire.SchemaUp, wire.EncodeSchemas([][]byte{{1, 2, 3}})[0], "malformed schema"},
		"a schema that is a bomb":    {wire.SchemaUp, wire.EncodeSchemas([][]byte{bomb(t, false)})[0], "malformed schema"},
		"malformed account":          {wire.Accounts, []byte("hello"), "malformed account"},
		"another site's account":     {wire.Accounts, marshal(t, &wirepb.Account{Probe: "t/other"}), "malformed account"},
		"account beyond all numbers": {wire.Accounts, line(&wirepb.AccountLine{Source: "a", Next: 1 << 63}), "malformed account"},
		"account that ends first":    {wire.Accounts, line(&wirepb.AccountLine{Source: "a", From: 5, Next: 4}), "malformed account"},
		"account without a source":   {wire.Accounts, line(&wirepb.AccountLine{Next: 4}), "malformed account"},
		"account whose gap overflows": {wire.Accounts, line(&wirepb.AccountLine{Source: "a", Next: 4,
			Gap: []*wirepb.Gap{{First: 1<<64 - 1, Count: 2}}}), "malformed account"},
		"account with half a range": {wire.Accounts, line(&wirepb.AccountLine{Source: "a", Next: 4,
			Pending: []*wirepb.Tier{{Range: []uint64{1}}}}), "malformed account"},
		"account whose ranges overflow": {wire.Accounts, line(&wirepb.AccountLine{Source: "a", Next: 4,
			Pending: []*wirepb.Tier{{Range: []uint64{1, 1 << 48, 1 << 48, 1 << 48}}}}), "malformed account"},
		"malformed status": {wire.State, []byte("{"), "malformed status"},
		"oversize status":  {wire.State, bytes.Repeat([]byte(" "), wire.MaxMessage+1), "malformed status"},
	} {
		t.Run(name, func(t *testing.T) {
			h := openHub(t)
			at := wire.Site{Tenant: "t", Name: "s"}
			replies, err := h.Handle([]hub.Message{
				{Site: at, Kind: c.kind, Payload: c.payload},
				{Site: at, Kind: wire.SchemaUp, Payload: wire.EncodeSchemas([][]byte{schema})[0]},
				{Site: at, Kind: wire.Live, Payload: good.Bytes},
				{Site: at, Kind: c.kind, Payload: c.payload},
			})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(map[string]int64{c.reason: 2}, h.Refused()); d != "" {
				t.Error(d)
			}
			r := replies[at]
			if r == nil || len(r.Stored) != 1 || r.Stored[0] != good.ID || r.Missing != nil || r.Answer != nil {
				t.Errorf("%+v", r)
			}
			if unreadable := c.reason == "unreadable version"; r != nil && unreadable != (len(r.Unreadable) > 0) {
				t.Errorf("%+v", r)
			}
			if n := countBlocks(t, h, "t/s"); n != 1 || len(replies) != 1 || h.Seen(at).Unusable != 0 {
				t.Errorf("%d blocks, %d replies, %+v", n, len(replies), h.Seen(at))
			}
			for _, other := range []string{"t/other", "other/s"} {
				if countBlocks(t, h, other) != 0 {
					t.Errorf("something is stored for %s", other)
				}
			}
		})
	}
}

// A body that cannot be used is kept, as it may be a later version's (delivery rule
// 10), and counted; it is never unpacked beyond the bounds.
func TestUnusableBodies(t *testing.T) {
	f := newForge(t)
	s, id, schema := f.schema("device/sw", 3)
	wider, _, _ := f.schema("device/sw", 4)
	_, foreign, foreignSchema := f.schema("device/another", 3)
	at := wire.Site{Tenant: "t", Name: "s"}
	for name, payload := range map[string][]byte{
		"a bomb":                    body(f.block("t/s", s, id), bomb(t, false), nil),
		"a bomb that tells":         body(f.block("t/s", s, id), bomb(t, true), nil),
		"no zstd":                   body(f.block("t/s", s, id), []byte("hello"), nil),
		"no body":                   body(f.block("t/s", s, id), nil, nil),
		"a schema of fewer series":  f.block("t/s", wider, id).Bytes,
		"a schema of other sources": f.block("t/s", s, foreign).Bytes,
	} {
		t.Run(name, func(t *testing.T) {
			h := openHub(t)
			good := f.block("t/s", s, id)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			replies, err := h.Handle([]hub.Message{
				{Site: at, Kind: wire.SchemaUp, Payload: wire.EncodeSchemas([][]byte{schema, foreignSchema})[0]},
				{Site: at, Kind: wire.Live, Payload: payload},
				{Site: at, Kind: wire.Live, Payload: good.Bytes},
			})
			if err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
				t.Errorf("it took %d MB", n>>20)
			}
			if r := replies[at]; len(r.Stored) != 2 || r.Stored[1] != good.ID {
				t.Errorf("%+v", r)
			}
			if seen := h.Seen(at); seen.Unusable != 1 || seen.Blocks != 2 || len(h.Refused()) != 0 {
				t.Errorf("%+v %v", seen, h.Refused())
			}
		})
	}
}

// An account may claim much about its own site; it costs no more than its size.
func TestAbsurdAccount(t *testing.T) {
	h := openHub(t)
	at := wire.Site{Tenant: "t", Name: "s"}
	a := &buffer.Account{Probe: "t/s", Lines: []buffer.AccountLine{
		{Epoch: 1, Source: "a", Next: 1 << 48, Pending: []buffer.TierRanges{{Ranges: block.Ranges{{First: 1 << 40, End: 1 << 47}}}}},
		{Epoch: 1, Source: "a", Next: 1 << 48, Gaps: []store.Gap{{Range: block.Range{First: 7, End: 1 << 46}, Reason: "r", T0: -1 << 63, T1: 1<<63 - 1}}},
	}}
	for range 3 {
		replies, err := h.Handle([]hub.Message{{Site: at, Kind: wire.Accounts, Payload: wire.EncodeAccount(a)[0]}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range wire.EncodeReply(replies[at]) {
			if _, err := wire.DecodeReply(p); err != nil || len(p) > 1000 {
				t.Errorf("%d bytes: %v", len(p), err)
			}
		}
	}
	p, err := hub.Verify(h.Store(), "t/s", 0, 0, true)
	if err != nil || p.Expected != 1<<48 || p.Stored != 0 || p.Complete {
		t.Errorf("%+v %v", p, err)
	}
}

// Bodies with random damage under a CRC that fits neither panic nor stop the rest.
func TestMutatedBodies(t *testing.T) {
	f := newForge(t)
	h := openHub(t)
	at := wire.Site{Tenant: "t", Name: "s"}
	s, id, schema := f.schema("device/sw", 40)
	r := rand.New(rand.NewPCG(3, 3))
	group := []hub.Message{{Site: at, Kind: wire.SchemaUp, Payload: wire.EncodeSchemas([][]byte{schema})[0]}}
	for i := range 2000 {
		b := f.block("t/s", s, id)
		raw := bytes.Clone(b.Bytes[b.HeadSize : len(b.Bytes)-4])
		for range 1 + r.IntN(4) {
			raw[r.IntN(len(raw))] = byte(r.Uint32())
		}
		if i%5 == 0 {
			raw = raw[:r.IntN(len(raw))]
		}
		group = append(group, hub.Message{Site: at, Kind: wire.Live, Payload: withCRC(append(bytes.Clone(b.Bytes[:b.HeadSize]), raw...))})
	}
	replies, err := h.Handle(group)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(replies[at].Stored); n != 2000 {
		t.Errorf("%d of 2000 are stored", n)
	}
	if seen := h.Seen(at); seen.Unusable == 0 || seen.Unusable == 2000 {
		t.Errorf("%+v", seen)
	}
	if refused := maps.Clone(h.Refused()); len(refused) != 0 {
		t.Errorf("%v", refused)
	}
}
