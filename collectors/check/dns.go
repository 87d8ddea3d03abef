package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/siteprobe/siteprobe/collectors"
)

// dnsTries is how often a query is sent over UDP: a single lost datagram does not
// make a server down.
const dnsTries = 3

func dnsMetrics(cfg DNS) []metric {
	ms := append(commonMetrics(),
		metric{name: "probe_dns_query_succeeded", kind: collectors.State},
		metric{name: "probe_dns_rcode", kind: collectors.State},
		metric{name: "probe_dns_answer_rrs", kind: collectors.Gauge},
		metric{name: "probe_dns_authority_rrs", kind: collectors.Gauge},
		metric{name: "probe_dns_additional_rrs", kind: collectors.Gauge},
		metric{name: "probe_dns_serial", kind: collectors.State})
	if cfg.DNSSEC {
		ms = append(ms, metric{name: "probe_dns_authenticated_data", kind: collectors.State})
	}
	return append(ms, phases("probe_dns_duration_seconds", "resolve", "connect", "request")...)
}

// newDNS makes the probe that asks a server for a name, over UDP and, where the
// answer is cut short, over TCP. cfg is valid.
func newDNS(cfg DNS, dialer Dialer) probe {
	qtype, _ := cfg.qtype()
	rcode, _ := cfg.rcode()
	want := make([]string, 0, len(cfg.Expect))
	for _, e := range cfg.Expect {
		c, _ := canonical(qtype, e)
		want = append(want, c)
	}
	return func(ctx context.Context, r *reading) error {
		q := query{dialer: dialer, server: cfg.address(), msg: new(dns.Msg).SetQuestion(cfg.qname(), qtype)}
		if cfg.DNSSEC {
			q.validated()
		}
		answer, err := q.askUntilWhole(ctx)
		q.record(r)
		if err != nil {
			r.set("probe_dns_query_succeeded", "", flag(false))
			return judge("dns query", q.server, err)
		}
		recordAnswer(r, answer)
		if err := verdict(answer, qtype, rcode, want); err != nil {
			return err
		}
		return cfg.depth(ctx, r, dialer, answer)
	}
}

// askUntilWhole asks over UDP, and over TCP where the answer did not fit.
func (q *query) askUntilWhole(ctx context.Context) (*dns.Msg, error) {
	answer, err := q.ask(ctx, "udp")
	if err == nil && answer.Truncated {
		answer, err = q.ask(ctx, "tcp")
	}
	return answer, err
}

// query is one question on its way to a server, and the time it took.
type query struct {
	dialer Dialer
	server string
	msg    *dns.Msg

	resolve, connect, request time.Duration
	resolved, connected       bool
}

// ask sends the question over network and returns the answer to it.
func (q *query) ask(ctx context.Context, network string) (*dns.Msg, error) {
	packed, err := q.msg.Pack()
	if err != nil {
		return nil, fmt.Errorf("making the query: %w", err)
	}
	d, err := dial(ctx, q.dialer, network, q.server)
	q.resolve, q.resolved = q.resolve+d.resolve, d.resolved
	if err != nil {
		return nil, err
	}
	defer d.conn.Close()
	q.connect, q.connected = q.connect+d.connect, true
	defer context.AfterFunc(ctx, func() { _ = d.conn.Close() })()

	start := time.Now()
	var answer *dns.Msg
	if network == "tcp" {
		answer, err = q.overTCP(ctx, d.conn, packed)
	} else {
		answer, err = q.overUDP(ctx, d.conn, packed)
	}
	q.request += time.Since(start)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // the connection was closed under the read
	}
	return answer, err
}

// overUDP sends the query, again when no answer comes in its share of the time.
// The framing is done here and not by dns.Conn, which has to guess from the type
// of the connection whether it carries datagrams; a dialer may wrap it.
func (q *query) overUDP(ctx context.Context, conn net.Conn, packed []byte) (*dns.Msg, error) {
	deadline, _ := ctx.Deadline()
	buf := make([]byte, dns.MaxMsgSize)
	var err error
	for try := range dnsTries {
		share := time.Until(deadline) / time.Duration(dnsTries-try)
		if err = conn.SetDeadline(time.Now().Add(share)); err != nil {
			return nil, err
		}
		if _, err = conn.Write(packed); err != nil {
			return nil, err
		}
		for {
			var n int
			if n, err = conn.Read(buf); err != nil {
				break
			}
			if m := q.match(buf[:n]); m != nil {
				return m, nil
			}
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			return nil, err
		}
	}
	return nil, err
}

// overTCP sends the query with a length in front, as RFC 1035 4.2.2 has it.
func (q *query) overTCP(ctx context.Context, conn net.Conn, packed []byte) (*dns.Msg, error) {
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(packed)))
	if _, err := conn.Write(append(framed, packed...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	if m := q.match(buf); m != nil {
		return m, nil
	}
	return nil, because("dns: malformed answer")
}

// match returns the message if it answers the query: same id, same question.
// Others are skipped, be they late or forged.
func (q *query) match(b []byte) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil || !m.Response || m.Id != q.msg.Id {
		return nil
	}
	// A server that refuses or fails may leave the question out.
	if len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess {
		return m
	}
	asked := q.msg.Question[0]
	if len(m.Question) != 1 || m.Question[0].Qtype != asked.Qtype || m.Question[0].Qclass != asked.Qclass ||
		!strings.EqualFold(m.Question[0].Name, asked.Name) {
		return nil
	}
	return m
}

func (q *query) record(r *reading) {
	if q.resolved {
		r.set("probe_dns_lookup_time_seconds", "", seconds(q.resolve))
		r.set("probe_dns_duration_seconds", "resolve", seconds(q.resolve))
	}
	if q.connected {
		r.set("probe_dns_duration_seconds", "connect", seconds(q.connect))
		r.set("probe_dns_duration_seconds", "request", seconds(q.request))
	}
}

func recordAnswer(r *reading, m *dns.Msg) {
	r.set("probe_dns_query_succeeded", "", flag(true))
	r.set("probe_dns_rcode", "", collectors.StateValue(int64(m.Rcode)))
	r.set("probe_dns_answer_rrs", "", collectors.GaugeValue(float64(len(m.Answer))))
	r.set("probe_dns_authority_rrs", "", collectors.GaugeValue(float64(len(m.Ns))))
	r.set("probe_dns_additional_rrs", "", collectors.GaugeValue(float64(len(m.Extra))))
	for _, rr := range m.Answer {
		if soa, ok := rr.(*dns.SOA); ok {
			r.set("probe_dns_serial", "", collectors.StateValue(int64(soa.Serial)))
		}
	}
}

// verdict compares an answer with what is expected.
func verdict(m *dns.Msg, qtype uint16, rcode int, want []string) error {
	if m.Rcode != rcode {
		name, ok := dns.RcodeToString[m.Rcode]
		if !ok {
			name = fmt.Sprintf("rcode %d", m.Rcode)
		}
		return because("dns: " + name)
	}
	if rcode != dns.RcodeSuccess {
		return nil
	}
	var got []string
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == qtype { // not the CNAMEs on the way
			got = append(got, data(rr))
		}
	}
	if len(got) == 0 {
		return because("dns: no record of the type")
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			return because("dns: expected answer is missing")
		}
	}
	return nil
}

// data is a record's data in the form that expected values are compared in: as in
// a zone file, in lower case except for text.
func data(rr dns.RR) string {
	if txt, ok := rr.(*dns.TXT); ok {
		return strings.Join(txt.Txt, "") // how a text is split into strings has no meaning
	}
	s := strings.TrimPrefix(rr.String(), rr.Header().String())
	return strings.ToLower(strings.Join(strings.Fields(s), " "))
}

// canonical brings an expected value into the form of data.
func canonical(qtype uint16, s string) (string, error) {
	switch qtype {
	case dns.TypeTXT:
		return strings.TrimSuffix(strings.TrimPrefix(s, `"`), `"`), nil
	case dns.TypeA, dns.TypeAAAA:
		a, err := netip.ParseAddr(s)
		if err != nil || a.Is4() != (qtype == dns.TypeA) {
			return "", fmt.Errorf("%q is not an address of the type", s)
		}
		return a.String(), nil
	}
	rr, err := dns.NewRR(". 0 IN " + dns.TypeToString[qtype] + " " + s)
	if err != nil || rr == nil || rr.Header().Rrtype != qtype {
		return "", errors.New("not the data of such a record")
	}
	return data(rr), nil
}

func (c DNS) address() string { return withPort(c.Server, "53") }

// withPort adds a port to an address that has none.
func withPort(address, port string) string {
	if host, port, err := net.SplitHostPort(address); err == nil {
		return net.JoinHostPort(host, port)
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), port)
}

func (c DNS) qname() string {
	if c.Type == "PTR" {
		if reverse, err := dns.ReverseAddr(c.Name); err == nil {
			return reverse
		}
	}
	return dns.Fqdn(c.Name)
}

func (c DNS) qtype() (uint16, error) {
	switch c.Type {
	case "":
		return dns.TypeA, nil
	case "A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT":
		return dns.StringToType[c.Type], nil
	}
	return 0, fmt.Errorf("type: %q is none of A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT", collectors.Clip(c.Type, 20))
}

func (c DNS) rcode() (int, error) {
	if c.Rcode == "" {
		return dns.RcodeSuccess, nil
	}
	n, ok := dns.StringToRcode[c.Rcode]
	if !ok || n > 15 { // higher ones need EDNS
		return 0, fmt.Errorf("rcode: %q is not a response code such as NOERROR, NXDOMAIN, SERVFAIL, REFUSED", collectors.Clip(c.Rcode, 20))
	}
	return n, nil
}

// example is the data of a record, for the message about one that is wrong.
func example(qtype uint16) string {
	switch qtype {
	case dns.TypeA:
		return "192.0.2.1"
	case dns.TypeAAAA:
		return "2001:db8::1"
	case dns.TypeMX:
		return "10 mail.example.com."
	case dns.TypeSRV:
		return "0 5 389 dc1.example.com."
	case dns.TypeSOA:
		return "ns1.example.com. admin.example.com. 1 7200 900 1209600 86400"
	}
	return "host.example.com."
}
