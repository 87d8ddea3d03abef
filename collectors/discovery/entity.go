package discovery

import (
	"cmp"
	"context"
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// entPhysicalEntry is a row of ENTITY-MIB's entPhysicalTable (RFC 6933).
var entPhysicalEntry = pdu.MustOID("1.3.6.1.2.1.47.1.1.1.1")

// Classes of physical entities that an inventory is about, as IANA-ENTITY-MIB names
// them. Ports, sensors and containers are not.
func entityClass(n uint64) string {
	switch n {
	case 3:
		return "chassis"
	case 6:
		return "powerSupply"
	case 7:
		return "fan"
	case 9:
		return "module"
	case 11:
		return "stack"
	}
	return ""
}

// modules reads the parts of a device, the chassis first. Those with neither a serial
// number nor a model are no items of an inventory, but for a chassis.
func modules(ctx context.Context, c *snmp.Client) ([]Module, error) {
	rows := map[uint64]*Module{}
	column := func(n byte) []byte { return append(slices.Clone(entPhysicalEntry), n) }
	const classColumn = 5
	row := func(v *pdu.Varbind, of []byte) *Module {
		index, ok := pdu.Below(v.OID, of)
		if !ok || len(index) == 0 {
			return nil
		}
		at, rest := pdu.ReadArc(index)
		if len(rest) > 0 {
			return nil
		}
		m := rows[at]
		if m == nil {
			m = &Module{Index: at}
			rows[at] = m
		}
		return m
	}
	columns := []struct {
		number byte
		set    func(m *Module, v *pdu.Varbind)
	}{
		{2, func(m *Module, v *pdu.Varbind) { m.Descr = pdu.CleanText(v.Bytes) }},
		{classColumn, func(m *Module, v *pdu.Varbind) { m.Class = entityClass(v.Num) }},
		{7, func(m *Module, v *pdu.Varbind) { m.Name = pdu.CleanText(v.Bytes) }},
		{8, func(m *Module, v *pdu.Varbind) { m.Hardware = pdu.CleanText(v.Bytes) }},
		{9, func(m *Module, v *pdu.Varbind) { m.Firmware = pdu.CleanText(v.Bytes) }},
		{10, func(m *Module, v *pdu.Varbind) { m.Software = pdu.CleanText(v.Bytes) }},
		{11, func(m *Module, v *pdu.Varbind) { m.Serial = pdu.CleanText(v.Bytes) }},
		{12, func(m *Module, v *pdu.Varbind) { m.Vendor = pdu.CleanText(v.Bytes) }},
		{13, func(m *Module, v *pdu.Varbind) { m.Model = pdu.CleanText(v.Bytes) }},
	}
	var roots [][]byte
	for _, c := range columns {
		roots = append(roots, column(c.number))
	}
	err := c.Walk(ctx, snmp.Limits{Variables: 20_000, Requests: 2_000}, func(v pdu.Varbind) bool {
		for i, root := range roots {
			if m := row(&v, root); m != nil {
				columns[i].set(m, &v)
				break
			}
		}
		return true
	}, roots...)
	var out []Module
	for _, m := range rows {
		if m.Class != "" && (m.Class == "chassis" || m.Serial != "" || m.Model != "") {
			out = append(out, *m)
		}
	}
	slices.SortFunc(out, func(a, b Module) int {
		return cmp.Or(order(a.Class)-order(b.Class), cmp.Compare(a.Index, b.Index))
	})
	return out[:min(len(out), MaxModules)], err
}

func order(class string) int {
	switch class {
	case "stack":
		return 0
	case "chassis":
		return 1
	}
	return 2
}

// fromChassis takes what the device itself does not tell from its only chassis.
func (f *Facts) fromChassis() {
	var one *Module
	for i := range f.Modules {
		if m := &f.Modules[i]; m.Class == "chassis" {
			if one != nil {
				return // of a stack none is the device
			}
			one = m
		}
	}
	if one == nil {
		return
	}
	f.Serial = cmp.Or(f.Serial, one.Serial)
	f.Model = cmp.Or(f.Model, one.Model)
	f.Vendor = cmp.Or(f.Vendor, one.Vendor)
	f.Firmware = cmp.Or(f.Firmware, one.Software, one.Firmware)
}
