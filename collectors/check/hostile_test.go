package check

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// enemy is a server that means harm, once it has been connected to.
type enemy struct {
	name string
	does func(conn net.Conn)
}

// flood says the same for ever, as fast as it is taken.
func flood(piece string) func(net.Conn) {
	return func(conn net.Conn) {
		big := []byte(strings.Repeat(piece, 1+(64<<10)/len(piece)))
		for {
			if _, err := conn.Write(big); err != nil {
				return
			}
		}
	}
}

// drip says one octet after the other and never comes to an end.
func drip(text string) func(net.Conn) {
	return func(conn net.Conn) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			<-tick.C
			if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
				return
			}
		}
	}
}

func mute(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func garbage(conn net.Conn) {
	b := make([]byte, 8<<10)
	_, _ = rand.Read(b)
	_, _ = conn.Write(b) // a client that has gone
}

// asHTTP answers a request with what follows.
func asHTTP(head string, then func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 4<<10)); err != nil {
			return
		}
		if _, err := io.WriteString(conn, head); err == nil {
			then(conn)
		}
	}
}

// bomb is a server whose certificates are as many, or as large, as fit.
func bomb(t *testing.T, leaf *x509.Certificate, more int) func(net.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf.SerialNumber, leaf.NotBefore, leaf.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	leaf.IsCA, leaf.BasicConstraintsValid, leaf.Subject = true, true, pkix.Name{CommonName: "bomb"}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for range more { // all of one name and key: each may be the issuer of each
		leaf.SerialNumber.Add(leaf.SerialNumber, big.NewInt(1))
		der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert.Certificate = append(cert.Certificate, der)
	}
	return func(conn net.Conn) {
		mute(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})) // the handshake fails, or does not
	}
}

// manyNames is a certificate of so many names.
func manyNames(n int) *x509.Certificate {
	c := &x509.Certificate{}
	for i := range n {
		c.DNSNames = append(c.DNSNames, fmt.Sprintf("a%d.test", i))
	}
	return c
}

// Whatever a server does, a check ends before its deadline, with one of a few reasons,
// and in little memory.
func TestHostileServers(t *testing.T) {
	general := []enemy{
		{"is mute", mute},
		{"hangs up", func(net.Conn) {}},
		{"says garbage", garbage},
		{"drips", drip("220-x\r\n")},
		{"drips without a line", drip("x")},
		{"floods lines", flood("220-and more\r\n")},
		{"floods one line", flood("2")},
		{"floods zeros", flood("\x00")},
		{"announces four gigabytes by LDAP", flood("\x30\x84\xff\xff\xff\xff")},
		{"has a chain without end", bomb(t, &x509.Certificate{}, 500)},
		{"has many names", bomb(t, manyNames(4000), 0)},
		{"has too many names", bomb(t, manyNames(20000), 0)},
	}
	web := []enemy{
		{"answers a gigabyte", asHTTP("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", flood("m 1\n"))},
		{"answers one line of a gigabyte", asHTTP("HTTP/1.1 200 OK\r\n\r\n", flood("m"))},
		{"answers chunks without end", asHTTP("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", flood("1\r\n#\r\n"))},
		{"answers comments without end", asHTTP("HTTP/1.1 200 OK\r\n\r\n", flood("# x\n"))},
		{"answers series without end", asHTTP("HTTP/1.1 200 OK\r\n\r\n", flood("m{x=\"1\"} 1\nm{x=\"2\"} 1\n"))},
		{"answers headers without end", asHTTP("HTTP/1.1 200 OK\r\n", flood("X: y\r\n"))},
		{"drips a body", asHTTP("HTTP/1.1 200 OK\r\n\r\n", drip("m 1\n"))},
		{"redirects out of scope", asHTTP("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.9/\r\n\r\n", mute)},
	}
	kinds := map[string]func(address string) Config{
		"tls":      func(a string) Config { return Config{TLS: &TLS{Address: a}} },
		"tls smtp": func(a string) Config { return Config{TLS: &TLS{Address: a, StartTLS: "smtp"}} },
		"smtp":     func(a string) Config { return Config{Banner: &Banner{Protocol: "smtp", Address: a, StartTLS: true}} },
		"imap":     func(a string) Config { return Config{Banner: &Banner{Protocol: "imap", Address: a}} },
		"pop3s":    func(a string) Config { return Config{Banner: &Banner{Protocol: "pop3", Address: a, TLS: true}} },
		"ssh":      func(a string) Config { return Config{Banner: &Banner{Protocol: "ssh", Address: a}} },
		"ldap":     func(a string) Config { return Config{LDAP: &LDAP{Address: a}} },
		"ldaps":    func(a string) Config { return Config{LDAP: &LDAP{Address: a, TLS: true}} },
		"http":     func(a string) Config { return Config{HTTP: &HTTP{URL: "http://" + a, Body: "^\x00$"}} },
		"https":    func(a string) Config { return Config{HTTP: &HTTP{URL: "https://" + a}} },
		"prometheus": func(a string) Config {
			return Config{Prometheus: &Prometheus{URL: "http://" + a, Metrics: []Pick{{Name: ".*"}}}}
		},
	}
	const patience = 150 * time.Millisecond
	d := &scope{refused: []string{"127.0.0.9"}}
	var most uint64
	for kind, of := range kinds {
		t.Run(kind, func(t *testing.T) {
			enemies := general
			if kind == "http" || kind == "prometheus" {
				enemies = slices.Concat(general, web)
			}
			for _, e := range enemies {
				address := serveTCP(t, e.does)
				cfg := of(address)
				cfg.Name, cfg.Timeout = "x", patience
				c, err := New(cfg, d, Options{})
				if err != nil {
					t.Fatal(err)
				}
				outcome, took, grown := withstand(t, c)
				if took > patience+2*time.Second {
					t.Errorf("one that %s: it took %v", e.name, took)
				}
				most = max(most, grown)
				if grown > 24<<20 {
					t.Errorf("one that %s: %d MiB more memory", e.name, grown>>20)
				}
				if !slices.Contains(fixedReasons, outcome) {
					t.Errorf("one that %s: %q is none of the reasons", e.name, outcome)
				}
			}
		})
	}
	t.Logf("at most %d KiB more memory than before", most>>10)
}

// fixedReasons are those that the servers of the test above may give; "up" where they
// did a check no harm.
var fixedReasons = []string{
	"up", "out of scope",
	"timeout: greeting", "timeout: tls", "timeout: starttls", "timeout: ehlo", "timeout: bind", "timeout: search", "timeout: response", "timeout: body",
	"connection closed", "connection reset", "response failed", "body failed", "body does not match", "tls failed",
	"greeting of another protocol", "greeting refuses service", "answer too long", "answer of too many lines",
	"ldap: malformed answer", "tls: not a TLS server", "tls: handshake refused",
	"certificate of an unknown authority", "certificate of another name", "certificate invalid",
	"not Prometheus's text format", "exposition too large", "unexpected answer", "ssh: version too old", "ehlo refused", "starttls: not offered",
}

// withstand runs a check once. The outcome is its reason, "up", or that it was not
// performed; grown is how much more was in use at its highest than before.
func withstand(t *testing.T, c *Check) (outcome string, took time.Duration, grown uint64) {
	t.Helper()
	runtime.GC()
	before, highest := inUse(), uint64(0)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			highest = max(highest, inUse())
			<-tick.C
		}
	})
	start := time.Now()
	outcome = "up"
	err := c.Collect(ctx, func(b collectors.Batch) {
		if err := b.Validate(); err != nil {
			t.Errorf("batch: %v", err)
		}
		for i, s := range b.Schema.Series {
			if s.Metric == "probe_failure_reason" && b.Values[i].Text() != "" {
				outcome = b.Values[i].Text()
			}
		}
	})
	took = time.Since(start)
	cancel()
	watching.Wait()
	if err != nil {
		outcome = "out of scope"
		if !errors.Is(err, ErrOutOfScope) {
			outcome = err.Error()
		}
	}
	return outcome, took, highest - min(highest, before)
}

// inUse is what of the heap is in use, garbage included.
func inUse() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
