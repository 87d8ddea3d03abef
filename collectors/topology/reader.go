package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Client asks one device. *snmp.Client is one; its errors name what went wrong
// without a secret.
type Client interface {
	Get(ctx context.Context, oids ...[]byte) ([]pdu.Varbind, error)
	// Walk hands over what stands below each of roots until each returns false. An
	// error may come after some, or all but one root, has been handed over.
	Walk(ctx context.Context, l snmp.Limits, each func(pdu.Varbind) bool, roots ...[]byte) error
}

// Contexts opens a client for the same device in the context of one VLAN, as Cisco's
// IOS wants it for BRIDGE-MIB. done is called after the last use.
type Contexts func(ctx context.Context, vlan int) (c Client, done func(), err error)

// Bounds of what one device is asked.
const (
	maxWalkRequests = 2000 // of one walk
	maxVLANs        = 64   // that are asked one by one
	maxSilent       = 2    // walks, or VLANs, in a row that end in a failure, after which no more is asked
)

var errSilent = errors.New("it has fallen silent; the rest was not asked for")

// Read asks one device for everything that tells of its place in the network. It
// takes until ctx ends at most and always returns what has come; what is missing is
// in Facts.Partial. contexts may be nil.
func Read(ctx context.Context, device string, at time.Time, c Client, contexts Contexts) *Facts {
	r := &reader{ctx: ctx, c: c, f: &Facts{Device: device, At: at}}
	r.system()
	r.interfaces()
	r.bridgePorts()
	before := len(r.f.Partial)
	r.lldp()
	r.cdp()
	r.f.Deaf = len(r.f.Partial) > before || r.silent >= maxSilent || ctx.Err() != nil
	r.forwarding(contexts)
	r.arp()
	r.finish()
	return r.f
}

// reader reads one device.
type reader struct {
	ctx    context.Context
	c      Client
	f      *Facts
	silent int
	arcs   []uint64

	mikrotik bool
}

// column is what is done with the variables below one identifier. take returns false
// where there is no room for more.
type column struct {
	root []byte
	take func(index []uint64, v *pdu.Varbind) bool
}

// walk reads columns side by side and notes what went wrong.
func (r *reader) walk(what string, cols ...column) {
	if r.silent >= maxSilent || r.ctx.Err() != nil {
		return
	}
	roots := make([][]byte, len(cols))
	for i := range cols {
		roots[i] = cols[i].root
	}
	full := false
	err := r.c.Walk(r.ctx, snmp.Limits{Requests: maxWalkRequests}, func(v pdu.Varbind) bool {
		for i := range cols {
			if index, ok := pdu.Below(v.OID, cols[i].root); ok {
				full = !cols[i].take(r.index(index), &v)
				return !full
			}
		}
		return true
	}, roots...)
	if full {
		err = errors.New("there is more than is kept")
	}
	r.noted(what, err)
}

// noted counts failures in a row and keeps why something is missing.
func (r *reader) noted(what string, err error) {
	var failure snmp.Failure
	switch {
	case errors.As(err, &failure):
		r.silent++
	case err == nil:
		r.silent = 0
	}
	if err == nil {
		return
	}
	r.partial(fmt.Errorf("%s: %w", what, err))
	if r.silent == maxSilent {
		r.partial(errSilent)
	}
}

func (r *reader) partial(err error) {
	text := collectors.Clip(err.Error(), collectors.MaxText)
	if len(r.f.Partial) < maxPartial && !slices.Contains(r.f.Partial, text) {
		r.f.Partial = append(r.f.Partial, text)
	}
}

// index splits what stands behind a column. It holds until the next call.
func (r *reader) index(b []byte) []uint64 {
	r.arcs = r.arcs[:0]
	for len(b) > 0 {
		var n uint64
		n, b = pdu.ReadArc(b)
		r.arcs = append(r.arcs, n)
	}
	return r.arcs
}

func (r *reader) system() {
	vars := r.get(oidSysDescr, oidSysObjectID, oidSysName, oidBridgeAddress, oidChassisSubtype, oidChassisID)
	var subtype uint8
	for i := range vars {
		v := &vars[i]
		if v.Absent() {
			continue
		}
		switch string(v.OID) {
		case string(oidSysDescr):
			r.f.SysDescr = v.Text()
		case string(oidSysObjectID):
			_, r.mikrotik = pdu.Below(v.Bytes, oidMikrotik)
		case string(oidSysName):
			r.f.SysName = v.Text()
		case string(oidBridgeAddress):
			if m, ok := macOf(v.Bytes); ok && m.host() {
				r.f.Bridge = m
			}
		case string(oidChassisSubtype):
			subtype = uint8(v.Num)
		case string(oidChassisID):
			r.f.Chassis = chassisOf(subtype, v)
		}
	}
}

// get asks for single variables. With SNMPv1 one that is missing spoils the others, so
// they are asked for one by one then.
func (r *reader) get(oids ...[]byte) []pdu.Varbind {
	vars, err := r.c.Get(r.ctx, oids...)
	var status *snmp.StatusError
	if errors.As(err, &status) {
		if len(oids) == 1 {
			return nil // it does not have it, or does not show it
		}
		vars = nil
		for _, oid := range oids {
			vars = append(vars, r.get(oid)...)
		}
		return vars
	}
	r.noted("system", err)
	return vars
}

// interfaces reads names, addresses and bundles. Rows are those of ifName and ifDescr.
func (r *reader) interfaces() {
	rows := map[int]*Interface{}
	row := func(index []uint64) *Interface {
		if len(index) != 1 || index[0] == 0 || index[0] > 1<<31-1 {
			return &Interface{} // no interface: it goes nowhere
		}
		n := int(index[0])
		if rows[n] == nil {
			rows[n] = &Interface{Index: n}
		}
		return rows[n]
	}
	take := func(set func(*Interface, *pdu.Varbind)) func([]uint64, *pdu.Varbind) bool {
		return func(index []uint64, v *pdu.Varbind) bool {
			set(row(index), v)
			return len(rows) <= maxInterfaces
		}
	}
	r.walk("interfaces",
		column{oidIfName, take(func(i *Interface, v *pdu.Varbind) { i.Name = v.Text() })},
		column{oidIfAlias, take(func(i *Interface, v *pdu.Varbind) { i.Alias = v.Text() })},
		column{oidIfHighSpeed, take(func(i *Interface, v *pdu.Varbind) { i.Speed = min(v.Num, 1<<40) * 1e6 })},
	)
	r.walk("interfaces",
		column{oidIfDescr, take(func(i *Interface, v *pdu.Varbind) { i.Descr = v.Text() })},
		column{oidIfType, take(func(i *Interface, v *pdu.Varbind) { i.Type = int(v.Num & 0xffff) })},
		column{oidIfSpeed, take(func(i *Interface, v *pdu.Varbind) {
			if i.Speed == 0 && v.Num < 1<<32-1 {
				i.Speed = v.Num
			}
		})},
		column{oidIfPhysAddress, take(func(i *Interface, v *pdu.Varbind) {
			if m, ok := macOf(v.Bytes); ok && m.host() {
				i.MAC = m
			}
		})},
	)
	r.walk("bundles", column{oidAttachedAgg, take(func(i *Interface, v *pdu.Varbind) {
		if v.Num <= 1<<31-1 {
			i.LAG = int(v.Num)
		}
	})})
	for _, i := range rows {
		r.f.Interfaces = append(r.f.Interfaces, *i)
	}
	slices.SortFunc(r.f.Interfaces, func(a, b Interface) int { return a.Index - b.Index })
	r.f.Interfaces = r.f.Interfaces[:min(len(r.f.Interfaces), maxInterfaces)]
}

// bridgePorts reads which interface each port of the bridge is.
func (r *reader) bridgePorts() {
	r.f.Ports = map[uint32]int{}
	r.walk("bridge ports", r.portColumn(r.f.Ports))
}

func (r *reader) portColumn(to map[uint32]int) column {
	return column{oidBasePortIfIndex, func(index []uint64, v *pdu.Varbind) bool {
		if len(index) == 1 && index[0] <= 1<<31-1 && v.Num > 0 && v.Num <= 1<<31-1 {
			to[uint32(index[0])] = int(v.Num)
		}
		return len(to) <= maxInterfaces
	}}
}

// finish puts ports into words.
func (r *reader) finish() {
	for i := range r.f.Neighbours {
		n := &r.f.Neighbours[i]
		n.Port = r.f.label(n.IfIndex, 0)
	}
	if err := r.ctx.Err(); err != nil {
		r.partial(fmt.Errorf("time ran out: %w", err))
	}
}
