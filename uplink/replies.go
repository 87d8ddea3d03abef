package uplink

import (
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// replies works through what the hub said, and what else it said meanwhile.
func (x *session) replies(m Message) error {
	var ids []block.ID
	for n := 0; ; n++ {
		r, err := wire.DecodeReply(m.Payload)
		if err != nil {
			if !x.garbled {
				x.log.Warn("a reply from the hub cannot be read", "error", err)
			}
			x.garbled = true
		} else {
			ids = append(ids, r.Stored...)
			if err := x.reply(r); err != nil {
				return err
			}
		}
		if n < 256 {
			select {
			case m = <-x.inbox:
				continue
			default:
			}
		}
		return x.delivered(ids)
	}
}

// reply acts on one reply, but for what it says is stored.
func (x *session) reply(r *wire.Reply) error {
	x.heard()
	if err := x.missing(r.Missing); err != nil {
		return err
	}
	for _, id := range r.Unreadable {
		if f := x.flight[id]; f != nil {
			x.log.Warn("the hub cannot read a block of this version; it stays here until the hub is upgraded", "block", id.String())
			x.land(f)
			x.park(id)
		}
	}
	return x.answer(r)
}

// heard notes a word from the hub: it is there. That it stores is shown by what it
// has stored alone.
func (x *session) heard() {
	x.mayBackfill()
	if x.trickle && !x.vain {
		x.storing() // it was only silent, and is not any more
	}
}

// missing sends the schemas that the hub lacks; the blocks come again through the
// window.
func (x *session) missing(ms []wire.Missing) error {
	var schemas [][]byte
	seen := map[block.ID]bool{} // by schema: whether it is here
	for _, m := range ms {
		f := x.flight[m.Block]
		if f == nil {
			continue // not ours, or it comes again anyway
		}
		complete := true
		for _, id := range m.Schemas {
			here, ok := seen[id]
			if !ok {
				b, err := x.opt.Buffer.SchemaBytes(id)
				if err != nil {
					return err
				}
				if here = b != nil; here {
					schemas = append(schemas, b)
				} else {
					x.log.Error("a schema that the hub asks for is not here", "schema", id.String())
				}
				seen[id] = here
			}
			complete = complete && here
		}
		if !complete {
			x.land(f)
			x.parkLacking(f.ID)
			continue
		}
		t := x.tries[f.ID]
		t.missing++
		x.tries[f.ID] = t
		x.progress = time.Now()
		x.storing() // it reads what it is sent
		if err := x.repeat(f, t.missing); err != nil {
			return err
		}
	}
	for _, payload := range wire.EncodeSchemas(schemas) {
		if err := x.out(sent{token: x.conn.Publish(Message{Topic: x.opt.Site.Topic(wire.SchemaUp), Payload: payload})}); err != nil {
			return err
		}
	}
	return nil
}

// answer applies the hub's answer to an account.
func (x *session) answer(r *wire.Reply) error {
	if len(r.Answer) == 0 {
		return nil
	}
	done, err := x.opt.Buffer.Apply(&buffer.Answer{Hub: r.Hub, Lines: r.Answer})
	if err != nil {
		return err
	}
	if done.Wanted > 0 {
		x.rescan()
	}
	if done.Delivered > 0 {
		x.progress = time.Now()
	}
	if done != (buffer.Applied{}) {
		x.log.Info("the hub's answer to the account", "delivered_blocks", done.Delivered, "wanted_blocks", done.Wanted, "gone_batches", done.Gone)
	}
	if done.Gone > 0 {
		return x.account(buffer.Everything) // so that it knows
	}
	return nil
}
