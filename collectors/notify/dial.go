package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// Bounds of one message's way to its target.
const (
	sendTimeout = time.Minute
	maxRead     = 64 << 10 // bytes that a target may answer, TLS included
	maxCA       = 1 << 20
)

// contract is what the notice may contact: the site's scope, and its own target, see the
// package comment.
func (c Config) contract(site scope.Config) scope.Config {
	host, port := c.target()
	out := scope.Config{Managed: slices.Clone(site.Managed), Excluded: site.Excluded, External: slices.Clone(site.External)}
	addr, err := netip.ParseAddr(host)
	outside := net.JoinHostPort(host, strconv.Itoa(int(port)))
	isOutside := scope.Config{External: []string{outside}}.Validate() == nil
	switch {
	case isOutside && c.Webhook != nil: // at the site only
	case isOutside:
		out.External = append(out.External, outside)
	case err == nil:
		out.Managed = append(out.Managed, addr.Unmap().String())
	}
	return out
}

// Reachable tells whether the target may be contacted at a site of this scope. Names are
// judged when they are resolved.
func (c Config) Reachable(site scope.Config) error {
	host, port := c.target()
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	d, err := scope.New(c.contract(site), nil)
	if err != nil {
		return fmt.Errorf("%s cannot be a target", addr)
	}
	var refused *scope.RefusedError
	if err := d.Allowed(addr, port); errors.As(err, &refused) {
		if c.Webhook != nil {
			return fmt.Errorf("%s must not be contacted: %s; a webhook stays at the site, unless scope.external names it", addr, refused.Why)
		}
		return fmt.Errorf("%s must not be contacted: %s", addr, refused.Why)
	}
	return nil
}

// dialer opens guarded connections to one target.
type dialer struct {
	scope *scope.Dialer
	host  string
	port  uint16
}

func newDialer(c Config, site scope.Config, r scope.Resolver) (*dialer, error) {
	d, err := scope.New(c.contract(site), r)
	if err != nil {
		return nil, err
	}
	host, port := c.target()
	return &dialer{d, host, port}, nil
}

func (d *dialer) address() string { return net.JoinHostPort(d.host, strconv.Itoa(int(d.port))) }

// dial connects to the target. The connection is closed when ctx is done, and ends at its
// deadline, or after sendTimeout where it has none.
func (d *dialer) dial(ctx context.Context, network string) (*guarded, error) {
	conn, err := d.scope.DialContext(ctx, network, d.address())
	if err != nil {
		return nil, notReached(d.address(), err)
	}
	g := &guarded{Conn: conn, left: maxRead}
	var has bool
	if g.until, has = ctx.Deadline(); !has {
		g.until = time.Now().Add(sendTimeout)
	}
	_ = conn.SetDeadline(g.until)
	g.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return g, nil
}

// guarded is a connection that ends at a deadline, whatever is set later, and of which
// only so much is read.
type guarded struct {
	net.Conn
	until time.Time
	left  int
	stop  func() bool
}

var errTooMuch = errors.New("it answers more than 64 KiB")

func (g *guarded) Read(b []byte) (int, error) {
	if g.left <= 0 {
		return 0, errTooMuch
	}
	n, err := g.Conn.Read(b[:min(len(b), g.left)])
	g.left -= n
	return n, err
}

func (g *guarded) SetDeadline(t time.Time) error      { return g.Conn.SetDeadline(g.clamp(t)) }
func (g *guarded) SetReadDeadline(t time.Time) error  { return g.Conn.SetReadDeadline(g.clamp(t)) }
func (g *guarded) SetWriteDeadline(t time.Time) error { return g.Conn.SetWriteDeadline(g.clamp(t)) }

func (g *guarded) clamp(t time.Time) time.Time {
	if t.IsZero() || t.After(g.until) {
		return g.until
	}
	return t
}

func (g *guarded) Close() error {
	g.stop()
	return g.Conn.Close()
}

// config makes the TLS settings for a target. The CA is read each time: it may have been
// renewed.
func (t TLS) config(host string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if t.Name != "" {
		cfg.ServerName = t.Name
	}
	if t.CA == "" {
		return cfg, nil
	}
	pem, err := statefile.Read(t.CA, maxCA)
	if err != nil {
		return nil, &Failure{Doing: "reading tls.ca", Err: err, Hint: "the file must be there, and be readable by the user that siteprobe runs as"}
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, &Failure{Doing: "reading tls.ca", Err: errors.New("there is no certificate in it"), Hint: "it must be a PEM file: -----BEGIN CERTIFICATE-----"}
	}
	return cfg, nil
}

// handshake speaks TLS on a connection.
func handshake(ctx context.Context, conn net.Conn, t TLS, host string) (*tls.Conn, error) {
	cfg, err := t.config(host)
	if err != nil {
		return nil, err
	}
	c := tls.Client(conn, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, badTLS(err)
	}
	return c, nil
}

// drain waits until the other side has closed, or for a moment. Some close TLS without
// a goodbye.
func drain(conn net.Conn, wait time.Duration) error {
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	_, err := io.Copy(io.Discard, conn)
	if os.IsTimeout(err) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
