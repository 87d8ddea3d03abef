package check

import (
	"context"
	"crypto/x509"
	"net"
	"net/url"
	"time"
)

// opener opens the connections of one run of an HTTP check, one after the other,
// and adds up what each phase took.
type opener struct {
	dialer   Dialer
	now      func() time.Time
	roots    *x509.CertPool // nil: the system's
	insecure bool

	resolve, connect, handshake time.Duration
	resolved, connected, shook  bool
	expiry                      time.Time // of the certificate that ends first, at the last server
}

// open connects to where u leads, with TLS if its scheme says so. Its errors are
// judged. It knows the end of the certificates even where they do not verify.
func (o *opener) open(ctx context.Context, u *url.URL) (net.Conn, error) {
	address := hostPort(u)
	d, err := dial(ctx, o.dialer, "tcp", address)
	o.resolve += d.resolve
	o.resolved = d.resolved
	o.expiry = time.Time{} // what is told is the last server's
	if err != nil {
		return nil, judge("connect", address, err)
	}
	o.connect += d.connect
	o.connected = true
	if u.Scheme != "https" {
		return d.conn, nil
	}
	secured, err := o.secure(ctx, d.conn, u.Hostname())
	if err != nil {
		_ = d.conn.Close()
		return nil, err
	}
	return secured, nil
}

func (o *opener) secure(ctx context.Context, raw net.Conn, host string) (net.Conn, error) {
	h := handshake{name: host, roots: o.roots, now: o.now, insecure: o.insecure, protocols: []string{"http/1.1"}}
	conn, err := h.over(ctx, raw)
	o.handshake += h.took
	o.expiry = earliestExpiry(h.certs)
	o.shook = o.shook || err == nil
	return conn, err
}
