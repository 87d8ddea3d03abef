package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
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
	cfg := &tls.Config{ServerName: host, RootCAs: o.roots, Time: o.now, NextProtos: []string{"http/1.1"}}
	if o.insecure {
		// Asked for by the site file, for devices with certificates and TLS of their day.
		cfg.InsecureSkipVerify = true
		cfg.MinVersion = tls.VersionTLS10
	}
	conn := tls.Client(raw, cfg)
	start := time.Now()
	err := conn.HandshakeContext(ctx)
	o.handshake += time.Since(start)

	certs := conn.ConnectionState().PeerCertificates
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		certs = unverified.UnverifiedCertificates
	}
	o.expiry = earliestExpiry(certs)
	if err != nil {
		return nil, certificateFailure(host, certs, o.now(), err)
	}
	o.shook = true
	return conn, nil
}

// over makes a transport that speaks over conn and can open nothing else: where a
// check goes is decided by open alone. Proxies that the environment names are not
// in the contract, and there is none.
func over(conn net.Conn) *http.Transport {
	unused := conn
	give := func(context.Context, string, string) (net.Conn, error) {
		if unused == nil {
			return nil, errors.New("one connection for one request")
		}
		c := unused
		unused = nil
		return c, nil
	}
	return &http.Transport{
		DialContext:            give,
		DialTLSContext:         give,
		DisableKeepAlives:      true,
		DisableCompression:     true, // the length is that of the wire, and nothing inflates here
		MaxResponseHeaderBytes: maxHeaders,
	}
}

func earliestExpiry(certs []*x509.Certificate) time.Time {
	var first time.Time
	for _, c := range certs {
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// readRoots reads the CA file of a check; none means the system's roots. That it
// cannot be read is a fault of this box and says nothing about the service.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the ca file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("the ca file holds no certificate in PEM form")
	}
	return pool, nil
}
