// Package broker is the MQTT broker inside the hub, for whoever does not run one:
// mochi, with everything in one process and nothing on disk.
//
// # Who may do what
//
// A site is called "tenant/site". With a clients' CA that is the common name of
// its certificate; with users it is the username; with neither, which is allowed
// on loopback only, it is its client id. In all cases the client id is the site,
// alone or with more behind a slash, so that one site cannot throw another out.
//
// A site writes its own sp/v1/{tenant}/{site}/ d/l, d/b, sch, ev, acc, st, c/r/{id}
// and cf/r, and reads its own a, c/q, cf/d and sp/v1/{tenant}/flow; wildcards and
// $SYS are denied. A site that publishes what it may not is disconnected (MQTT
// 3.1.1 knows no other answer), one that subscribes is told so in the SUBACK. Of
// a site's messages only st and cf/r are retained.
//
// The hub itself connects to [Broker.HubServer], a loopback port of its own, with
// [Broker.HubCredentials], which are made anew in each process. It may read and
// write everything under sp/v1/.
//
// # When the hub does not keep up
//
// mochi acknowledges a message before it hands it on, and drops what a subscriber
// has no room for. So a site's connection is not read on while 1,024 messages are
// in flight to the hub: its TCP window closes, and it waits. A hub that does not
// move for 5 seconds ends the waiting, as the sites' pings must be answered. What
// is dropped then is counted; sites send again what the hub has not stored.
//
// Nothing survives a restart: what is retained comes again from its owners.
package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink"
)

// maxPacket is a message with its topic and head.
const maxPacket = uplink.MaxMessage + 2<<10

// Config of a [Broker].
type Config struct {
	Listen    string // host:port for MQTT; default 127.0.0.1:1883
	WebSocket string // host:port for MQTT over WebSocket, any path; empty: none

	Cert, Key string // PEM files of the broker; empty: without TLS. They are read again when they change.
	ClientCA  string // PEM file; sites must have a certificate of it

	Users      map[string]collectors.Secret // passwords by tenant/site; see LoadUsers
	MaxClients int                          // default 1,000; each connected one costs about 70 KB
	Log        *slog.Logger                 // default: slog.Default()
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("cert and key go together")
	case c.ClientCA != "" && c.Cert == "":
		return errors.New("a clients' CA needs a cert and key of the broker")
	case c.MaxClients < 0 || c.MaxClients > 20_000:
		return fmt.Errorf("max clients is %d (at most 20000)", c.MaxClients)
	}
	for name, password := range c.Users {
		if _, ok := parseIdentity(name); !ok || password == "" {
			return fmt.Errorf("users: %q is not tenant/site, or has no password", name)
		}
	}
	for _, listen := range []string{c.Listen, c.WebSocket} {
		if listen == "" {
			continue
		}
		host, _, err := net.SplitHostPort(listen)
		if err != nil {
			return fmt.Errorf("%q is not host:port: %w", listen, err)
		}
		if c.ClientCA == "" && c.Users == nil && !isLoopback(host) {
			return fmt.Errorf("listening on %s needs a clients' CA or users: without them anybody may be any site", listen)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Broker is an MQTT broker. New listens, Start serves, Close ends.
type Broker struct {
	server     *mochi.Server
	hook       *hook
	main       *listener
	ws         *listener // may be nil
	hub        *listener
	started    atomic.Bool
	startOnce  sync.Once
	startError error
	closeOnce  sync.Once
}

// New checks the configuration and listens; clients are answered from Start on.
func New(c Config) (*Broker, error) {
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:1883")
	c.MaxClients = cmp.Or(c.MaxClients, 1000)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b := &Broker{hook: &hook{
		users: c.Users, certs: c.ClientCA != "", hubName: "hub", hubSecret: collectors.Secret(rand.Text()), log: c.Log,
		closing: make(chan struct{}), moved: make(chan struct{}),
		refusals: rarely{interval: time.Second}, drops: rarely{interval: time.Second},
	}}
	b.server = mochi.New(options(c))
	if err := b.listen(c); err != nil {
		b.Close()
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

// options are mochi's settings; the defaults that hurt are named.
func options(c Config) *mochi.Options {
	caps := mochi.NewDefaultServerCapabilities()
	caps.MaximumClients = int64(c.MaxClients) + 16 // the hub's own come on top
	caps.MaximumPacketSize = maxPacket             // default: 256 MB
	caps.MaximumMessageExpiryInterval = 0          // default: what is retained is gone after a day
	caps.MaximumSessionExpiryInterval = 60
	caps.MaximumInflight = 60_000 // default 8,192; what is over is dropped
	// The queue of a client, 8 bytes a place whether used or not. It has to take what
	// is in flight to the hub, one message more from each site, and what two topics
	// of each retain when the hub subscribes.
	caps.MaximumClientWritesPending = int32(hubWindow + 3*c.MaxClients)
	return &mochi.Options{
		Capabilities:             caps,
		ClientNetReadBufferSize:  8 << 10,
		ClientNetWriteBufferSize: 8 << 10,
		SysTopicResendInterval:   3600, // nobody may read them
		Logger:                   slog.New(quiet{c.Log.Handler()}),
	}
}

func (b *Broker) listen(c Config) (err error) {
	var certs *certificates
	if c.Cert != "" {
		failed := func(err error) { c.Log.Warn("new certificates cannot be used, the old ones stay", "error", err) }
		if certs, err = loadCertificates(c.Cert, c.Key, c.ClientCA, failed); err != nil {
			return err
		}
	}
	open := func(id, address string) (*listener, error) {
		l, err := newListener(id, address, nil, c.MaxClients+c.MaxClients/4+16, c.Log)
		if err == nil && certs != nil {
			l.tls = certs.server()
		}
		return l, err
	}
	if b.main, err = open("mqtt", c.Listen); err != nil {
		return err
	}
	if c.WebSocket != "" {
		if b.ws, err = open("ws", c.WebSocket); err != nil {
			return err
		}
		b.ws.ws = true
	}
	if b.hub, err = newListener("hub", "127.0.0.1:0", nil, 16, c.Log); err != nil {
		return err
	}
	b.hub.trusted = true
	return nil
}

// listeners returns those that there are.
func (b *Broker) listeners() (ls []*listener) {
	for _, l := range []*listener{b.main, b.ws, b.hub} {
		if l != nil {
			ls = append(ls, l)
		}
	}
	return ls
}

// Start serves from now on, until Close.
func (b *Broker) Start() error {
	b.startOnce.Do(func() {
		b.startError = func() error {
			if err := b.server.AddHook(b.hook, nil); err != nil {
				return err
			}
			for _, l := range b.listeners() {
				if err := b.server.AddListener(l); err != nil {
					return err
				}
			}
			b.started.Store(true)
			return b.server.Serve()
		}()
	})
	if b.startError != nil {
		return fmt.Errorf("starting the broker: %w", b.startError)
	}
	return nil
}

// Run starts the broker and closes it when ctx is done.
func (b *Broker) Run(ctx context.Context) error {
	defer b.Close()
	if err := b.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// Close disconnects all clients, closes the listeners and waits for everything
// that belongs to them.
func (b *Broker) Close() {
	b.closeOnce.Do(func() {
		close(b.hook.closing)
		if b.started.Load() {
			b.server.Close() // never an error
		}
		for _, l := range b.listeners() {
			l.Close(nil)
		}
	})
}

// Addr returns host:port of MQTT.
func (b *Broker) Addr() string { return b.main.Address() }

// WebSocketAddr returns host:port of MQTT over WebSocket, empty without.
func (b *Broker) WebSocketAddr() string {
	if b.ws == nil {
		return ""
	}
	return b.ws.Address()
}

// HubServer returns the server that the hub's own client connects to: mqtt:// and
// a loopback port that nobody but the hub may use.
func (b *Broker) HubServer() string { return "mqtt://" + b.hub.Address() }

// HubCredentials returns the hub's username and password, secret to this process.
func (b *Broker) HubCredentials() (username string, password collectors.Secret) {
	return b.hook.hubName, b.hook.hubSecret
}

// ClientInfo is a client that is connected.
type ClientInfo struct {
	Identity string // tenant/site, or "hub"
	ClientID string
	Remote   string // its host:port
	Since    time.Time
}

// Clients returns those connected, by identity.
func (b *Broker) Clients() []ClientInfo {
	var out []ClientInfo
	for _, cl := range b.server.Clients.GetAll() {
		c := connOf(cl)
		if c == nil || cl.Closed() {
			continue
		}
		out = append(out, ClientInfo{Identity: who(cl).String(), ClientID: cl.ID, Remote: cl.Net.Remote, Since: c.since})
	}
	slices.SortFunc(out, func(a, b ClientInfo) int {
		return cmp.Or(strings.Compare(a.Identity, b.Identity), strings.Compare(a.ClientID, b.ClientID))
	})
	return out
}

// Stats are totals since the start, but for Clients and Retained.
type Stats struct {
	Clients, Retained int64
	Received, Sent    int64  // messages
	Dropped           int64  // messages that a subscriber had no room for
	Denied            uint64 // topics refused
	Waited            uint64 // messages that had to wait for the hub
	Overrun           uint64 // those that the hub was too slow for, and so may be among the dropped
}

// Stats returns how the broker is doing.
func (b *Broker) Stats() Stats {
	i := b.server.Info.Clone()
	return Stats{
		Clients: i.ClientsConnected, Retained: i.Retained, Received: i.MessagesReceived, Sent: i.MessagesSent,
		Dropped: i.MessagesDropped + i.InflightDropped,
		Denied:  b.hook.denied.Load(), Waited: b.hook.waited.Load(), Overrun: b.hook.overrun.Load(),
	}
}
