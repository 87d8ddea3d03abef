package broker

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificates is the TLS configuration, read again when a file has changed. When
// the new files are no good, the old ones stay.
type certificates struct {
	cert, key, clientCA string
	failed              func(error)

	mu     sync.Mutex
	config *tls.Config
	seen   [3]time.Time // modification times of the files
}

func loadCertificates(cert, key, clientCA string, failed func(error)) (*certificates, error) {
	c := &certificates{cert: cert, key: key, clientCA: clientCA, failed: failed}
	c.seen = c.modified()
	var err error
	c.config, err = c.load()
	return c, err
}

// server returns what a listener needs.
func (c *certificates) server() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}
}

func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.modified()
	if seen == c.seen {
		return c.config
	}
	c.seen = seen
	config, err := c.load()
	if err != nil {
		c.failed(err)
		return c.config
	}
	c.config = config
	return config
}

func (c *certificates) modified() (at [3]time.Time) {
	for i, name := range []string{c.cert, c.key, c.clientCA} {
		if info, err := os.Stat(name); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("reading the broker's certificate: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if c.clientCA != "" {
		pem, err := os.ReadFile(c.clientCA)
		if err != nil {
			return nil, fmt.Errorf("reading the clients' CA: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the clients' CA: %s holds no certificate", c.clientCA)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
