package sitetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// impostor is what answers at the broker's port in the broker's place.
type impostor struct {
	cert    tls.Certificate
	connack byte // answers every CONNECT of a client with a certificate of ours
	absent  bool // nobody listens
}

// The codes of a CONNACK (MQTT 3.1.1, 3.2.2.3).
const (
	connackIDRejected    = 2
	connackUnavailable   = 3
	connackNotAuthorized = 5
)

// broker is what listens at the broker's port: mosquitto, or the newest impostor.
type broker struct {
	s        *Site
	conf     string
	good     issued
	expired  issued
	foreign  issued
	mu       sync.Mutex
	server   *daemon
	fake     *fakeBroker
	replaced []*impostor // oldest first
	closed   bool
}

func (s *Site) startBroker() error {
	b := &broker{s: s, conf: filepath.Join(s.dir, "mosquitto.conf")}
	day := 20 * time.Hour
	for _, c := range []struct {
		to    *issued
		by    authority
		until time.Time
	}{{&b.good, s.pki.ca, time.Now().Add(day)}, {&b.expired, s.pki.ca, time.Now().Add(-day)}, {&b.foreign, s.pki.another, time.Now().Add(day)}} {
		var err error
		if *c.to, err = s.pki.issue(c.by, "broker", c.until, s.Broker); err != nil {
			return fmt.Errorf("making the broker's certificate: %w", err)
		}
	}
	s.Pin = b.good.pin
	var err error
	if s.TLS, err = s.pki.client(SiteName); err != nil {
		return err
	}
	conf := fmt.Sprintf("listener %d\nuser root\npersistence false\nlog_dest stderr\nallow_anonymous false\n"+
		"cafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\nuse_identity_as_username true\n",
		brokerPort, s.pki.ca.file, b.good.cert, b.good.key)
	if err := os.WriteFile(b.conf, []byte(conf), 0o600); err != nil {
		return err
	}
	s.broker = b
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.serve()
}

// replace puts an impostor at the port; connections to what was there break.
func (b *broker) replace(i *impostor) error {
	return b.change(func() { b.replaced = append(b.replaced, i) })
}

// restore takes it away again.
func (b *broker) restore(i *impostor) error {
	return b.change(func() { b.replaced = slices.DeleteFunc(b.replaced, func(x *impostor) bool { return x == i }) })
}

func (b *broker) change(f func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.newest()
	f()
	if b.closed || b.newest() == before {
		return nil
	}
	b.silence()
	if err := b.serve(); err != nil || b.newest() != nil {
		return err
	}
	return b.s.restartHub() // which would try again after a minute only
}

func (b *broker) newest() *impostor {
	if len(b.replaced) == 0 {
		return nil
	}
	return b.replaced[len(b.replaced)-1]
}

func (b *broker) silence() {
	b.server.stop()
	b.server = nil
	if b.fake != nil {
		b.fake.close()
		b.fake = nil
	}
}

// serve starts what is to listen, and waits until it does.
func (b *broker) serve() (err error) {
	inet := b.s.ns[nsInternet]
	if i := b.newest(); i != nil {
		if i.absent {
			return nil
		}
		return inet.do(func() error {
			b.fake, err = newFakeBroker(i, b.s.pki)
			return err
		})
	}
	if b.server, err = inet.start(b.s.log, "mosquitto", "-c", b.conf); err != nil {
		return err
	}
	return eventually(10*time.Second, func() error {
		return inet.do(func() error {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(b.s.Broker.V4.String(), fmt.Sprint(brokerPort)), time.Second)
			if err == nil {
				err = c.Close()
			}
			return err
		})
	})
}

func (b *broker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.silence()
}

// eventually tries until there is no error, and gives the last one when the time is over.
func eventually(patience time.Duration, try func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// fakeBroker answers CONNECT with one code.
type fakeBroker struct {
	code    byte
	l       net.Listener
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup
}

func newFakeBroker(i *impostor, p *pki) (*fakeBroker, error) {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", brokerPort))
	if err != nil {
		return nil, fmt.Errorf("standing in for the broker: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{i.cert}, ClientCAs: p.pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	f := &fakeBroker{code: i.connack, l: tls.NewListener(l, config)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.working.Go(func() {
		for {
			c, err := f.l.Accept()
			if err != nil {
				return
			}
			f.working.Go(func() { f.talk(c) })
		}
	})
	return f, nil
}

func (f *fakeBroker) talk(c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(f.ctx, func() { _ = c.Close() })()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if kind, _, err := readMQTT(bufio.NewReader(c)); err == nil && kind>>4 == 1 {
		_, _ = c.Write([]byte{0x20, 2, 0, f.code})
	}
}

func (f *fakeBroker) close() {
	f.cancel()
	_ = f.l.Close()
	f.working.Wait()
}

// readMQTT reads one packet of at most 64 KiB.
func readMQTT(r *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	size := 0
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		size |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		if shift == 14 {
			return 0, nil, errors.New("too long a packet")
		}
	}
	if size > 64<<10 {
		return 0, nil, errors.New("too long a packet")
	}
	body = make([]byte, size)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// rival is another client with the box's name, as of a cloned box: whenever it is
// thrown out, it comes back after a pause, until ctx ends.
func (s *Site) rival(ctx context.Context, pause time.Duration) {
	cert, err := tls.LoadX509KeyPair(s.TLS.Cert, s.TLS.Key)
	if err != nil {
		s.t.Errorf("a rival's certificate: %v", err)
		return
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: s.pki.pool(), ServerName: s.Broker.V4.String()}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		var raw net.Conn
		err := s.ns[nsInternet].do(func() (err error) {
			raw, err = net.DialTimeout("tcp", net.JoinHostPort(s.Broker.V4.String(), fmt.Sprint(brokerPort)), time.Second)
			return err
		})
		if err == nil {
			stay(ctx, tls.Client(raw, config))
		}
		timer.Reset(pause)
	}
}

// stay connects as the site and reads until it is thrown out.
func stay(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, byte(len(SiteName))}, SiteName...) // clean session, no keepalive
	if _, err := c.Write(append([]byte{0x10, byte(len(body))}, body...)); err == nil {
		_, _ = io.Copy(io.Discard, c)
	}
}
