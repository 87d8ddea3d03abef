package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// handshake is one of TLS, and what is known of the server after it, also where it
// failed. What a server can send in it crypto/tls bounds: 256 KiB of certificates.
type handshake struct {
	name      string         // that the certificate is to be of
	roots     *x509.CertPool // nil: the system's
	now       func() time.Time
	insecure  bool // any certificate will do, and TLS before 1.2
	protocols []string

	took    time.Duration
	version uint16
	certs   []*x509.Certificate   // as the server sent them
	chains  [][]*x509.Certificate // as they were verified
}

// over secures a connection. Its errors are judged. The caller closes raw.
func (h *handshake) over(ctx context.Context, raw net.Conn) (net.Conn, error) {
	cfg := &tls.Config{ServerName: h.name, RootCAs: h.roots, Time: h.now, NextProtos: h.protocols}
	if h.insecure {
		// Asked for by the site file, for devices with certificates and TLS of their day.
		cfg.InsecureSkipVerify = true
		cfg.MinVersion = tls.VersionTLS10
	}
	conn := tls.Client(raw, cfg)
	start := time.Now()
	err := conn.HandshakeContext(ctx)
	h.took += time.Since(start)

	state := conn.ConnectionState()
	h.version, h.certs, h.chains = state.Version, state.PeerCertificates, state.VerifiedChains
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		h.certs = unverified.UnverifiedCertificates
	}
	if err != nil {
		return nil, certificateFailure(h.name, h.certs, h.now(), err)
	}
	return conn, nil
}

// tlsVersions are those that a check can meet.
var tlsVersions = []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}

// certificateMetrics are the series about TLS that checks have in common.
func certificateMetrics() []metric {
	ms := []metric{
		{name: "probe_ssl_earliest_cert_expiry", unit: "seconds", kind: collectors.Gauge},
		{name: "probe_ssl_last_chain_expiry_timestamp_seconds", unit: "seconds", kind: collectors.Gauge},
	}
	for _, v := range tlsVersions {
		ms = append(ms, labelled("probe_tls_version_info", "", collectors.State, "version", tls.VersionName(v)))
	}
	return ms
}

// record writes what is known of the server.
func (h *handshake) record(r *reading) {
	if at := earliestExpiry(h.certs); !at.IsZero() {
		r.set("probe_ssl_earliest_cert_expiry", "", collectors.GaugeValue(float64(at.Unix())))
	}
	if at := lastChainExpiry(h.chains); !at.IsZero() {
		r.set("probe_ssl_last_chain_expiry_timestamp_seconds", "", collectors.GaugeValue(float64(at.Unix())))
	}
	for _, v := range tlsVersions {
		if v == h.version { // the others are missing, as at blackbox_exporter
			r.set("probe_tls_version_info", tls.VersionName(v), collectors.StateValue(1))
		}
	}
}

// lastChainExpiry is when the last of several chains ends; a chain ends with the first
// of its certificates.
func lastChainExpiry(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, c := range chains {
		if end := earliestExpiry(c); end.After(last) {
			last = end
		}
	}
	return last
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
