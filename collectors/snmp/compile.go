package snmp

import (
	"cmp"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// Bounds of what one profile may ask of a device. What comes after is left out.
const (
	maxScalars = 256
	maxTables  = 128
	maxObjects = 128 // of a table
)

// compile makes a plan of a profile. It takes whatever a profile holds: what is
// without a name or an identifier is left out.
func compile(p *profile.Profile) *plan {
	c := compiler{plan: &plan{profile: p}, lookups: map[string]int{}}
	c.scalars = newGrouping("the device", len(p.Scalars)+knownScalars)
	c.scalars.most = maxScalars
	for i := range p.Scalars {
		c.scalars.metric(&p.Scalars[i], 0)
	}
	for i, oid := range knownOIDs() {
		c.plan.known[i] = c.scalars.internal(pdu.MustOID(oid), i >= snmpEngineBoots)
		if i >= snmpEngineID {
			c.scalars.label(pdu.MustOID(oid))
		}
	}
	for i := range p.Tables {
		if len(c.tables) < maxTables/2 {
			c.table(&p.Tables[i])
		}
	}
	// Labels come last: what they look up stands behind all that has series.
	for i := range c.tables {
		c.tables[i].plan.labels = c.labels(c.tables[i], p.Tables[i].Labels)
		c.metricLabels(c.tables[i])
	}
	c.metricLabels(c.scalars)
	c.plan.labels = c.labels(c.scalars, p.Labels)
	c.fields(p.Device.Fields)

	c.plan.scalars = c.scalars.build()
	for _, g := range append(c.tables, c.looked...) {
		c.plan.tables = append(c.plan.tables, g.build())
	}
	return c.plan
}

type compiler struct {
	plan    *plan
	scalars *grouping
	tables  []*grouping
	looked  []*grouping
	lookups map[string]int // by the identifier of the row: which of looked
}

func (c *compiler) table(t *profile.Table) {
	g := newGrouping(t.Name, len(t.Columns))
	if g.plan.index = t.Index; len(t.Index) == 0 {
		g.plan.index = []profile.Index{{Label: "index", Type: profile.IndexOID, Bare: true}}
	}
	for i := range t.Columns {
		g.metric(&t.Columns[i], t.Interval)
	}
	c.tables = append(c.tables, g)
}

func (c *compiler) metricLabels(g *grouping) {
	for i := range g.columns { // they grow in the meantime
		if m := g.columns[i].from; m != nil {
			labels := c.labels(g, m.Labels)
			g.columns[i].labels = labels
		}
	}
	for i := range g.echoes {
		g.echoes[i].labels = c.labels(g, g.echoes[i].from.Labels)
	}
}

func (c *compiler) labels(g *grouping, ls []profile.Label) (out []labelPlan) {
	for i := range ls {
		l := &ls[i]
		if l.Name == "" || len(l.Name) > collectors.MaxName {
			continue
		}
		p := labelPlan{name: l.Name, unless: l.Unless, hidden: l.Hidden}
		for k := range l.From {
			p.from = append(p.from, c.source(g, &l.From[k]))
		}
		out = append(out, p)
	}
	return out
}

// source finds the place of what a label is made of, and makes one where there is
// none.
func (c *compiler) source(g *grouping, s *profile.Source) sourcePlan {
	p := sourcePlan{Source: s, table: own, object: -1, typeOf: -1}
	switch {
	case len(s.OID) == 0:
	case s.Through == nil && len(s.Arcs) == 0 && len(s.Parts) == 0:
		p.object, p.typeOf = g.label(s.OID), g.typeOf(s.TypeOf)
	default:
		row := s.OID[:lastArc(s.OID)]
		i, ok := c.lookups[string(row)]
		if !ok && len(c.looked) >= maxTables/2 {
			break
		}
		if !ok {
			i = len(c.looked)
			c.lookups[string(row)] = i
			look := newGrouping("a table that names are looked up in", 1)
			look.plan.lookup = true
			c.looked = append(c.looked, look)
		}
		p.table = len(c.tables) + i
		if !slices.Contains(g.plan.looksUp, p.table) {
			g.plan.looksUp = append(g.plan.looksUp, p.table)
		}
		p.object, p.typeOf = c.looked[i].label(s.OID), c.looked[i].typeOf(s.TypeOf)
		if s.Through != nil {
			through := c.source(g, s.Through)
			p.through = &through
		}
	}
	return p
}

// lastArc is where the last sub-identifier begins.
func lastArc(oid []byte) int {
	i := len(oid) - 1
	for i > 0 && oid[i-1] >= 0x80 {
		i--
	}
	return max(i, 0)
}

func (c *compiler) fields(fields map[string][]profile.Field) {
	c.plan.fields = map[string][]fieldPlan{}
	for name, fs := range fields {
		for i := range fs {
			f := fieldPlan{Field: &fs[i], object: -1}
			if len(f.OID) > 0 {
				f.object = c.scalars.label(f.OID)
			}
			c.plan.fields[name] = append(c.plan.fields[name], f)
		}
	}
}

// grouping is a tablePlan in the making.
type grouping struct {
	plan    tablePlan
	most    int // metrics
	columns []object
	echoes  []object
	byOID   map[string]int // among columns
	names   map[string]bool
}

func newGrouping(name string, room int) *grouping {
	return &grouping{
		plan: tablePlan{name: name}, most: maxObjects, columns: make([]object, 0, room),
		byOID: map[string]int{}, names: map[string]bool{},
	}
}

// metric adds what a profile wants a reading of. Two that are made of the same
// column are asked for once.
func (g *grouping) metric(m *profile.Metric, interval time.Duration) {
	if m.Name == "" || len(m.Name) > collectors.MaxName || len(m.Unit) > collectors.MaxName || len(m.OID) == 0 ||
		len(g.columns)+len(g.echoes) >= g.most || g.names[m.Name] && len(m.Labels) == 0 && m.InsteadOf != m.Name {
		return
	}
	g.names[m.Name] = true
	o := object{
		name: m.Name, oid: m.OID, unit: m.Unit, kind: m.Kind, form: m.Form, from: m, text: -1, typeOf: -1,
		pinned: m.Pinned, interval: cmp.Or(m.Interval, interval),
	}
	if converts(&m.Convert) {
		o.conv = &m.Convert
	}
	o.kind = settledKind(&o)
	o.onNames = o.form == profile.Info || o.kind == collectors.Text && o.interval == 0
	at, twice := g.byOID[string(m.OID)]
	if !twice {
		g.byOID[string(m.OID)] = len(g.columns)
		g.columns = append(g.columns, o)
		return
	}
	first := &g.columns[at]
	// A column is read as often as any of what is made of it wants.
	switch {
	case o.onNames:
	case first.onNames:
		first.onNames, first.interval = false, o.interval
	default:
		first.interval = min(first.interval, o.interval)
	}
	g.echoes = append(g.echoes, o)
}

// internal adds a column, or finds it, that the collector or a label needs.
func (g *grouping) internal(oid []byte, onNames bool) int {
	i, ok := g.byOID[string(oid)]
	if !ok {
		if i = len(g.columns); i >= 2*g.most {
			return -1
		}
		g.byOID[string(oid)] = i
		g.columns = append(g.columns, object{oid: oid, use: internal, text: -1, typeOf: -1, onNames: onNames})
	} else if !onNames {
		g.columns[i].onNames, g.columns[i].interval = false, 0
	}
	return i
}

// label adds a column whose text labels are made of.
func (g *grouping) label(oid []byte) int {
	i := g.internal(oid, true)
	if i >= 0 {
		g.columns[i].label = true
	}
	return i
}

// interfaces finds what IF-MIB has to tell interfaces and their counters by.
func (g *grouping) interfaces() {
	const ifs, ifx = "1.3.6.1.2.1.2.2.1.", "1.3.6.1.2.1.31.1.1.1."
	find := func(oid string) int {
		if i, ok := g.byOID[string(pdu.MustOID(oid))]; ok {
			return i
		}
		return -1
	}
	g.plan.speed, g.plan.highSpeed = find(ifs+"5"), find(ifx+"15")
	for _, oid := range []string{ifx + "1", ifs + "2", ifs + "6"} { // ifName, ifDescr, ifPhysAddress
		if i := find(oid); i >= 0 && g.columns[i].label {
			g.plan.identity = append(g.plan.identity, i)
		}
	}
	for _, oid := range []string{ifs + "10", ifs + "16", ifx + "6", ifx + "10"} {
		if i := find(oid); i >= 0 {
			g.columns[i].octets = true
		}
	}
}

// typeOf is label, of the column that tells the type of another; -1: there is none.
func (g *grouping) typeOf(oid []byte) int {
	if len(oid) == 0 {
		return -1
	}
	return g.label(oid)
}

// build ends the work.
func (g *grouping) build() tablePlan {
	t := &g.plan
	for i := range g.columns { // it grows in the meantime
		if conv := g.columns[i].conv; conv != nil {
			sensor, typeOf := g.sensor(conv), g.typeOf(conv.TypeOf)
			g.columns[i].sensor, g.columns[i].typeOf = sensor, typeOf
		}
	}
	for i := range g.echoes {
		if conv := g.echoes[i].conv; conv != nil {
			g.echoes[i].sensor, g.echoes[i].typeOf = g.sensor(conv), g.typeOf(conv.TypeOf)
		}
	}
	g.interfaces()
	t.columns = len(g.columns)
	t.objects = exact(append(g.columns, g.echoes...))
	for i := range t.objects[:t.columns] {
		t.objects[i].column = i
	}
	for i := range g.echoes {
		at := g.byOID[string(g.echoes[i].oid)]
		t.objects[t.columns+i].column = at
		for t.objects[at].echo != 0 {
			at = t.objects[at].echo
		}
		t.objects[at].echo = t.columns + i
	}
	for i := range t.objects {
		o := &t.objects[i]
		if o.label || o.use == metric && (o.kind == collectors.Text || o.form == profile.Info || o.form == profile.Bits) {
			o.text = t.texts
			t.texts++
		}
		m := o.from
		if m == nil || m.InsteadOf == "" {
			continue
		}
		if k := slices.IndexFunc(t.objects, func(x object) bool { return x.use == metric && x.name == m.InsteadOf }); k >= 0 && k != i {
			o.insteadOf = k + 1
			t.objects[k].stoodIn = true
		}
	}
	return *t
}

// sensor finds the columns that a sensor's values are scaled by.
func (g *grouping) sensor(conv *profile.Convert) *sensorPlan {
	s := conv.Sensor
	if s == nil {
		return nil
	}
	find := func(oid []byte, onNames bool) int {
		if len(oid) == 0 {
			return -1
		}
		return g.internal(oid, onNames)
	}
	p := &sensorPlan{find(s.Type, true), find(s.Scale, true), find(s.Precision, true), find(s.Status, false), s}
	for _, i := range []int{p.kind, p.scale, p.precision} {
		if i >= 0 {
			g.columns[i].label = true
		}
	}
	return p
}
