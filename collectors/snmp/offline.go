package snmp

import (
	"context"
	"net/netip"
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Offline lets a collector or client ask a device that is not there: one that
// answers with vars, which are in order, each identifier once. Nothing is sent. It
// is for trying a profile; package walkfile reads vars out of a file.
func Offline(vars []pdu.Varbind) Option {
	return func(c *Collector) {
		c.dial = func(context.Context, attempt) (link, error) { return recording(vars), nil }
	}
}

// recording is an agent that says what it once said.
type recording []pdu.Varbind

func (r recording) find(oid []byte) (int, bool) {
	return slices.BinarySearchFunc(r, oid, func(v pdu.Varbind, o []byte) int { return pdu.Compare(v.OID, o) })
}

func (r recording) next(oid []byte) pdu.Varbind {
	i, found := r.find(oid)
	if found {
		i++
	}
	if i < len(r) {
		return r[i]
	}
	return pdu.Varbind{OID: oid, Tag: pdu.TagEndOfMibView}
}

func (r recording) get(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	for _, o := range oids {
		v := pdu.Varbind{OID: o, Tag: pdu.TagNoSuchInstance}
		if i, found := r.find(o); found {
			v = r[i]
		}
		dst = append(dst, v)
	}
	return dst, ctx.Err()
}

func (r recording) getNext(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	return r.getBulk(ctx, oids, len(oids), 0, dst)
}

func (r recording) getBulk(ctx context.Context, oids [][]byte, single, reps int, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	for _, o := range oids[:single] {
		dst = append(dst, r.next(o))
	}
	at := slices.Clone(oids[single:])
	for range reps {
		for i := range at {
			v := r.next(at[i])
			dst, at[i] = append(dst, v), v.OID
		}
	}
	return dst, ctx.Err()
}

func (recording) answersFrom() netip.Addr { return netip.Addr{} }
func (recording) oddity() error           { return nil }
func (recording) rest()                   {}
func (recording) close()                  {}
