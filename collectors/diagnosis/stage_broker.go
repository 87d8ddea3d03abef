package diagnosis

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors/sntp"
)

// The stages of the clock, the broker and the session.

// maxOff is how far the clock may be from a server's before that is a failure.
const maxOff = 5 * time.Second

func (l *look) clock(ctx context.Context) []Fact {
	if l.contract.Internet == InternetNone {
		l.clockC <- 0
		return l.skip(byDesign, ClockNTP)
	}
	out := make([]Fact, len(l.cfg.NTP))
	var wg sync.WaitGroup
	for i, s := range l.cfg.NTP {
		wg.Go(func() { out[i] = l.askNTP(ctx, s) })
	}
	wg.Wait()
	l.clockC <- correction(out)
	return out
}

func (l *look) askNTP(ctx context.Context, s string) Fact {
	f := NewFact(ClockNTP, s, 0, Unknown, "no answer")
	host, port, ok := hostPort(s, 123)
	if !ok {
		return f
	}
	start := time.Now()
	tries(ctx, 2, 2*time.Second, func(ctx context.Context) bool {
		a, err := sntp.Ask(ctx, join(host, port), 2*time.Second, func(ctx context.Context, network, _ string) (net.Conn, error) {
			return l.gate.dial(ctx, network, host, port)
		})
		if err != nil {
			return false
		}
		// The clock that is judged may be another than the kernel's.
		off := a.Behind - time.Until(l.in.Now())
		f.Result, f.Detail = Works, ""
		if off.Abs() > maxOff {
			f.Result, f.Detail = Fails, "the box's clock is not this server's"
		}
		f = f.With("offset_ms", float64(off.Milliseconds()))
		return true
	})
	f.TookMS = time.Since(start).Milliseconds()
	return f
}

// correction is the median of what servers say the clock is behind, where most of two
// at least say that it is wrong and agree.
func correction(fs []Fact) time.Duration {
	var all []float64
	for _, f := range fs {
		if f.Result == Works || f.Result == Fails {
			all = append(all, f.number("offset_ms"))
		}
	}
	if len(all) < 2 {
		return 0
	}
	slices.Sort(all)
	middle := all[len(all)/2]
	agree := 0
	for _, x := range all {
		if max(x-middle, middle-x) <= alike {
			agree++
		}
	}
	if 2*agree <= len(all) {
		return 0
	}
	return time.Duration(middle) * time.Millisecond
}

// broker connects to each of the uplink's servers and looks at its certificate, by the
// time that the clock stage says it is.
func (l *look) broker(ctx context.Context) []Fact {
	out := make([][]Fact, len(l.servers))
	seen := make([][]*x509.Certificate, len(l.servers))
	var wg sync.WaitGroup
	for i, s := range l.servers {
		wg.Go(func() { out[i], seen[i] = l.server(ctx, s) })
	}
	wg.Wait()
	now := l.in.Now()
	select {
	case off := <-l.clockC:
		now = now.Add(off)
	case <-ctx.Done():
	}
	all := slices.Concat(out...)
	for i, s := range l.servers {
		if len(seen[i]) > 0 {
			all = append(all, l.judgeCertificates(s, seen[i], now)...)
		}
	}
	return append(all, l.boxCertificate(now)...)
}

// server gives the facts of one server and the certificates that it shows.
func (l *look) server(ctx context.Context, s server) (out []Fact, certs []*x509.Certificate) {
	target := join(s.host, s.port)
	start := time.Now()
	resolving, cancel := context.WithTimeout(ctx, 5*time.Second)
	as, err := l.gate.resolve(resolving, s.host, s.port)
	cancel()
	f := NewFact(BrokerResolve, target, 0, Works, "")
	f.TookMS = time.Since(start).Milliseconds()
	if err != nil {
		f.Result, f.Detail = Fails, phrase(err)
		return []Fact{f}, nil
	}
	out = append(out, f)
	up := netip.Addr{}
	for _, a := range as {
		if a.Is6() && (!l.global6 || !l.hasRoute6) && !a.IsLoopback() {
			continue
		}
		t := l.connectedTo(ctx, NewFact(BrokerTCP, target, familyOf(a), Unknown, ""), a, s.port)
		out = append(out, t)
		if t.Result == Works && !up.IsValid() {
			up = a
		}
		if t.Result == Works {
			break
		}
	}
	if !s.tls || !up.IsValid() {
		return out, nil
	}
	start = time.Now()
	failed := tries(ctx, 2, 4*time.Second, func(ctx context.Context) bool {
		certs, err = l.certificates(ctx, s, up)
		return len(certs) > 0
	})
	if failed == 2 || len(certs) == 0 {
		c := NewFact(BrokerChain, target, 0, Unknown, "TLS: "+phrase(err))
		c.TookMS = time.Since(start).Milliseconds()
		out = append(out, c)
	}
	return out, certs
}

// connectedTo is connected for an address that a name led to.
func (l *look) connectedTo(ctx context.Context, f Fact, a netip.Addr, port uint16) Fact {
	start := time.Now()
	var err error
	failed := tries(ctx, 2, 2500*time.Millisecond, func(ctx context.Context) bool {
		c, e := l.gate.connect(ctx, "tcp", a, port)
		if err = e; err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	f.Result, f.Detail = Works, ""
	if err != nil || failed == 2 {
		f = f.With("times", float64(failed))
		f.Result, f.Detail = Fails, phrase(err)
	}
	f.TookMS = time.Since(start).Milliseconds()
	return f
}

// certificates begins TLS and takes what the server shows, whatever it is.
func (l *look) certificates(ctx context.Context, s server, a netip.Addr) (certs []*x509.Certificate, err error) {
	raw, err := l.gate.connect(ctx, "tcp", a, s.port)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	c := tls.Client(raw, &tls.Config{
		ServerName: s.host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, // it is judged below, at the right time; nothing is sent here
		VerifyConnection: func(state tls.ConnectionState) error {
			certs = state.PeerCertificates
			return errSeen
		},
	})
	if err = c.HandshakeContext(ctx); errors.Is(err, errSeen) {
		err = nil
	}
	return certs, err
}

var errSeen = errors.New("the certificates were seen")

// judgeCertificates looks at chain and name, at the dates, and at the key, each apart
// from the others.
func (l *look) judgeCertificates(s server, certs []*x509.Certificate, now time.Time) []Fact {
	target := join(s.host, s.port)
	expiry, chain, pin := NewFact(BrokerExpiry, target, 0, Works, ""), NewFact(BrokerChain, target, 0, Works, ""), NewFact(BrokerPin, target, 0, Unknown, "")
	leaf := certs[0]
	expiry.Result, expiry.Detail = resultOf(!now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter)), dates(leaf, now)
	expiry = expiry.With("days_left", float64(int(leaf.NotAfter.Sub(now).Hours()/24)))
	var roots *x509.CertPool
	if l.in.Roots != nil {
		var err error
		if roots, err = l.in.Roots(); err != nil {
			chain.Result, chain.Detail = Unknown, "the file of the CA cannot be read"
			return []Fact{expiry, chain}
		}
	}
	opts := x509.VerifyOptions{Roots: roots, DNSName: s.host, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range certs[1:min(len(certs), 10)] {
		opts.Intermediates.AddCert(c)
	}
	if expiry.Result == Fails { // that is said already; what else is wrong with it?
		opts.CurrentTime = leaf.NotAfter.Add(-time.Second)
	}
	_, err := leaf.Verify(opts)
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		chain.Result, chain.Detail = Fails, "a certificate of another name"
	case errors.As(err, &authority):
		chain.Result, chain.Detail = Fails, "a certificate of another authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		expiry.Result, expiry.Detail = Fails, "an authority's certificate is not valid at this time"
	case err != nil:
		chain.Result, chain.Detail = Fails, "a certificate that is not valid"
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	pin.Detail = hex.EncodeToString(sum[:])
	if len(l.base.BrokerSPKI) > 0 {
		pin.Result = resultOf(slices.Contains(l.base.BrokerSPKI, pin.Detail))
	}
	return []Fact{expiry, chain, pin}
}

func dates(c *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(c.NotBefore):
		return "not valid yet"
	case now.After(c.NotAfter):
		return "it has expired"
	}
	return ""
}

// boxCertificate looks at the dates of the box's own.
func (l *look) boxCertificate(now time.Time) []Fact {
	if l.in.Box == nil {
		return nil
	}
	c, err := l.in.Box()
	if err != nil {
		return []Fact{NewFact(BoxExpiry, "", 0, Unknown, "the box's certificate cannot be read")}
	}
	if c == nil {
		return nil
	}
	return []Fact{NewFact(BoxExpiry, "", 0, resultOf(dates(c, now) == ""), dates(c, now)).With("days_left", float64(int(c.NotAfter.Sub(now).Hours()/24)))}
}

func (l *look) session(ctx context.Context) []Fact {
	if l.in.Uplink == nil {
		return l.skip("the daemon does not run", Connected)
	}
	return sessionFacts(l.in.Uplink(ctx), l.base)
}

func (l *look) power(context.Context) []Fact {
	if l.in.Power == nil {
		return nil
	}
	return powerFacts(l.in.Power())
}
