package faulttest_test

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// ioName is a batch's identity.
type ioName struct {
	epoch  uint64
	source string
	n      uint64
}

// ioHub is a hub that never fails, and the ledger: it knows what was committed and
// what was stored, by identity and content, and shares no code with the real one.
type ioHub struct {
	codec  *block.Codec
	stored map[ioName]string
	have   map[uint64]map[string]block.Ranges

	mu        sync.Mutex // of what the buffer's own goroutine tells
	committed map[ioName]string
	wrong     []string
}

func newIOHub(codec *block.Codec) *ioHub {
	return &ioHub{codec: codec, committed: map[ioName]string{}, stored: map[ioName]string{}, have: map[uint64]map[string]block.Ranges{}}
}

func (h *ioHub) fault(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
}

func (h *ioHub) commit(n ioName, content string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.committed[n] = content
}

// text is what a batch says, apart from the name it has.
func text(x *collectors.Batch) string {
	s := fmt.Appendf(nil, "%s at %d %v %s", x.Source, x.At, x.Outcome.Result, x.Outcome.Why)
	for i, v := range x.Values {
		s = append(append(s, ' '), x.Schema.Series[i].Labels[0].Value...)
		s = strconv.AppendUint(append(s, '='), v.Counter(), 36)
	}
	for _, e := range x.Events {
		s = fmt.Appendf(s, " %s %s %v", e.Kind, e.Text, e.Labels)
	}
	return string(s)
}

// unpack calls f for each batch of a block; it tells whether all schemas were there.
func (h *ioHub) unpack(x *block.Block, schema func(block.ID) *collectors.Schema, f func(ioName, string)) bool {
	sections, missing, err := h.codec.Decode(x, schema, nil)
	if err != nil {
		h.fault("block %v cannot be decoded: %v", x.ID, err)
		return false
	}
	if missing > 0 {
		return false
	}
	for _, s := range sections {
		for i := range s.Batches {
			f(ioName{x.Epoch, s.Batches[i].Source, s.First + uint64(i)}, text(&s.Batches[i]))
		}
	}
	return true
}

// store keeps a block that was sent; true acknowledges it.
func (h *ioHub) store(p store.Pending, schema func(block.ID) *collectors.Schema) bool {
	x, err := block.Parse(p.Bytes)
	if err != nil || x.ID != p.ID {
		h.fault("a block was sent that is not what its name says: %v", err)
		return false
	}
	return h.unpack(x, schema, func(n ioName, content string) {
		if was, ok := h.stored[n]; ok && was != content {
			h.fault("%v names two contents: %q and %q", n, was, content)
		}
		h.stored[n] = content
		if h.have[n.epoch] == nil {
			h.have[n.epoch] = map[string]block.Ranges{}
		}
		h.have[n.epoch][n.source] = h.have[n.epoch][n.source].Add(block.Range{First: n.n, End: n.n + 1})
	})
}

// answer is the answer to an account, by rule 12.
func (h *ioHub) answer(a *buffer.Account) *buffer.Answer {
	out := &buffer.Answer{Hub: "ioHub"}
	for _, l := range a.Lines {
		have := h.have[l.Epoch][l.Source]
		x := buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source}
		want := block.Ranges{{First: l.From, End: l.Next}}.Subtract(have)
		for _, p := range l.Pending {
			x.Has = append(x.Has, buffer.TierRanges{Tier: p.Tier, Ranges: p.Ranges.Intersect(have)})
			want = want.Subtract(p.Ranges)
		}
		for _, g := range l.Gaps {
			want = want.Subtract(block.Ranges{g.Range})
		}
		x.Want = want
		out.Lines = append(out.Lines, x)
	}
	return out
}
