package sitetest

import (
	"crypto"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// zone is [Zone], whose answers are signed when they are asked for.
type zone struct {
	hosts  map[string]Host // by lower-case name
	key    *dns.DNSKEY
	signer crypto.Signer
	anchor *dns.DS
}

func newZone(hosts []Host) (*zone, error) {
	z := &zone{hosts: map[string]Host{}, key: &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: Zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}}
	secret, err := z.key.Generate(256)
	if err != nil {
		return nil, fmt.Errorf("making the zone's key: %w", err)
	}
	z.signer = secret.(crypto.Signer)
	z.anchor = z.key.ToDS(dns.SHA256)
	for _, h := range hosts {
		z.hosts[h.Name] = h
	}
	return z, nil
}

// lookup returns the records of a name, and whether there is such a name.
func (z *zone) lookup(name string, kind uint16) (rrs []dns.RR, exists bool) {
	head := dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 60}
	lower := strings.ToLower(name)
	h, exists := z.hosts[lower]
	switch {
	case lower == ".":
		exists = true
		if kind == dns.TypeNS {
			rrs = append(rrs, &dns.NS{Hdr: head, Ns: "ns." + Zone})
		}
	case lower == Zone:
		exists = true
		switch kind {
		case dns.TypeDNSKEY:
			rrs = append(rrs, z.key)
		case dns.TypeSOA:
			rrs = append(rrs, soa(Zone))
		case dns.TypeNS:
			rrs = append(rrs, &dns.NS{Hdr: head, Ns: "ns." + Zone})
		}
	case exists && kind == dns.TypeA:
		rrs = append(rrs, &dns.A{Hdr: head, A: net.IP(h.V4.AsSlice())})
	case exists && kind == dns.TypeAAAA:
		rrs = append(rrs, &dns.AAAA{Hdr: head, AAAA: net.IP(h.V6.AsSlice())})
	}
	return rrs, exists
}

func soa(zone string) *dns.SOA {
	return &dns.SOA{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
		Ns: "ns." + Zone, Mbox: "hostmaster." + Zone, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 5}
}

// sign adds a signature to records of one name and kind. That of BogusName is wrong.
func (z *zone) sign(rrs []dns.RR) []dns.RR {
	if len(rrs) == 0 || !dns.IsSubDomain(Zone, rrs[0].Header().Name) {
		return rrs
	}
	now := time.Now()
	sig := &dns.RRSIG{
		Hdr:       dns.RR_Header{Name: rrs[0].Header().Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: rrs[0].Header().Ttl},
		Algorithm: z.key.Algorithm, KeyTag: z.key.KeyTag(), SignerName: Zone,
		Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(24 * time.Hour).Unix()),
	}
	if err := sig.Sign(z.signer, rrs); err != nil {
		return rrs // who validates notices
	}
	if isBogus(rrs[0].Header().Name) {
		sig.Inception-- // it was not signed with this
	}
	return append(rrs, sig)
}

func isBogus(name string) bool { return strings.EqualFold(name, BogusName) }

// resolver answers as a resolver does that knows only the lab's names, and validates.
type resolver struct {
	zone      *zone
	validates bool
	hijacks   atomic.Bool // every name exists
	lost      atomic.Bool // it reaches no other server
}

// hijackedTo is where a resolver that hijacks leads people.
const hijackedTo = "203.0.113.99"

func (r *resolver) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	do := false
	if opt := q.IsEdns0(); opt != nil {
		do = opt.Do()
		m.SetEdns0(1232, do)
	}
	if len(q.Question) == 1 {
		r.answer(m, q, do)
	} else {
		m.Rcode = dns.RcodeFormatError
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		m.Truncate(udpSize(q))
	}
	_ = w.WriteMsg(m) // whoever asked may have gone
}

func udpSize(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return max(dns.MinMsgSize, int(opt.UDPSize()))
	}
	return dns.MinMsgSize
}

func (r *resolver) answer(m, q *dns.Msg, do bool) {
	name, kind := q.Question[0].Name, q.Question[0].Qtype
	hijacks := r.hijacks.Load()
	if r.lost.Load() {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	rrs, exists := r.zone.lookup(name, kind)
	secure := dns.IsSubDomain(Zone, name) && r.validates && !hijacks
	switch {
	case !exists && hijacks && kind == dns.TypeA:
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(hijackedTo)}}
		return
	case isBogus(name) && secure && !q.CheckingDisabled:
		m.Rcode = dns.RcodeServerFailure
		if opt := m.IsEdns0(); opt != nil {
			opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus})
		}
		return
	case !exists:
		m.Rcode = dns.RcodeNameError
	}
	m.AuthenticatedData = secure && !isBogus(name) && (do || q.AuthenticatedData)
	if len(rrs) == 0 {
		owner := "."
		if dns.IsSubDomain(Zone, name) {
			owner = Zone
		}
		m.Ns = []dns.RR{soa(owner)}
		if do && !hijacks {
			m.Ns = r.zone.sign(m.Ns)
		}
		return
	}
	m.Answer = rrs
	if do && !hijacks {
		m.Answer = r.zone.sign(rrs)
	}
}
