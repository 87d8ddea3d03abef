package hub_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// A box that covers every other number only, for as long as it is let.
func TestScatteredCoversAreBounded(t *testing.T) {
	h, err := hub.Open(hub.Options{Path: filepath.Join(t.TempDir(), "hub.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close()
	n := uint64(0)
	for i := range 20 {
		var s []block.Section
		for range 2000 {
			s = append(s, block.Section{First: n, Batches: []collectors.Batch{{Source: "x", At: 1, Outcome: collectors.Outcome{Result: collectors.Failed}}}})
			n += 2
		}
		b, err := codec.Encode(block.Head{Probe: "t/s", Epoch: 1}, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Handle([]hub.Message{{Site: wire.Site{Tenant: "t", Name: "s"}, Kind: wire.Live, Payload: b.Bytes}}); err != nil {
			t.Fatal(fmt.Errorf("block %d: %w", i, err))
		}
	}
	if n := h.Refused()["cover too scattered"]; n != 10 {
		t.Fatalf("%d of 20 blocks refused, want those after 20,000 pieces", n)
	}
}

// An account that asks the same thing again and again gets no answer a thousand
// times its size.
func TestAnswersAreBounded(t *testing.T) {
	h, err := hub.Open(hub.Options{Path: filepath.Join(t.TempDir(), "hub.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	site := wire.Site{Tenant: "t", Name: "s"}
	var s []block.Section
	n := uint64(0)
	for range 2000 {
		s = append(s, block.Section{First: n, Batches: []collectors.Batch{{Source: "x", At: 1, Outcome: collectors.Outcome{Result: collectors.Failed}}}})
		n += 2
	}
	b, err := codec.Encode(block.Head{Probe: "t/s", Epoch: 1}, s)
	if err != nil {
		t.Fatal(err)
	}
	a := &buffer.Account{Probe: "t/s"}
	for range 2000 {
		a.Lines = append(a.Lines, buffer.AccountLine{Epoch: 1, Source: "x", Next: n})
	}
	msgs := []hub.Message{{Site: site, Kind: wire.Live, Payload: b.Bytes}}
	for _, p := range wire.EncodeAccount(a) {
		msgs = append(msgs, hub.Message{Site: site, Kind: wire.Accounts, Payload: p})
	}
	replies, err := h.Handle(msgs)
	if err != nil {
		t.Fatal(err)
	}
	ranges := 0
	for _, l := range replies[site].Answer {
		ranges += len(l.Want)
	}
	if ranges < 2000 || ranges > 1<<17 {
		t.Fatalf("%d ranges in answer to %d messages", ranges, len(msgs))
	}
}
