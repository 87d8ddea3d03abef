package snmp

import "github.com/siteprobe/siteprobe/collectors"

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
		EngineID: c.engineID(),
	}
	if c.atOnce != scalarsAtOnce {
		m.ScalarsAtOnce = c.atOnce
	}
	return m
}
