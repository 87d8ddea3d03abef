package diagnosis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// The stages of names and of login pages.

const maxResolvers = 3

// localResolvers reads the site's resolvers out of the first file that names any but
// this box's own: a stub on this box answers even where its upstreams do not, or not
// where they do, so they are asked where they are known.
func localResolvers(files []string) (out []netip.Addr) {
	for _, file := range files {
		b, err := statefile.Read(file, 64<<10)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			w := strings.Fields(line)
			if len(w) < 2 || w[0] != "nameserver" {
				continue
			}
			a, err := netip.ParseAddr(w[1])
			if err == nil && a.Zone() == "" && !a.IsLoopback() && !slices.Contains(out, a) && len(out) < maxResolvers {
				out = append(out, a)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// anyName is one that every resolver knows.
func (l *look) anyName() string {
	if l.cfg.Names.Canary != "" {
		return l.cfg.Names.Canary
	}
	return "."
}

// names asks each resolver for all names that are configured.
func (l *look) names(ctx context.Context) []Fact {
	var mu sync.Mutex
	var out []Fact
	var wg sync.WaitGroup
	add := func(fs ...Fact) {
		mu.Lock()
		defer mu.Unlock()
		out = append(out, fs...)
	}
	for _, r := range l.resolvers {
		wg.Go(func() { add(l.localResolver(ctx, r)...) })
	}
	switch l.contract.Internet {
	case InternetNone:
		add(l.skip(byDesign, ResolverPublic)...)
	case InternetLimited:
		add(l.skip(onlyItself, ResolverPublic)...)
	default:
		for _, s := range l.cfg.Resolvers {
			if r, err := netip.ParseAddr(s); err == nil && (r.Is4() || l.global6 && l.hasRoute6) {
				wg.Go(func() { add(l.publicResolver(ctx, r)...) })
			}
		}
	}
	wg.Wait()
	return out
}

func (l *look) localResolver(ctx context.Context, r netip.Addr) []Fact {
	mark := func(f Fact) Fact {
		switch {
		case l.hasRoute && r == l.route.gateway:
			return f.With("gateway", 1)
		case r.IsPrivate():
			return f.With("private", 1)
		}
		return f
	}
	tcp := make(chan Fact, 1)
	go func() { tcp <- mark(l.resolver(ctx, ResolverTCP, r, "tcp")) }()
	udp := mark(l.resolver(ctx, ResolverLocal, r, "udp"))
	out := []Fact{udp, <-tcp}
	if udp.Result == Works {
		out = append(out, l.truth(ctx, r)...)
	}
	return out
}

func (l *look) publicResolver(ctx context.Context, r netip.Addr) []Fact {
	f := l.resolver(ctx, ResolverPublic, r, "udp")
	if f.Result != Works {
		return []Fact{f}
	}
	return append(l.truth(ctx, r), f)
}

// resolver tells whether a resolver resolves at all.
func (l *look) resolver(ctx context.Context, name string, r netip.Addr, network string) Fact {
	f := NewFact(name, r.String(), familyOf(r), Works, "")
	start := time.Now()
	m, ok := l.query(ctx, r, network, l.anyName(), false)
	f.TookMS = time.Since(start).Milliseconds()
	switch {
	case !ok:
		f.Result, f.Detail = Fails, "no answer"
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		f.Result, f.Detail = Fails, "it answers "+dns.RcodeToString[m.Rcode]
	}
	return f
}

// truth asks a resolver that works for what it should not know, or know exactly.
func (l *look) truth(ctx context.Context, r netip.Addr) (out []Fact) {
	n := l.cfg.Names
	var wg sync.WaitGroup
	var mu sync.Mutex
	ask := func(name, query string, judge func(m *dns.Msg) (Result, string)) {
		if query == "" {
			return
		}
		wg.Go(func() {
			f := NewFact(name, r.String(), familyOf(r), Unknown, "no answer")
			start := time.Now()
			if m, ok := l.query(ctx, r, "udp", query, true); ok {
				f.Result, f.Detail = judge(m)
			}
			f.TookMS = time.Since(start).Milliseconds()
			mu.Lock()
			defer mu.Unlock()
			out = append(out, f)
		})
	}
	random := ""
	if n.Random != "" {
		random = "siteprobe-" + token() + "." + n.Random
	}
	ask(NamesRandom, random, func(m *dns.Msg) (Result, string) {
		switch {
		case len(addresses(m)) > 0:
			return Fails, "a name that does not exist has an address"
		case m.Rcode == dns.RcodeNameError:
			return Works, ""
		}
		return Unknown, ""
	})
	ask(NamesCanary, n.Canary, func(m *dns.Msg) (Result, string) {
		got := addresses(m)
		switch {
		case len(got) == 0:
			return Unknown, "no address"
		case slices.ContainsFunc(got, func(a string) bool { return slices.Contains(n.Addresses, a) }):
			return Works, ""
		}
		return Fails, "a known name has another address"
	})
	ask(NamesBogus, n.Bogus, func(m *dns.Msg) (Result, string) {
		switch {
		case len(addresses(m)) > 0:
			return Fails, "a name with a wrong signature has an address"
		case m.Rcode == dns.RcodeServerFailure:
			return Works, ""
		}
		return Unknown, ""
	})
	ask(NamesSigned, n.Signed, func(m *dns.Msg) (Result, string) {
		if len(addresses(m)) == 0 {
			return Unknown, "no address"
		}
		return resultOf(m.AuthenticatedData), ""
	})
	wg.Wait()
	return out
}

// query asks a resolver for an IPv4 address, twice at most.
func (l *look) query(ctx context.Context, r netip.Addr, network, name string, dnssec bool) (answer *dns.Msg, ok bool) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.TypeA)
	q.SetEdns0(1232, dnssec)
	q.AuthenticatedData = true
	tries(ctx, 2, 1500*time.Millisecond, func(ctx context.Context) bool {
		c, err := l.gate.dial(ctx, network, r.String(), l.dnsPort)
		if err != nil {
			return false
		}
		defer c.Close()
		conn := &dns.Conn{Conn: c, UDPSize: 4096}
		if conn.WriteMsg(q) != nil {
			return false
		}
		for range 16 { // what else may come here before the answer does
			m, err := conn.ReadMsg()
			if err != nil && m == nil {
				return false
			}
			if err == nil && m.Id == q.Id && m.Response && len(m.Question) == 1 && strings.EqualFold(m.Question[0].Name, q.Question[0].Name) {
				answer = m
				return true
			}
		}
		return false
	})
	return answer, answer != nil
}

func addresses(m *dns.Msg) (out []string) {
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok && m.Rcode == dns.RcodeSuccess {
			out = append(out, a.A.String())
		}
	}
	return out
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

const maxBody = 4096

func (l *look) portal(ctx context.Context) []Fact {
	switch l.contract.Internet {
	case InternetNone:
		return l.skip(byDesign, PortalHTTP)
	case InternetLimited:
		return l.skip(onlyItself, PortalHTTP)
	}
	out := make([]Fact, len(l.cfg.Portal))
	var wg sync.WaitGroup
	for i, g := range l.cfg.Portal {
		wg.Go(func() { out[i] = l.page(ctx, g) })
	}
	wg.Wait()
	select {
	case offers := <-l.offers:
		for _, o := range offers {
			if o.portal != "" && o.portal != "urn:ietf:params:capport:unrestricted" {
				out = append(out, NewFact(PortalAPI, o.server.String(), 4, Fails, "DHCP names a login page (RFC 8910)"))
			}
		}
	case <-ctx.Done():
	}
	return out
}

// page fetches one, without following redirects. That nobody answers says nothing of a
// login page.
func (l *look) page(ctx context.Context, g Page) Fact {
	u, err := url.Parse(g.URL)
	if err != nil {
		return NewFact(PortalHTTP, "", 0, Unknown, "")
	}
	f := NewFact(PortalHTTP, u.Host, 0, Unknown, "no answer")
	start := time.Now()
	tries(ctx, 2, 3*time.Second, func(ctx context.Context) bool {
		status, body, err := l.get(ctx, u)
		switch {
		case err != nil:
			return false
		case status == http.StatusOK && body == g.Body:
			f.Result, f.Detail = Works, ""
		case status >= 300 && status < 400, status == http.StatusNetworkAuthenticationRequired:
			f.Result, f.Detail = Fails, "another page is sent for"
		case status == http.StatusOK:
			f.Result, f.Detail = Fails, "another page comes in its place"
		default:
			f.Detail = "an error of the server"
		}
		return true
	})
	f.TookMS = time.Since(start).Milliseconds()
	return f
}

func (l *look) get(ctx context.Context, u *url.URL) (status int, body string, err error) {
	host, port, ok := hostPort(u.Host, 80)
	if !ok {
		return 0, "", errNotAllowed
	}
	t := &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.gate.dial(ctx, "tcp", host, port) }}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := t.RoundTrip(req) // which follows no redirect
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	return resp.StatusCode, string(b), err
}

// phrase says why a connection failed, in words of this package.
func phrase(err error) string {
	var lookup *net.DNSError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &lookup):
		return "its name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable"
	case errors.Is(err, errNotAllowed):
		return "not a target of the diagnosis"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "no answer in time"
	}
	return "failed"
}
