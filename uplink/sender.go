// Package uplink brings committed blocks to the MSP and marks them as delivered
// when the MSP has stored them.
//
// # One session
//
// A session is one connection, made anew each time; it reads as
//
//	DIAL -> CONNACK -> SUBSCRIBE -> live only -> (first word from the hub + jitter)
//	     -> live and backfill -> drained
//
// and any error, or no acknowledgement making progress for max(30 s, 4 x round
// trip), ends it: what was in flight is pending again, because nothing but the
// buffer says what is delivered. Live blocks go first; what waited from before the
// session goes behind them, in a window of about two seconds of the measured rate,
// so that neither starves the other.
//
// # Who acknowledges
//
// With `ack: hub` a block counts as delivered when the hub that stored it says
// so: a PUBACK only proves that the broker heard. When the broker answers and the
// hub does not, the session goes on at a trickle and says "not storing". With
// `ack: broker` the PUBACK is all there is, nothing is proved, and [Sender.State]
// says so.
//
// The transport is behind [Transport]; package mqtt has the one that is used.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// Options of New: what the site file does not say.
type Options struct {
	Site      wire.Site
	Buffer    *buffer.Buffer
	Transport Transport
	// Status gives the box's state for the status topic; nil: none is published.
	Status func() *wire.Status
	Log    *slog.Logger // nil: silent
	// Converter makes messages of a block for formats other than FormatBlock.
	Converter Converter
	// StatusEvery is how often the status is published; 0: every 30 s.
	StatusEvery time.Duration
	// Lost is called when a session, or an attempt at one, has ended. It must not block.
	Lost func()
}

// A Converter makes the payloads of one block in another format, each at most
// MaxMessage long; see package format.
type Converter func(block []byte) ([][]byte, error)

// Sender owns the way to the MSP. Run does the work.
type Sender struct {
	cfg Config
	opt Options
	log *slog.Logger

	mu      sync.Mutex
	state   wire.Uplink
	trouble Trouble

	beat  atomic.Int64
	stats counters
}

type counters struct {
	sessions, sent, acked, ackedReadings, redelivered, parked atomic.Int64
}

// Counters is what the sender did since it started.
type Counters struct {
	Sessions, BlocksSent, BlocksAcked, ReadingsAcked, BlocksResent, BlocksParked int64
}

// States of [wire.Uplink].
const (
	StateOff        = "off"        // no server is configured
	StateConnecting = "connecting" // dialling
	StateConnected  = "connected"
	StateNotStoring = "not storing" // the broker answers, the hub does not
	StateWaiting    = "waiting"     // between two attempts
)

// New returns a sender; cfg must be valid.
func New(cfg Config, opt Options) (*Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	if cfg.Format != FormatBlock && opt.Converter == nil {
		return nil, fmt.Errorf("uplink: no converter for format %q", cfg.Format)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.StatusEvery == 0 {
		opt.StatusEvery = 30 * time.Second
	}
	s := &Sender{cfg: cfg, opt: opt, log: opt.Log}
	s.set(StateOff, "", nil)
	return s, nil
}

// State returns the state of the way to the MSP.
func (s *Sender) State() wire.Uplink {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Counters returns what the sender did since it started.
func (s *Sender) Counters() Counters {
	c := &s.stats
	return Counters{c.sessions.Load(), c.sent.Load(), c.acked.Load(), c.ackedReadings.Load(), c.redelivered.Load(), c.parked.Load()}
}

// Beat rises for as long as Run makes progress, also while it waits for a server.
func (s *Sender) Beat() int64 { return s.beat.Load() }

func (s *Sender) set(state, server string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// An outage is one, however often a server is tried meanwhile.
	down := func(state string) bool { return state == StateWaiting || state == StateConnecting }
	if s.state.Since == "" || (state != s.state.State && !(down(state) && down(s.state.State))) {
		s.state.Since = time.Now().UTC().Format(time.RFC3339)
	}
	s.state.State, s.state.Server = state, server
	s.state.Ack, s.state.Proved = s.cfg.Ack, s.cfg.Ack == AckHub
	switch {
	case err != nil:
		s.state.Error = err.Error()
	case state == StateConnected:
		s.state.Error = ""
	}
}

// errRetry ends a session that is to be followed by another at once.
var errRetry = errors.New("trying the preferred server again")

// Run keeps a session with a server until ctx is done. It returns nil then; it
// has no other end.
func (s *Sender) Run(ctx context.Context) error {
	if len(s.cfg.Servers) == 0 {
		s.idle(ctx, 0)
		return nil
	}
	lastGood, turn, fails := -1, 0, 0
	preferred := time.Now()
	for ctx.Err() == nil {
		i, daily := choose(len(s.cfg.Servers), lastGood, turn, time.Since(preferred))
		if i == 0 {
			preferred = time.Now()
		}
		server := s.cfg.Servers[i]
		s.set(StateConnecting, server, nil)
		lasted, err := s.session(ctx, server, i != 0)
		if ctx.Err() != nil {
			break
		}
		switch {
		case lasted >= longSession:
			lastGood, turn, fails = i, 0, 0
		case lasted >= steady:
			lastGood, turn, fails = i, 0, fails/2 // two boxes with one id go on throwing each other out
		case daily:
			s.log.Info("the preferred server is no better yet", "server", server, "error", err)
			continue
		default:
			turn++
			fails++
		}
		if errors.Is(err, errRetry) {
			continue
		}
		pause := delay(s.cfg.Backoff, end{lasted, fails, reason(err)}, rand.Float64())
		s.log.Warn("the uplink is down", "server", server, "error", err, "lasted", lasted.Round(time.Second), "next_try_in", pause.Round(time.Millisecond))
		s.set(StateWaiting, server, err)
		s.ended(lasted, err)
		s.idle(ctx, pause)
	}
	s.set(StateOff, "", nil)
	return nil
}

// idle waits, and shows that it is alive while it does; 0 waits for ctx.
func (s *Sender) idle(ctx context.Context, d time.Duration) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	for {
		s.beat.Add(1)
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-tick.C:
		}
	}
}
