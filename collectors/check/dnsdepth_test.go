package check

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// validating is a resolver: signed names are authenticated, bogus ones fail, others are
// not there, unless it lies about one of these.
func validating(t *testing.T, authenticated, signatures, bogusFails, rewrites bool) string {
	return serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		name := q.Question[0].Name
		edns := q.IsEdns0()
		switch {
		case name == "bogus.example." && bogusFails:
			reply(t, w, q, dns.RcodeServerFailure)
		case name == "acme.example.", name == "bogus.example.", rewrites && strings.HasSuffix(name, ".acme.example."):
			m := new(dns.Msg).SetReply(q)
			rr, _ := dns.NewRR(name + " 60 IN A 192.0.2.1") // it is well formed
			m.Answer = append(m.Answer, rr)
			if edns != nil && edns.Do() && signatures {
				sig, err := dns.NewRR(name + " 60 IN RRSIG A 13 2 60 20300101000000 20200101000000 1 acme.example. AAAA")
				if err != nil {
					t.Error(err)
				}
				m.Answer = append(m.Answer, sig)
			}
			m.AuthenticatedData = authenticated && q.AuthenticatedData
			_ = w.WriteMsg(m)
		case name == "lame.example.": // no answer at all
		default:
			reply(t, w, q, dns.RcodeNameError)
		}
	})
}

func TestDNSInDepth(t *testing.T) {
	good := validating(t, true, true, true, false)
	deep := DNS{Name: "acme.example", DNSSEC: true, Bogus: "bogus.example", NXDomain: true, Expect: []string{"192.0.2.1"}}
	for _, test := range []struct {
		name   string
		server string
		cfg    DNS
		reason string
		also   string
	}{
		{"all well", good, deep, "", "probe_dns_authenticated_data=1 probe_dns_answer_rrs=2"},
		{"not asked for", good, DNS{Name: "acme.example"}, "", "probe_dns_answer_rrs=1"},
		{"signatures are enough", validating(t, false, true, true, false), deep, "", "probe_dns_authenticated_data=0"},
		{"neither", validating(t, false, false, true, false), deep, "dns: answer is neither validated nor signed", "probe_dns_query_succeeded=1"},
		{"bogus is accepted", validating(t, true, true, false, false), deep, "dns: bogus answer is accepted", ""},
		{"rewritten", validating(t, true, true, true, true), deep, "dns: NXDOMAIN is rewritten", ""},
		{"no answer about the bogus", good, DNS{Name: "acme.example", Bogus: "lame.example"}, "timeout: dns query", "probe_dns_rcode=0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Server = test.server
			timeout := 5 * time.Second
			if strings.HasPrefix(test.reason, "timeout") {
				timeout = 150 * time.Millisecond
			}
			r := collect(t, mustNew(t, Config{Timeout: timeout, DNS: &test.cfg}, &scope{}, Options{}))
			if test.reason == "" {
				r.up()
			} else {
				r.down(test.reason)
			}
			r.want(strings.Fields(test.also)...)
		})
	}
}
