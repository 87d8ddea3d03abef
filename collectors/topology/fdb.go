package topology

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// States of an entry (dot1dTpFdbStatus, dot1qTpFdbStatus).
const (
	fdbInvalid = 2
	fdbSelf    = 4
)

// entry is one row of a forwarding database.
type entry struct {
	mac    MAC
	vlan   int
	port   uint32
	status uint64
}

type entryKey struct {
	mac  MAC
	vlan int
}

// forwarding reads who was learned where: Q-BRIDGE-MIB, else BRIDGE-MIB, and of
// devices that have one bridge per VLAN (Cisco's IOS) that of each.
func (r *reader) forwarding(contexts Contexts) {
	all := r.learned("forwarding database", oidQFDBPort, oidQFDBStatus, true)
	r.keep(all, r.f.Ports)
	// RouterOS shows one of its bridges in the one MIB and the others in the other.
	if len(all) > 0 && !r.mikrotik {
		return
	}
	both := map[entry]bool{}
	for _, e := range all {
		both[entry{mac: e.mac, port: e.port}] = true
	}
	plain := r.learned("forwarding database", oidFDBPort, oidFDBStatus, false)
	r.keep(slices.DeleteFunc(plain, func(e entry) bool { return both[entry{mac: e.mac, port: e.port}] }), r.f.Ports)
	vlans := r.vlans()
	if contexts == nil || len(vlans) == 0 {
		return
	}
	if len(vlans) > maxVLANs {
		r.partial(fmt.Errorf("forwarding database: of %d VLANs the first %d were asked", len(vlans), maxVLANs))
		vlans = vlans[:maxVLANs]
	}
	silent := 0
	for _, vlan := range vlans {
		if r.ctx.Err() != nil || silent >= maxSilent {
			break
		}
		var failure snmp.Failure
		if err := r.inContext(contexts, vlan); errors.As(err, &failure) {
			silent++
		} else {
			silent = 0
		}
	}
	if silent >= maxSilent {
		r.partial(errors.New("forwarding database: no answer in the context of a VLAN (community@VLAN, or context vlan-N): does the device allow it? The other VLANs were not asked"))
	}
}

// inContext reads the bridge of one VLAN.
func (r *reader) inContext(contexts Contexts, vlan int) error {
	c, done, err := contexts(r.ctx, vlan)
	if err != nil {
		return err
	}
	defer done()
	in := &reader{ctx: r.ctx, c: c, f: &Facts{Interfaces: r.f.Interfaces, Ports: map[uint32]int{}}}
	in.bridgePorts()
	all := in.learned("forwarding database", oidFDBPort, oidFDBStatus, false)
	for i := range all {
		all[i].vlan = vlan
	}
	r.keep(all, in.f.Ports)
	for port, i := range in.f.Ports { // the main context may know the ports of VLAN 1 only
		if _, known := r.f.Ports[port]; !known && len(r.f.Ports) <= maxInterfaces {
			r.f.Ports[port] = i
		}
	}
	for _, why := range in.f.Partial {
		r.partial(fmt.Errorf("VLAN %d: %s", vlan, why))
	}
	if in.silent > 0 {
		return snmp.ErrNoAnswer
	}
	return nil
}

// vlans lists the VLANs of Cisco's VTP that are in use, without the first, which the
// main context has, and those that every switch has for Token Ring and FDDI.
func (r *reader) vlans() (out []int) {
	r.walk("VLANs", column{oidVLANState, func(index []uint64, v *pdu.Varbind) bool {
		if len(index) == 2 && v.Num == 1 && index[1] > 1 && index[1] < 4095 && (index[1] < 1002 || index[1] > 1005) {
			out = append(out, int(index[1]))
		}
		return len(out) < 4095
	}})
	slices.Sort(out)
	return slices.Compact(out)
}

// learned reads one forwarding database. In the index of Q-BRIDGE-MIB's the VLAN
// stands before the MAC, whose length some devices (ZyNOS) put in between.
func (r *reader) learned(what string, port, status []byte, vlans bool) []entry {
	rows := map[entryKey]*entry{}
	key := func(index []uint64) (k entryKey, ok bool) {
		if k.mac, ok = macOfIndex(index); !ok {
			return k, false
		}
		rest := index[:len(index)-6]
		if !vlans {
			return k, len(rest) == 0 || len(rest) == 1 && rest[0] == 6
		}
		if len(rest) == 2 && rest[1] == 6 {
			rest = rest[:1]
		}
		if len(rest) != 1 || rest[0] > 1<<31-1 {
			return k, false
		}
		k.vlan = int(rest[0])
		return k, true
	}
	r.walk(what, column{port, func(index []uint64, v *pdu.Varbind) bool {
		if k, ok := key(index); ok && v.Num <= 1<<31-1 {
			rows[k] = &entry{mac: k.mac, vlan: k.vlan, port: uint32(v.Num)}
		}
		return len(rows) < maxForwards
	}})
	if len(rows) == 0 {
		return nil
	}
	r.walk(what, column{status, func(index []uint64, v *pdu.Varbind) bool {
		if k, ok := key(index); ok && rows[k] != nil {
			rows[k].status = v.Num
		}
		return true
	}})
	out := make([]entry, 0, len(rows))
	for _, e := range rows {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.vlan, b.vlan), slices.Compare(a.mac[:], b.mac[:]))
	})
	return out
}

// keep sorts entries by port. Port 0 is one that the bridge has not learned; what is
// its own it has not learned either.
func (r *reader) keep(all []entry, ports map[uint32]int) {
	total := 0
	for i := range r.f.FDB {
		total += len(r.f.FDB[i].MACs)
	}
	for _, e := range all {
		if !e.mac.host() {
			continue
		}
		if e.status == fdbSelf {
			if len(r.f.Own) < maxOwn && !slices.Contains(r.f.Own, e.mac) {
				r.f.Own = append(r.f.Own, e.mac)
			}
			continue
		}
		if e.port == 0 || e.status == fdbInvalid {
			continue
		}
		if total++; total > maxForwards {
			r.partial(fmt.Errorf("forwarding database: more than %d entries", maxForwards))
			return
		}
		ifIndex, ok := ports[e.port]
		if !ok && r.f.byIndex(int(e.port)) != nil && len(ports) == 0 {
			ifIndex = int(e.port) // agents without a map of ports mean the ifIndex
		}
		n := len(r.f.FDB)
		if n == 0 || r.f.FDB[n-1].Port != e.port || r.f.FDB[n-1].VLAN != e.vlan {
			r.f.FDB = append(r.f.FDB, Forwards{IfIndex: ifIndex, Port: e.port, VLAN: e.vlan})
			n++
		}
		r.f.FDB[n-1].MACs = append(r.f.FDB[n-1].MACs, e.mac)
	}
}
