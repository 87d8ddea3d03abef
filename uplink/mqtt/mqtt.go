// Package mqtt carries the uplink over MQTT 3.1.1: an [uplink.Transport] on top of
// the paho client, which no other package imports.
//
// # What it promises
//
// A token without an error is a PUBACK of this connection, never anything else.
// A connection is one TCP connection: one paho client, a clean session, no
// reconnecting, no store. What is in flight when it ends has failed.
//
// A peer that stops reading is found by the write timeout (no progress of 16 KB
// in that time), a silent one by the keepalive. Every failure is a
// [uplink.LinkError] that tells how far the connection came and what a
// technician can do. No error holds a secret.
//
// # Servers
//
//	mqtt://host[:1883]        TCP
//	mqtts://host[:8883]       TLS; on port 443 with ALPN "mqtt"
//	ws://host[:80][/mqtt]     WebSocket
//	wss://host[:443][/mqtt]   WebSocket over TLS
//
// TLS is 1.2 or newer; the certificate must be valid for the URL's host. The
// files of [uplink.TLS] are read for each connection. Proxies of the environment
// are not used; whoever needs one gives Options.Dial.
//
// # Between paho and the socket
//
// paho writes acknowledgements and pings without a deadline, publishes block for
// long when a connection has just ended, a packet of 256 MB is read into memory,
// a SUBACK with too many codes panics, and an unknown CONNACK code counts as
// success. So paho is given a [net.Conn] of ours (link): it queues what is
// written, so that reading never waits for writing, and looks at the head of
// every packet that comes in.
//
// Messages that come in are acknowledged once their handler has returned: what
// the broker has in flight is what is not handled yet.
package mqtt

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink"
)

// Options of a [Transport]. Zero durations and sizes take the defaults.
type Options struct {
	Username string
	Password collectors.Secret // sent only together with a username
	TLS      uplink.TLS

	ConnectTimeout time.Duration // for each of: connecting, TLS, CONNACK, SUBACK; default 10 s
	WriteTimeout   time.Duration // without any progress in writing; default 10 s
	KeepAlive      time.Duration // whole seconds; default 30 s
	PingTimeout    time.Duration // for the answer to a ping; default 10 s
	Inbox          int           // bytes of messages not handled yet; more end the connection; default 8 MiB

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // default: net.Dialer
	Now  func() time.Time                                                     // the clock that certificates are checked by; default: time.Now
}

// FromConfig takes what the site file says.
func FromConfig(c uplink.Config) Options {
	return Options{Username: c.Username, Password: c.Password, TLS: c.TLS}
}

// Transport opens MQTT connections. It may be used by several goroutines.
type Transport struct {
	opts     Options
	oversize atomic.Uint64
}

// New returns a transport. Nothing is read or opened before Dial.
func New(o Options) *Transport {
	setDefault(&o.ConnectTimeout, 10*time.Second)
	setDefault(&o.WriteTimeout, 10*time.Second)
	setDefault(&o.KeepAlive, 30*time.Second)
	setDefault(&o.PingTimeout, 10*time.Second)
	setDefault(&o.Inbox, 8<<20)
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return &Transport{opts: o}
}

func setDefault[T time.Duration | int](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Oversize counts the messages that came in with more than [uplink.MaxMessage]
// bytes and were dropped, over all connections.
func (t *Transport) Oversize() uint64 { return t.oversize.Load() }

// Dial opens one connection to server and waits for the broker's CONNACK. It
// returns soon after ctx is done. Its errors are a *[uplink.LinkError].
func (t *Transport) Dial(ctx context.Context, server string, hello uplink.Hello) (uplink.Conn, error) {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return nil, &uplink.LinkError{Stage: uplink.StageResolve, Err: errServer, Hint: "write it as mqtts://mqtt.example.com:8883"}
	}
	raw, conn, lerr := t.open(ctx, u)
	if lerr != nil {
		return nil, lerr
	}
	c, lerr := t.connect(ctx, newLink(raw, conn, t.opts.WriteTimeout), hello)
	if lerr != nil { // not returned as it is: a nil *LinkError in an error is not nil
		return nil, lerr
	}
	return c, nil
}
