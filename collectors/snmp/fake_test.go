package snmp

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// fake is an agent without a network. Its variables may be changed between
// requests; answer, where it is set, has the last word on each answer.
type fake struct {
	vars   []pdu.Varbind // in order
	asked  []request
	answer func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error)
	from   netip.Addr
	closed bool
}

// request is what was asked: reps is -1 for Get and 0 for GetNext; the first single
// of a GetBulk are not repeated.
type request struct {
	oids   [][]byte
	single int
	reps   int
}

func (f *fake) set(t testing.TB, oid string, v pdu.Varbind) {
	v.OID = pdu.MustOID(oid)
	i, found := f.find(v.OID)
	if found {
		f.vars[i] = v
		return
	}
	f.vars = slices.Insert(f.vars, i, v)
}

func (f *fake) delete(t testing.TB, oid string) {
	root := pdu.MustOID(oid)
	f.vars = slices.DeleteFunc(f.vars, func(v pdu.Varbind) bool {
		_, under := pdu.Below(v.OID, root)
		return under || bytes.Equal(v.OID, root)
	})
}

func (f *fake) find(oid []byte) (int, bool) {
	return slices.BinarySearchFunc(f.vars, oid, func(v pdu.Varbind, o []byte) int { return pdu.Compare(v.OID, o) })
}

func (f *fake) next(oid []byte) pdu.Varbind {
	i, found := f.find(oid)
	if found {
		i++
	}
	if i < len(f.vars) {
		return f.vars[i]
	}
	return pdu.Varbind{OID: oid, Tag: pdu.TagEndOfMibView}
}

func (f *fake) get(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	for _, o := range oids {
		v := pdu.Varbind{OID: o, Tag: pdu.TagNoSuchObject}
		if i, found := f.find(o); found {
			v = f.vars[i]
		}
		dst = append(dst, v)
	}
	return f.reply(ctx, request{oids, 0, -1}, dst)
}

func (f *fake) getNext(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	for _, o := range oids {
		dst = append(dst, f.next(o))
	}
	return f.reply(ctx, request{oids, 0, 0}, dst)
}

func (f *fake) getBulk(ctx context.Context, oids [][]byte, single, reps int, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	for _, o := range oids[:single] {
		dst = append(dst, f.next(o))
	}
	at := slices.Clone(oids[single:])
	for range reps {
		for i := range at {
			v := f.next(at[i])
			dst = append(dst, v)
			at[i] = v.OID
		}
	}
	return f.reply(ctx, request{oids, single, reps}, dst)
}

func (f *fake) reply(ctx context.Context, r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
	kept := request{single: r.single, reps: r.reps}
	for _, o := range r.oids {
		kept.oids = append(kept.oids, bytes.Clone(o))
	}
	f.asked = append(f.asked, kept)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// What an answer points to must not be relied on after the next request.
	for i := range vbs {
		vbs[i].OID, vbs[i].Bytes = bytes.Clone(vbs[i].OID), bytes.Clone(vbs[i].Bytes)
	}
	if f.answer != nil {
		return f.answer(kept, vbs)
	}
	return vbs, nil
}

func (f *fake) answersFrom() netip.Addr { return f.from }
func (f *fake) oddity() error           { return nil }
func (f *fake) rest()                   {}
func (f *fake) close()                  { f.closed = true }

// over makes a collector talk to a fake.
func over(f *fake) Option {
	return func(c *Collector) {
		c.dial = func(context.Context, attempt) (link, error) { return f, nil }
	}
}

func num(tag byte, n uint64) pdu.Varbind { return pdu.Varbind{Tag: tag, Num: n} }
func octets(s string) pdu.Varbind        { return pdu.Varbind{Tag: pdu.TagOctets, Bytes: []byte(s)} }
