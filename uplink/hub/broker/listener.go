package broker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/siteprobe/siteprobe/uplink/mqtt/wsconn"
)

// handshakeTime is how long a client has for TLS, the WebSocket and its CONNECT
// together. mochi's own listeners wait for ever.
const handshakeTime = 10 * time.Second

// conn is a client's connection together with who it turned out to be.
type conn struct {
	net.Conn
	trusted bool   // of the hub's own listener
	cert    string // common name of the client certificate, which has been verified
	since   time.Time
	who     atomic.Pointer[identity] // set when it has authenticated
}

// listener is one of mochi's listeners: TCP, TLS or WebSocket.
type listener struct {
	id      string
	net     net.Listener
	tls     *tls.Config // nil: plain
	ws      bool
	trusted bool
	most    int // connections at a time
	log     *slog.Logger

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	wg     sync.WaitGroup // of serve goroutines
	full   rarely
}

func newListener(id, address string, config *tls.Config, most int, log *slog.Logger) (*listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &listener{id: id, net: l, tls: config, most: most, log: log,
		conns: map[net.Conn]bool{}, full: rarely{interval: time.Minute}}, nil
}

// Init, ID, Address and Protocol are what mochi asks of a listener.
func (l *listener) Init(*slog.Logger) error { return nil }
func (l *listener) ID() string              { return l.id }
func (l *listener) Address() string         { return l.net.Addr().String() }
func (l *listener) Protocol() string        { return "tcp" }

// Serve accepts until the listener is closed.
func (l *listener) Serve(establish listeners.EstablishFn) {
	for wait := time.Duration(0); ; {
		c, err := l.net.Accept()
		if err != nil {
			if l.isClosed() {
				return
			}
			// Out of file descriptors, say. It passes; giving up would not.
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			l.log.Warn("accepting connections", "error", err, "again_in", wait)
			time.Sleep(wait)
			continue
		}
		wait = 0
		l.start(c, establish)
	}
}

func (l *listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// start serves one connection, unless there are too many.
func (l *listener) start(raw net.Conn, establish listeners.EstablishFn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= l.most {
		raw.Close()
		if skipped, ok := l.full.next(); ok && !l.closed {
			l.log.Warn("too many connections", "most", l.most, "remote", raw.RemoteAddr().String(), "more", skipped)
		}
		return
	}
	l.conns[raw] = true
	l.wg.Go(func() {
		defer func() {
			raw.Close()
			l.mu.Lock()
			delete(l.conns, raw)
			l.mu.Unlock()
		}()
		raw.SetDeadline(time.Now().Add(handshakeTime)) // mochi sets another after the CONNECT
		c, err := l.handshake(raw)
		if err == nil {
			err = establish(l.id, c)
		}
		if err != nil {
			l.log.Debug("connection ended", "remote", raw.RemoteAddr().String(), "error", err)
		}
	})
}

// handshake brings a connection up to where MQTT begins.
func (l *listener) handshake(raw net.Conn) (*conn, error) {
	c := &conn{Conn: raw, trusted: l.trusted, since: time.Now()}
	if l.tls != nil {
		ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
		defer cancel()
		t := tls.Server(raw, l.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		if certs := t.ConnectionState().PeerCertificates; len(certs) > 0 {
			c.cert = certs[0].Subject.CommonName
		}
		c.Conn = t
	}
	if l.ws {
		ws, err := upgrade(c.Conn)
		if err != nil {
			return nil, err
		}
		c.Conn = ws
		c.SetDeadline(c.since.Add(handshakeTime)) // the upgrade has taken it away
	}
	return c, nil
}

// Close closes the listener and all its connections, and waits for them.
func (l *listener) Close(closeClients listeners.CloseFn) {
	l.mu.Lock()
	l.closed = true
	for c := range l.conns { // the goodbye to a client that does not read must not take long
		c.SetDeadline(time.Now().Add(time.Second))
	}
	l.mu.Unlock()
	l.net.Close()
	if closeClients != nil {
		closeClients(l.id)
	}
	l.mu.Lock()
	for c := range l.conns { // those that have not sent a CONNECT are none of mochi's clients yet
		c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// upgrade serves the one HTTP request that makes a connection a WebSocket. The
// path does not matter. net/http parses it, with its limits.
func upgrade(c net.Conn) (net.Conn, error) {
	one := &oneConn{conn: c, addr: c.LocalAddr(), done: make(chan struct{})}
	var ws *websocket.Conn
	var failed error
	u := websocket.Upgrader{
		Subprotocols: []string{wsconn.Protocol},
		// A page in a browser has no password and no certificate of a site.
		CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "" },
	}
	s := &http.Server{
		MaxHeaderBytes: 8 << 10, ReadTimeout: handshakeTime, WriteTimeout: handshakeTime,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ws, failed = u.Upgrade(w, r, nil); failed == nil {
				one.end()
			}
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed { // not when it has been taken over
				one.end()
			}
		},
	}
	s.SetKeepAlivesEnabled(false)
	s.Serve(one) // returns when the connection has been taken over or closed
	if failed != nil {
		return nil, failed
	}
	if ws == nil {
		return nil, net.ErrClosed
	}
	return wsconn.New(ws, maxPacket+1<<10), nil
}

// oneConn is a net.Listener that gives one connection.
type oneConn struct {
	conn net.Conn // nil once it has been given
	addr net.Addr
	done chan struct{}
	once sync.Once
}

func (o *oneConn) Accept() (net.Conn, error) {
	if c := o.conn; c != nil {
		o.conn = nil
		return c, nil
	}
	<-o.done
	return nil, net.ErrClosed
}

func (o *oneConn) end()           { o.once.Do(func() { close(o.done) }) }
func (o *oneConn) Close() error   { return nil }
func (o *oneConn) Addr() net.Addr { return o.addr }
