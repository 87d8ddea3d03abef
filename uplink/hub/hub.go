// Package hub is the MSP's receiving end: it stores the blocks of many boxes,
// acknowledges what it has committed, answers accounts, and proves what is
// complete.
//
// It is the box's machinery at the other end: the same blocks in the same tables
// (package store), keyed by probe, and what it has of each epoch (`have`). It
// knows nothing of HTTP, of brokers or of how a message came: [Hub.Handle] takes
// messages and gives replies, and [Serve] carries both over a connection.
//
// # The rules
//
// Every block whose frame and head can be read is stored, with its cover, in one
// transaction, and acknowledged after that; one that is covered already at an
// equal or finer tier is acknowledged without being stored again. What it lacks
// of schemas it asks for and does not store the block yet. A block of a version
// it cannot read stays with the box. What is malformed, too large or not the
// sender's own is counted by reason ([Hub.Refused]) and nothing else stops.
package hub

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// Options of Open.
type Options struct {
	Path   string // the database file
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now
	NoSync bool             // leaves out the flushes; for tests
}

// Hub is an open hub. Close ends it.
type Hub struct {
	st  *store.Store
	id  string
	log *slog.Logger
	now func() time.Time

	beat atomic.Int64

	mu     sync.Mutex // one group of messages at a time
	probes map[string]int64
	have   map[epochKey]map[block.Tier]block.Holdings // of the epochs used last

	view    sync.Mutex
	refused map[string]int64 // by reason
	seen    map[string]Seen
}

// Seen is what the hub knows of a site's doings since it started.
type Seen struct {
	LastMessage time.Time
	Blocks      int64
	Readings    int64
	Redelivered int64 // blocks that were stored already
	Unusable    int64 // blocks that are stored but cannot be decoded by this version
}

type epochKey struct {
	probe int64
	epoch uint64
}

// Open opens the hub's database and makes it if there is none. A damaged or
// foreign one is set aside.
func Open(o Options) (*Hub, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o750); err != nil {
		return nil, fmt.Errorf("making the hub's folder: %w", err)
	}
	so := store.Options{NoSync: o.NoSync}
	st, err := store.Open(o.Path, so)
	if why := store.Why(err); why != "" {
		to, serr := store.SetAside(o.Path, why, o.Now())
		if serr != nil {
			return nil, errors.Join(err, serr)
		}
		o.Log.Error("the hub's database was set aside, a fresh one takes its place; boxes will resend what they still have", "why", why, "kept_as", to, "error", err)
		st, err = store.Open(o.Path, so)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the hub: %w", err)
	}
	h := &Hub{st: st, log: o.Log, now: o.Now, probes: map[string]int64{}, have: map[epochKey]map[block.Tier]block.Holdings{},
		refused: map[string]int64{}, seen: map[string]Seen{}}
	err = st.Update(func(tx *store.Tx) (err error) {
		if h.id, err = tx.Meta("hub"); err != nil || h.id != "" {
			return err
		}
		var x [8]byte
		_, _ = rand.Read(x[:]) // never fails
		h.id = hex.EncodeToString(x[:])
		return tx.SetMeta("hub", h.id)
	})
	if err != nil {
		st.Close()
		return nil, fmt.Errorf("opening the hub: %w", err)
	}
	return h, nil
}

// Close closes the database.
func (h *Hub) Close() error { return h.st.Close() }

// Store gives the database to those that read from it.
func (h *Hub) Store() *store.Store { return h.st }

// Message is what came from a site.
type Message struct {
	Site    wire.Site
	Kind    wire.Kind
	Payload []byte
}

// Handle stores what the messages bring, in one transaction, and returns what is
// to be said to each site. An error means that nothing was stored and nothing may
// be acknowledged.
func (h *Hub) Handle(msgs []Message) (map[wire.Site]*wire.Reply, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := &group{h: h, replies: map[wire.Site]*wire.Reply{}, have: map[epochKey]map[block.Tier]block.Holdings{}, probes: map[string]int64{},
		own: map[ownKey]bool{}, gaps: map[epochKey]block.Holdings{}, dirty: map[epochKey]map[block.Tier]bool{}, begun: map[epochKey]bool{}, seen: map[string]Seen{}, refused: map[string]int64{}}
	err := h.st.Update(func(tx *store.Tx) error {
		g.tx = tx
		for i := range msgs {
			if err := g.handle(&msgs[i]); err != nil {
				return err
			}
		}
		return g.finish()
	})
	if err != nil {
		return nil, fmt.Errorf("storing %d messages: %w", len(msgs), err)
	}
	// Only what is committed may be believed from now on.
	if len(h.have) > 1000 {
		h.have = map[epochKey]map[block.Tier]block.Holdings{}
	}
	maps.Copy(h.have, g.have)
	maps.Copy(h.probes, g.probes)
	h.view.Lock()
	defer h.view.Unlock()
	for reason, n := range g.refused {
		h.refused[reason] += n
	}
	for probe, s := range g.seen {
		x := h.seen[probe]
		x.LastMessage = s.LastMessage
		x.Blocks += s.Blocks
		x.Readings += s.Readings
		x.Redelivered += s.Redelivered
		x.Unusable += s.Unusable
		h.seen[probe] = x
	}
	return g.replies, nil
}

// Refused counts what was not stored since the start, by reason.
func (h *Hub) Refused() map[string]int64 {
	h.view.Lock()
	defer h.view.Unlock()
	return maps.Clone(h.refused)
}

// Seen returns what a site did since the hub's start.
func (h *Hub) Seen(s wire.Site) Seen {
	h.view.Lock()
	defer h.view.Unlock()
	return h.seen[s.Probe()]
}

func (h *Hub) refuse(reason string) {
	h.view.Lock()
	h.refused[reason]++
	h.view.Unlock()
}
