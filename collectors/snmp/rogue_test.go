package snmp

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// rogue stands in front of an agent and does with its answers what it likes.
type rogue struct {
	conn, inner *net.UDPConn
	misbehave   func(*question)
	other       *net.UDPConn // what answers from elsewhere come from
	working     sync.WaitGroup
}

// question is one request, the agent's answer to it, and ways to send others.
type question struct {
	number  int // from 1
	asked   []byte
	id      int32
	walk    bool // it is no Get
	oids    [][]byte
	right   []byte
	answers []pdu.Varbind // of the right one
	from    netip.AddrPort
	r       *rogue
}

func (q *question) send(b []byte) { _, _ = q.r.conn.WriteToUDPAddrPort(b, q.from) }

// with sends an answer with these variables.
func (q *question) with(vbs ...[]byte) { q.send(answerOf(q.id, 0, 0, vbs...)) }

func newRogue(t *testing.T, mib *snmptest.MIB, misbehave func(*question)) *rogue {
	t.Helper()
	agent := serve(t, snmptest.Config{MIB: mib})
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(agent.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	r := &rogue{conn: conn, inner: inner, misbehave: misbehave}
	r.working.Go(r.serve)
	t.Cleanup(func() {
		_ = conn.Close()
		_ = inner.Close()
		r.working.Wait()
		if r.other != nil {
			_ = r.other.Close()
		}
	})
	return r
}

func (r *rogue) address() string { return r.conn.LocalAddr().String() }

// sendFrom answers from another socket.
func (r *rogue) sendFrom(ip string, b []byte, to netip.AddrPort) {
	if r.other == nil {
		r.other, _ = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
	}
	_, _ = r.other.WriteToUDPAddrPort(b, to)
}

func (r *rogue) serve() {
	in, out := make([]byte, 1<<16), make([]byte, 1<<16)
	for number := 1; ; number++ {
		n, from, err := r.conn.ReadFromUDPAddrPort(in)
		if err != nil {
			return
		}
		q := &question{number: number, asked: bytes.Clone(in[:n]), from: from, r: r}
		m, vbs, err := pdu.ReadMessage(q.asked, nil)
		if err != nil {
			continue
		}
		q.id, q.walk = m.ID, m.Type != pdu.TypeGet
		for _, v := range vbs {
			q.oids = append(q.oids, v.OID)
		}
		_, _ = r.inner.Write(q.asked)
		_ = r.inner.SetReadDeadline(time.Now().Add(time.Second))
		if n, err = r.inner.Read(out); err != nil {
			continue
		}
		q.right = bytes.Clone(out[:n])
		if _, q.answers, err = pdu.ReadMessage(q.right, nil); err == nil {
			r.misbehave(q)
		}
	}
}

// tlv puts content behind a tag and its length.
func tlv(tag byte, content ...[]byte) []byte {
	b := bytes.Join(content, nil)
	if n := len(b); n > 0xff {
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, b...)
	} else if n > 0x7f {
		return append([]byte{tag, 0x81, byte(n)}, b...)
	}
	return append([]byte{tag, byte(len(b))}, b...)
}

func number(n int32) []byte {
	return tlv(2, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func answerOf(id, status, index int32, vbs ...[]byte) []byte {
	return messageOf(1, "public", pdu.TypeResponse, id, status, index, vbs...)
}

func messageOf(version int32, community string, typ byte, id, status, index int32, vbs ...[]byte) []byte {
	return tlv(0x30, tlv(2, []byte{byte(version)}), tlv(4, []byte(community)),
		tlv(typ, number(id), number(status), number(index), tlv(0x30, vbs...)))
}

// binding is a variable; its value is a whole element.
func binding(oid, value []byte) []byte { return tlv(0x30, tlv(pdu.TagOID, oid), value) }

// bindings are the answer's variables with other names or values.
func (q *question) bindings(change func(i int, v pdu.Varbind) (oid, value []byte)) (all [][]byte) {
	for i, v := range q.answers {
		oid, value := change(i, v)
		all = append(all, binding(oid, value))
	}
	return all
}

// element is a value as it travels.
func element(v pdu.Varbind) []byte {
	switch v.Tag {
	case pdu.TagOctets, pdu.TagOID, pdu.TagIPAddress, pdu.TagOpaque:
		return tlv(v.Tag, v.Bytes)
	case pdu.TagNull, pdu.TagNoSuchObject, pdu.TagNoSuchInstance, pdu.TagEndOfMibView:
		return tlv(v.Tag)
	}
	n := v.Num
	return tlv(v.Tag, []byte{byte(n >> 56), byte(n >> 48), byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
