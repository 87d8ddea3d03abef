// Package wire says what a box and its hub tell each other, and on which topics.
//
//	sp/v1/{tenant}/{site}/d/l    blocks as they are committed     box -> hub
//	                     /d/b    blocks from before               box -> hub
//	                     /sch    schemas that the hub missed      box -> hub
//	                     /acc    accounts                         box -> hub
//	                     /a      acknowledgements and answers     hub -> box
//	                     /st     status: retained, and the will   box -> hub
//	                     /json   readings as JSON                 box -> any (ack: broker)
//	                     /influx readings as line protocol        box -> any (ack: broker)
//	sp/v1/{tenant}/flow          throttle, retained               MSP -> all
//
// The messages are those of wirepb/wire.proto; the status is JSON, the same type
// that the command line and the hub's page show. Everything is QoS 1, at most
// 64 KB, and may be lost, doubled or reordered without harm. Decoding trusts
// nothing: what is out of bounds is an error.
package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire/wirepb"
)

// MaxMessage is the largest message; soft is what encoders fill one to.
const (
	MaxMessage = 64 << 10
	soft       = 56 << 10
)

// Reply is what a hub says to a box.
type Reply struct {
	Hub        string
	Stored     []block.ID
	Missing    []Missing
	Unreadable []block.ID
	Answer     []buffer.AnswerLine
}

// Missing says which schemas a block needs that the hub has not.
type Missing struct {
	Block   block.ID
	Schemas []block.ID
}

// EncodeSchemas packs schemas into as many messages as they need.
func EncodeSchemas(schemas [][]byte) [][]byte {
	var out [][]byte
	var p wirepb.Schemas
	size := 0
	for _, s := range schemas {
		if size+len(s) > soft && size > 0 {
			out = append(out, marshal(&p))
			p, size = wirepb.Schemas{}, 0
		}
		p.Schema = append(p.Schema, s)
		size += len(s) + 4
	}
	if size > 0 {
		out = append(out, marshal(&p))
	}
	return out
}

// DecodeSchemas is the inverse of EncodeSchemas for one message.
func DecodeSchemas(b []byte) ([][]byte, error) {
	var p wirepb.Schemas
	if err := unmarshal(b, &p); err != nil {
		return nil, err
	}
	return p.Schema, nil
}

// EncodeReply packs a reply into as many messages as it needs.
func EncodeReply(r *Reply) [][]byte {
	var out [][]byte
	p := &wirepb.Reply{Hub: r.Hub}
	size := 0
	room := func(n int) {
		if size+n > soft && size > 0 {
			out = append(out, marshal(p))
			p, size = &wirepb.Reply{Hub: r.Hub}, 0
		}
		size += n
	}
	for _, id := range r.Stored {
		room(16)
		p.Stored = append(p.Stored, id[:]...)
	}
	for _, id := range r.Unreadable {
		room(16)
		p.Unreadable = append(p.Unreadable, id[:]...)
	}
	for i := range r.Missing {
		m := &r.Missing[i]
		room(32 + 16*len(m.Schemas))
		p.Missing = append(p.Missing, &wirepb.Missing{Block: m.Block[:], Schema: packIDs(m.Schemas)})
	}
	for i := range r.Answer {
		for _, l := range splitAnswer(r.Answer[i]) {
			x := &wirepb.AnswerLine{Epoch: l.Epoch, Source: l.Source, Has: packTiers(l.Has), Want: packRanges(l.Want)}
			room(proto.Size(x) + 4)
			p.Answer = append(p.Answer, x)
		}
	}
	if size > 0 {
		out = append(out, marshal(p))
	}
	return out
}

// splitAnswer cuts a line with very many ranges: parts of an answer are answers. A
// line that says nothing stays: it shows that the account has been read.
func splitAnswer(l buffer.AnswerLine) (out []buffer.AnswerLine) {
	const most = 1500
	for _, h := range l.Has {
		for len(h.Ranges) > most {
			out = append(out, buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source, Has: []buffer.TierRanges{{Tier: h.Tier, Ranges: h.Ranges[:most]}}})
			h.Ranges = h.Ranges[most:]
		}
		out = append(out, buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source, Has: []buffer.TierRanges{h}})
	}
	for len(l.Want) > most {
		out = append(out, buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source, Want: l.Want[:most]})
		l.Want = l.Want[most:]
	}
	if len(l.Want) > 0 {
		out = append(out, buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source, Want: l.Want})
	}
	if len(out) == 0 {
		out = append(out, buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source})
	}
	return out
}

// DecodeReply is the inverse of EncodeReply for one message.
func DecodeReply(b []byte) (*Reply, error) {
	var p wirepb.Reply
	if err := unmarshal(b, &p); err != nil {
		return nil, err
	}
	if p.Hub == "" || len(p.Hub) > collectors.MaxName {
		return nil, errors.New("a reply without the hub's id")
	}
	r := &Reply{Hub: p.Hub}
	var err error
	if r.Stored, err = unpackIDs(p.Stored); err != nil {
		return nil, err
	}
	if r.Unreadable, err = unpackIDs(p.Unreadable); err != nil {
		return nil, err
	}
	for _, m := range p.Missing {
		id, ok := block.IDFrom(m.Block)
		ids, err := unpackIDs(m.Schema)
		if !ok || err != nil {
			return nil, errors.New("a malformed block id")
		}
		r.Missing = append(r.Missing, Missing{id, ids})
	}
	for _, l := range p.Answer {
		x := buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source}
		if x.Has, err = unpackTiers(l.Has); err == nil {
			x.Want, err = unpackRanges(l.Want)
		}
		if err != nil || len(l.Source) > collectors.MaxName {
			return nil, errors.New("a malformed answer")
		}
		r.Answer = append(r.Answer, x)
	}
	return r, nil
}

// EncodeAccount packs an account into as many messages as it needs; each is an
// account of its own.
func EncodeAccount(a *buffer.Account) [][]byte {
	var out [][]byte
	p := &wirepb.Account{Probe: a.Probe}
	size := 0
	for i := range a.Lines {
		l := &a.Lines[i]
		x := &wirepb.AccountLine{Epoch: l.Epoch, EpochStart: l.EpochStart, Prev: l.Prev, N: l.N, Source: l.Source, From: l.From, Next: l.Next, Pending: packTiers(l.Pending)}
		for _, g := range l.Gaps {
			x.Gap = append(x.Gap, &wirepb.Gap{First: g.First, Count: g.End - g.First, T0: g.T0, T1: g.T1, Reason: g.Reason})
		}
		n := proto.Size(x) + 4
		if size+n > soft && size > 0 {
			out = append(out, marshal(p))
			p, size = &wirepb.Account{Probe: a.Probe}, 0
		}
		p.Line = append(p.Line, x)
		size += n
	}
	if size > 0 {
		out = append(out, marshal(p))
	}
	return out
}

// maxNumber bounds batch numbers: one a millisecond for 8,900 years.
const maxNumber = 1 << 48

// DecodeAccount is the inverse of EncodeAccount for one message.
func DecodeAccount(b []byte) (*buffer.Account, error) {
	var p wirepb.Account
	if err := unmarshal(b, &p); err != nil {
		return nil, err
	}
	a := &buffer.Account{Probe: p.Probe}
	for _, l := range p.Line {
		x := buffer.AccountLine{Epoch: l.Epoch, EpochStart: l.EpochStart, Prev: l.Prev, N: l.N, Source: l.Source, From: l.From, Next: l.Next}
		if l.Source == "" || len(l.Source) > collectors.MaxName || l.Next > maxNumber || l.From > l.Next || l.N > maxNumber {
			return nil, errors.New("a line of the account is out of bounds")
		}
		var err error
		if x.Pending, err = unpackTiers(l.Pending); err != nil {
			return nil, err
		}
		for i := range x.Pending {
			if i > 0 && x.Pending[i].Tier <= x.Pending[i-1].Tier {
				return nil, errors.New("a line of the account has a tier twice")
			}
		}
		for _, g := range l.Gap {
			if g.Count == 0 || g.First+g.Count < g.First || g.First+g.Count > maxNumber || len(g.Reason) > collectors.MaxName {
				return nil, errors.New("a gap of the account is out of bounds")
			}
			x.Gaps = append(x.Gaps, store.Gap{Epoch: l.Epoch, Source: l.Source, Range: block.Range{First: g.First, End: g.First + g.Count}, T0: g.T0, T1: g.T1, Reason: g.Reason})
		}
		a.Lines = append(a.Lines, x)
	}
	return a, nil
}

func packIDs(ids []block.ID) []byte {
	b := make([]byte, 0, 16*len(ids))
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func unpackIDs(b []byte) ([]block.ID, error) {
	if len(b)%16 != 0 {
		return nil, errors.New("ids of a wrong length")
	}
	var ids []block.ID
	for ; len(b) > 0; b = b[16:] {
		ids = append(ids, block.ID(b[:16]))
	}
	return ids, nil
}

func packRanges(r block.Ranges) []uint64 {
	out := make([]uint64, 0, 2*len(r))
	var end uint64
	for _, x := range r {
		out = append(out, x.First-end, x.End-x.First)
		end = x.End
	}
	return out
}

func unpackRanges(p []uint64) (block.Ranges, error) {
	if len(p)%2 != 0 {
		return nil, errors.New("ranges of a wrong length")
	}
	var r block.Ranges
	var end uint64
	for i := 0; i < len(p); i += 2 {
		if p[i] > maxNumber || p[i+1] == 0 || p[i+1] > maxNumber || (i > 0 && p[i] == 0) || end+p[i]+p[i+1] > maxNumber {
			return nil, errors.New("a range is out of bounds")
		}
		first := end + p[i]
		end = first + p[i+1]
		r = append(r, block.Range{First: first, End: end})
	}
	return r, nil
}

func packTiers(ts []buffer.TierRanges) (out []*wirepb.Tier) {
	for _, t := range ts {
		out = append(out, &wirepb.Tier{Tier: uint32(t.Tier), Range: packRanges(t.Ranges)})
	}
	return out
}

func unpackTiers(ts []*wirepb.Tier) (out []buffer.TierRanges, err error) {
	for _, t := range ts {
		r, err := unpackRanges(t.Range)
		if err != nil || t.Tier > 9 {
			return nil, errors.New("ranges of a tier are out of bounds")
		}
		out = append(out, buffer.TierRanges{Tier: block.Tier(t.Tier), Ranges: r})
	}
	return out, nil
}

// marshal cannot fail for messages that are built here of valid text.
func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("encoding a message: %v", err))
	}
	return b
}

func unmarshal(b []byte, m proto.Message) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("message of %d bytes (at most %d)", len(b), MaxMessage)
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return errors.New("not a message of this kind")
	}
	return nil
}
