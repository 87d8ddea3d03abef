package snmp

import (
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Manners are what has been learned of a device and how it wants to be asked. They
// hold no secret: a credential goes by its name.
type Manners struct {
	Profile        string `json:"profile,omitempty"`
	Credential     string `json:"credential,omitempty"`
	Version        string `json:"version,omitempty"`         // of SNMP
	MaxRepetitions int    `json:"max_repetitions,omitempty"` // that it was answered for
	MaxColumns     int    `json:"max_columns,omitempty"`     // in one request
	NoBulk         bool   `json:"no_bulk,omitempty"`         // GetBulk is not understood, or no good
	OtherAddress   bool   `json:"other_address,omitempty"`   // answers from another address than it is asked at
	ScalarsApart   bool   `json:"scalars_apart,omitempty"`   // scalars are not asked for together with rows
	ScalarsAtOnce  int    `json:"scalars_at_once,omitempty"` // in one request; 0: 24
	UptimeSource   string `json:"uptime_source,omitempty"`   // as profile.Agent has it
	EngineID       string `json:"engine_id,omitempty"`       // in hexadecimal
	EngineBoots    uint64 `json:"engine_boots,omitempty"`
	// Narrow lists the rows whose counters of 32 bits are read, as those of 64 are
	// missing: by the name of the metric, their indexes.
	Narrow map[string][]string `json:"narrow,omitempty"`
}

// maxNarrow bounds the rows of Manners.Narrow.
const maxNarrow = 1024

// Manners are what was learned up to the last request.
func (c *Client) Manners() Manners { return c.c.manners() }

func (c *Collector) credential() string {
	return collectors.Clip(c.cfg.Credentials[c.linked.credential].Name, collectors.MaxName)
}

func (c *Collector) manners() Manners {
	shape := c.walker.pace.next()
	m := Manners{
		Profile: c.plan.profile.Name, Credential: c.credential(), Version: c.cfg.Credentials[c.linked.credential].Auth.Version,
		MaxRepetitions: shape.reps, MaxColumns: shape.columns, NoBulk: !c.walker.pace.bulk,
		OtherAddress: c.unconnected, ScalarsApart: c.leading.faults >= maxLeadFaults,
		EngineID: c.engineID(), Narrow: c.narrow(),
	}
	switch {
	case c.plan.profile.Agent.UptimeSource != "":
		m.UptimeSource = c.plan.profile.Agent.UptimeSource
	case c.clocks.engine.known && !c.engineBad:
		m.UptimeSource = "snmpEngineTime"
	case c.clocks.sys.known:
		m.UptimeSource = "sysUpTime"
	}
	if c.clocks.boots.known {
		m.EngineBoots = c.clocks.boots.ticks
	}
	if c.atOnce != scalarsAtOnce {
		m.ScalarsAtOnce = c.atOnce
	}
	return m
}

// narrow lists the rows whose pinned columns are those that stand in for others.
func (c *Collector) narrow() map[string][]string {
	var out map[string][]string
	left := maxNarrow
	for _, t := range c.tables {
		for k := range t.plan.objects {
			o := &t.plan.objects[k]
			if !o.pinned {
				continue
			}
			for i := range t.rows {
				if t.rows[i].cells[k].pin != fallback || left == 0 {
					continue
				}
				left--
				if out == nil {
					out = map[string][]string{}
				}
				out[o.name] = append(out[o.name], string(pdu.AppendIndex(nil, t.rows[i].index)))
			}
		}
	}
	return out
}

// recall begins with what was learned before. It may be wrong, or made up: nothing
// of it is believed further than the device bears out.
func (c *Collector) recall(m Manners) {
	c.recalled = &m
	for i := range c.cfg.Credentials {
		if m.Credential != "" && c.cfg.Credentials[i].Name == m.Credential {
			c.good = i
		}
	}
	c.unconnected = m.OtherAddress
	if m.ScalarsApart {
		c.leading.faults = maxLeadFaults
	}
	if m.ScalarsAtOnce > 0 {
		c.atOnce = min(m.ScalarsAtOnce, scalarsAtOnce)
	}
	c.engineBad = m.UptimeSource == "sysUpTime" && m.EngineBoots > 0
}

// recallPace begins with the pace that was learned, once.
func (c *Collector) recallPace() {
	m := c.recalled
	if m == nil || m.Version != c.cfg.Credentials[c.linked.credential].Auth.Version {
		return
	}
	p := &c.walker.pace
	if m.NoBulk {
		p.bulk = false
	}
	for p.rung = p.top; p.rung > 0; p.rung-- {
		if s := p.next(); s.columns <= m.MaxColumns && s.reps <= m.MaxRepetitions {
			break
		}
	}
}

// recallPins takes over which rows have counters of 32 bits, in the first poll: a
// counter of 64 that has come in the meantime is not to be mixed with them.
func (c *Collector) recallPins() {
	if c.recalled == nil {
		return
	}
	for _, t := range c.tables {
		for k := range t.plan.objects {
			narrow := c.recalled.Narrow[t.plan.objects[k].name]
			if !t.plan.objects[k].pinned || len(narrow) == 0 {
				continue
			}
			for i := range t.rows {
				r := &t.rows[i]
				if r.cells[k].tag != 0 && slices.Contains(narrow, string(pdu.AppendIndex(nil, r.index))) {
					r.cells[k].pin = fallback
				}
			}
		}
	}
	c.recalled.Narrow = nil
}
