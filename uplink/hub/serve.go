package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// queueBytes bounds what waits for a transaction; beyond it messages are dropped
// and counted: their boxes will send them again.
const queueBytes = 64 << 20

// maxGroup bounds what one transaction takes.
const maxGroup = 512

// errStore says that it is not the connection's fault.
var errStore = errors.New("the hub cannot store")

// Serve carries messages from a broker to the hub and its replies back, over one
// connection after the other, until ctx is done. It returns an error only when
// the hub cannot store.
func (h *Hub) Serve(ctx context.Context, t uplink.Transport, server, clientID string) error {
	fails := 0
	for ctx.Err() == nil {
		h.beat.Add(1)
		conn, err := t.Dial(ctx, server, uplink.Hello{ClientID: clientID})
		if err == nil {
			fails = 0
			if err = h.serve(ctx, conn); errors.Is(err, errStore) {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		fails = min(fails+1, 6)
		pause := time.Duration((0.5 + rand.Float64()/2) * float64(250*time.Millisecond<<fails))
		h.log.Warn("no connection to the broker", "server", server, "error", err, "next_try_in", pause.Round(time.Millisecond))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// Beat rises for as long as Serve makes progress, also while it waits.
func (h *Hub) Beat() int64 { return h.beat.Load() }

// serve works on one connection: what has come while a transaction ran goes into
// the next one.
func (h *Hub) serve(ctx context.Context, conn uplink.Conn) error {
	defer conn.Close(true)
	queue := make(chan Message, 16<<10)
	var size atomic.Int64
	err := conn.Subscribe(ctx, wire.HubTopics(), func(m uplink.Message) {
		s, kind, ok := wire.ParseTopic(m.Topic)
		switch {
		case !ok:
			h.refuse("unknown topic")
			return
		case len(m.Payload) > wire.MaxMessage:
			h.refuse("message too large")
			return
		case size.Add(int64(len(m.Payload))) > queueBytes:
			size.Add(-int64(len(m.Payload)))
			h.refuse("hub busy")
			return
		}
		select {
		case queue <- Message{Site: s, Kind: kind, Payload: m.Payload}:
		default:
			size.Add(-int64(len(m.Payload)))
			h.refuse("hub busy")
		}
	})
	if err != nil {
		return err
	}
	h.log.Info("listening to the broker")
	group := make([]Message, 0, maxGroup)
	alive := time.NewTicker(5 * time.Second)
	defer alive.Stop()
	for {
		h.beat.Add(1)
		group = group[:0]
		select {
		case <-alive.C:
			continue
		case <-ctx.Done():
			return nil
		case <-conn.Done():
			return conn.Err()
		case m := <-queue:
			group = append(group, m)
		}
		for more := true; more && len(group) < maxGroup; {
			select {
			case m := <-queue:
				group = append(group, m)
			default:
				more = false
			}
		}
		for i := range group {
			size.Add(-int64(len(group[i].Payload)))
		}
		replies, err := h.Handle(group)
		if err != nil {
			return fmt.Errorf("%w: %w", errStore, err)
		}
		for site, r := range replies {
			for _, payload := range wire.EncodeReply(r) {
				conn.Publish(uplink.Message{Topic: site.Topic(wire.Replies), Payload: payload}) // a lost reply is healed by the account
			}
		}
	}
}
