package check

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// udpSize is what a query says that it can take in one datagram: what passes every
// network in one piece (DNS Flag Day 2020).
const udpSize = 1232

// validated makes a query of one that wants to know whether the answer is signed: DO
// asks for the signatures (RFC 4035 3.2.1), AD for the resolver's own word (RFC 6840 5.7).
func (q *query) validated() {
	q.msg.SetEdns0(udpSize, true)
	q.msg.AuthenticatedData = true
}

// depth looks at what a resolver does beyond the answer it gave: does it validate, and
// does it leave alone what does not exist. A resolver that lies about the one is not
// asked for the other.
func (c DNS) depth(ctx context.Context, r *reading, dialer Dialer, answer *dns.Msg) error {
	if c.DNSSEC {
		r.set("probe_dns_authenticated_data", "", flag(answer.AuthenticatedData))
		if !answer.AuthenticatedData && !signed(answer) {
			return because("dns: answer is neither validated nor signed")
		}
	}
	if c.Bogus != "" {
		rcode, err := c.askAgain(ctx, dialer, dns.Fqdn(c.Bogus), true)
		switch {
		case err != nil:
			return err
		case rcode != dns.RcodeServerFailure:
			return because("dns: bogus answer is accepted")
		}
	}
	if c.NXDomain {
		var label [8]byte
		if _, err := rand.Read(label[:]); err != nil {
			return fmt.Errorf("making a random name: %w", err)
		}
		rcode, err := c.askAgain(ctx, dialer, "x"+hex.EncodeToString(label[:])+"."+c.qname(), false)
		switch {
		case err != nil:
			return err
		case rcode != dns.RcodeNameError:
			return because("dns: NXDOMAIN is rewritten")
		}
	}
	return nil
}

// askAgain asks the same server for another name's address, and returns the code of the
// answer. Its errors are judged.
func (c DNS) askAgain(ctx context.Context, dialer Dialer, name string, validated bool) (rcode int, err error) {
	q := query{dialer: dialer, server: c.address(), msg: new(dns.Msg).SetQuestion(name, dns.TypeA)}
	if validated {
		q.validated()
	}
	m, err := q.askUntilWhole(ctx)
	if err != nil {
		return 0, judge("dns query", q.server, err)
	}
	return m.Rcode, nil
}

// signed tells whether signatures came with an answer, or with the denial of one.
func signed(m *dns.Msg) bool {
	return slices.ContainsFunc(slices.Concat(m.Answer, m.Ns), func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeRRSIG
	})
}
