package broker

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/siteprobe/siteprobe/collectors"
)

// hubWindow is how many messages may be in flight to the hub before those who
// publish have to wait; hubPatience is how long they do at most.
const (
	hubWindow   = 1024
	hubPatience = 5 * time.Second
)

// hook is what mochi asks: who is it, may it, and is there room.
type hook struct {
	mochi.HookBase
	users     map[string]collectors.Secret // nil: no passwords
	certs     bool                         // identity is the client certificate's
	hubName   string
	hubSecret collectors.Secret
	log       *slog.Logger
	closing   chan struct{}

	denied, waited, overrun atomic.Uint64
	waiting                 atomic.Int64
	refusals, drops         rarely

	mu    sync.Mutex
	hubs  []*mochi.Client // the hub's connections
	moved chan struct{}   // closed, and made anew, when the hub has caught up
}

// ID names the hook to mochi.
func (h *hook) ID() string { return "siteprobe" }

// Provides lists what the hook wants to be asked.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish, mochi.OnPublishDropped,
		mochi.OnPacketIDExhausted, mochi.OnQosComplete, mochi.OnSessionEstablished, mochi.OnDisconnect:
		return true
	}
	return false
}

func connOf(cl *mochi.Client) *conn {
	c, _ := cl.Net.Conn.(*conn)
	return c
}

// who returns a client's identity; the zero one may do nothing.
func who(cl *mochi.Client) identity {
	if c := connOf(cl); c != nil {
		if id := c.who.Load(); id != nil {
			return *id
		}
	}
	return identity{}
}

// OnConnectAuthenticate decides who a client is.
func (h *hook) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	c := connOf(cl)
	if c == nil {
		return false
	}
	id, why := h.identify(c, cl.ID, pk.Connect)
	if why == "" && pk.Connect.WillFlag && !id.mayWrite(pk.Connect.WillTopic) {
		why = fmt.Sprintf("its will is for the topic %q", pk.Connect.WillTopic) // mochi would not ask
	}
	if why != "" {
		if skipped, ok := h.refusals.next(); ok {
			h.log.Warn("client refused", "why", why, "client_id", collectors.Clip(cl.ID, 128), "remote", cl.Net.Remote, "more", skipped)
		}
		return false
	}
	c.who.Store(&id)
	return true
}

// identify returns who a client is, or why it may not in.
func (h *hook) identify(c *conn, clientID string, p packets.ConnectParams) (id identity, why string) {
	if c.trusted {
		if string(p.Username) != h.hubName || !sameSecret(h.hubSecret, p.Password) {
			return id, "not the hub"
		}
		return identity{hub: true}, ""
	}
	name, ok := "", false
	switch {
	case h.certs:
		name = c.cert
		if id, ok = parseIdentity(name); !ok {
			return id, fmt.Sprintf("the certificate's common name %q is not tenant/site", collectors.Clip(name, 128))
		}
	case h.users != nil:
		name = string(p.Username)
		password, known := h.users[name]
		if !sameSecret(password, p.Password) || !known {
			return id, "unknown user or wrong password"
		}
		id, _ = parseIdentity(name) // LoadUsers and New have seen to it
	default:
		if id, ok = identityOfClientID(clientID); !ok {
			return id, "the client id is not tenant/site"
		}
	}
	if !id.ownsClientID(clientID) {
		return id, fmt.Sprintf("%s uses the client id of another", id)
	}
	return id, ""
}

// OnACLCheck decides about every topic that is published, subscribed or delivered.
func (h *hook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	id := who(cl)
	if write && id.mayWrite(topic) || !write && id.mayRead(topic) {
		return true
	}
	h.denied.Add(1)
	if skipped, ok := h.refusals.next(); ok {
		h.log.Warn("topic denied", "client", id.String(), "topic", collectors.Clip(topic, 128), "write", write, "remote", cl.Net.Remote, "more", skipped)
	}
	return false
}

// OnPublish holds a site back while the hub is behind: mochi would drop what the
// hub's queue has no room for, long after the site has its PUBACK. It runs in the
// goroutine that reads from this site.
func (h *hook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	id := who(cl)
	if pk.FixedHeader.Retain && !id.mayRetain(pk.TopicName) {
		pk.FixedHeader.Retain = false
	}
	if !id.hub { // never the hub: it is the one who must get on
		h.waitForHub()
	}
	return pk, nil
}

func (h *hook) waitForHub() {
	if behind, _ := h.backlog(); !behind {
		return
	}
	h.waited.Add(1)
	h.waiting.Add(1) // before looking again, or the wake could be missed
	defer h.waiting.Add(-1)
	behind, moved := h.backlog()
	t := time.NewTimer(hubPatience)
	defer t.Stop()
	for behind {
		select {
		case <-moved:
		case <-h.closing:
			return
		case <-t.C:
			h.overrun.Add(1)
			return
		}
		behind, moved = h.backlog()
	}
}

// backlog tells whether the hub is behind, and what to wait for if so.
func (h *hook) backlog() (behind bool, moved <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hub := range h.hubs {
		if hub.State.Inflight.Len() >= hubWindow {
			return true, h.moved
		}
	}
	return false, nil
}

// OnQosComplete is a PUBACK from a client.
func (h *hook) OnQosComplete(cl *mochi.Client, _ packets.Packet) {
	if h.waiting.Load() > 0 && who(cl).hub && cl.State.Inflight.Len() <= hubWindow/2 {
		h.wake()
	}
}

func (h *hook) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.moved)
	h.moved = make(chan struct{})
}

// OnSessionEstablished notes the hub's connections.
func (h *hook) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	id := who(cl)
	h.log.Debug("client connected", "client", id.String(), "client_id", cl.ID, "remote", cl.Net.Remote)
	if !id.hub {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hubs = append(slices.Clone(h.hubs), cl)
}

// OnDisconnect forgets them; who waited for the hub waits no longer.
func (h *hook) OnDisconnect(cl *mochi.Client, err error, _ bool) {
	id := who(cl)
	h.log.Debug("client gone", "client", id.String(), "client_id", cl.ID, "remote", cl.Net.Remote, "error", err)
	if !id.hub {
		return
	}
	h.mu.Lock()
	h.hubs = slices.DeleteFunc(slices.Clone(h.hubs), func(c *mochi.Client) bool { return c == cl })
	h.mu.Unlock()
	h.wake()
}

// OnPublishDropped tells of a message that a client had no room for.
func (h *hook) OnPublishDropped(cl *mochi.Client, pk packets.Packet) {
	if skipped, ok := h.drops.next(); ok {
		h.log.Warn("message dropped, the client does not keep up", "client", who(cl).String(), "topic", pk.TopicName, "more", skipped)
	}
}

// OnPacketIDExhausted is the same with all packet ids in use.
func (h *hook) OnPacketIDExhausted(cl *mochi.Client, pk packets.Packet) { h.OnPublishDropped(cl, pk) }
