package diagnosis

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Inputs are what a diagnosis cannot find out by itself and is handed. Every function
// may be nil: then nothing is known. They must return soon after their ctx is done.
type Inputs struct {
	Host     func(ctx context.Context) (collectors.Batch, error) // the box's own figures, of collectors/host
	Trouble  func() []string                                     // stages of the program that stand still
	DiskFull func() bool                                         // the buffer cannot write
	Uplink   func(ctx context.Context) Uplink
	WANPort  func(ctx context.Context) (Result, string)    // the gateway's, by SNMP, with a phrase
	Peers    func(ctx context.Context) (answering, of int) // devices of the site besides the gateway, as of their last polls
	Power    func() Power
	Now      func() time.Time // the wall clock; nil: the box's

	Servers []string                          // the uplink's, as URLs
	Roots   func() (*x509.CertPool, error)    // whom the uplink trusts; nil: the system's
	Box     func() (*x509.Certificate, error) // the box's certificate; nil, or nil without an error: it has none
}

// Uplink is the state of the way to the MSP as its sender knows it, in plain words.
type Uplink struct {
	Configured bool   `json:"configured"`
	Connected  bool   `json:"connected"`
	ForS       int64  `json:"for_s"`      // for how long it has been so
	Stage      string `json:"stage"`      // how far the last attempt came: resolve, dial, tls, connack, subscribe, session
	Reason     string `json:"reason"`     // one of the words below, or empty
	Refused    int    `json:"refused"`    // attempts in a row that ended so
	Short      int    `json:"short"`      // sessions in a row that ended shortly after they began
	UnstoredS  int64  `json:"unstored_s"` // for how long the broker takes messages and no hub stores them; 0: it does

	Address string `json:"address,omitempty"` // the box's as the hub sees it; empty: not known
}

// Why an attempt ended, as far as the sender knows.
const (
	ReasonAuth = "auth" // CONNACK: user, password or client identifier
	ReasonBusy = "busy" // CONNACK: server unavailable
)

// Power is what is known of the box's power.
type Power struct {
	CutS      int64  // for how many seconds after an unclean end the box was off; 0: it was not
	SinceS    int64  // how long ago it came back
	OnBattery Result // Fails: a UPS of the site runs on battery
}

// The bounds of a healthy box, and of what counts as just now.
const (
	minMemory  = 0.03 // of all
	minSockets = 0.10 // of the limit, that must be free
	minDisk    = 0.01 // of the file system
	maxHeat    = 95   // degrees Celsius
	justNow    = 10 * 60
)

// selfFacts reads the figures of collectors/host by their names.
func selfFacts(in Inputs, b *collectors.Batch) (out []Fact) {
	n := map[string]float64{}
	heat := 0.0
	if b.Schema != nil && len(b.Values) == len(b.Schema.Series) {
		for i, s := range b.Schema.Series {
			v, ok := b.Values[i].Float(s.Kind)
			if !ok {
				continue
			}
			switch s.Metric {
			case "node_hwmon_temp_celsius", "node_thermal_zone_temp":
				heat = max(heat, v)
			case "node_filesystem_avail_bytes", "node_filesystem_size_bytes": // the last is the data folder's
				n[s.Metric] = v
			default:
				if len(s.Labels) == 0 {
					n[s.Metric] = v
				}
			}
		}
	}
	share := func(name, detail, free, all string, least float64, used bool) {
		a, z := n[free], n[all]
		if z <= 0 {
			return
		}
		left := a / z
		if used {
			left = 1 - left
		}
		f := NewFact(name, "", 0, Works, "")
		if left < least {
			f = NewFact(name, "", 0, Fails, detail)
		}
		out = append(out, f.With("left_percent", float64(int(left*1000))/10))
	}
	share(SelfMemory, "next to no memory is left", "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", minMemory, false)
	share(SelfSockets, "next to no file descriptors are left", "process_open_fds", "process_max_fds", minSockets, true)
	if in.DiskFull != nil && in.DiskFull() {
		out = append(out, NewFact(SelfDisk, "", 0, Fails, "the buffer cannot write"))
	} else {
		share(SelfDisk, "the file system is full", "node_filesystem_avail_bytes", "node_filesystem_size_bytes", minDisk, false)
	}
	if heat > 0 {
		f := NewFact(SelfHeat, "", 0, Works, "")
		if heat >= maxHeat {
			f = NewFact(SelfHeat, "", 0, Fails, "the box is too hot")
		}
		out = append(out, f.With("celsius", heat))
	}
	if in.Trouble != nil {
		stalled := in.Trouble()
		f := NewFact(SelfStalled, "", 0, Works, "")
		if len(stalled) > 0 {
			f = NewFact(SelfStalled, stalled[0], 0, Fails, "it stands still").With("times", float64(len(stalled)))
		}
		out = append(out, f)
	}
	return out
}

// sessionFacts says what the sender knows.
func sessionFacts(u Uplink, base Baseline) (out []Fact) {
	if !u.Configured {
		return []Fact{NewFact(Connected, "", 0, Skipped, "no server is configured")}
	}
	f := NewFact(Connected, "", 0, Works, "")
	if !u.Connected {
		f = NewFact(Connected, "", 0, Fails, "no session, the last attempt ended at stage "+clean(u.Stage))
	}
	out = append(out, f.With("for_s", float64(u.ForS)))
	refused := func(name, reason, detail string) {
		switch {
		case u.Reason == reason && u.Refused > 0 && !u.Connected:
			out = append(out, NewFact(name, "", 0, Fails, detail).With("times", float64(u.Refused)))
		case u.Connected:
			out = append(out, NewFact(name, "", 0, Works, ""))
		}
	}
	refused(SessionAuth, ReasonAuth, "the broker does not let this box in")
	refused(SessionBusy, ReasonBusy, "the broker says that it is not available")
	if u.Short >= 3 {
		out = append(out, NewFact(SessionTaken, "", 0, Fails, "sessions end shortly after they began").With("times", float64(u.Short)))
	}
	if u.Connected {
		f := NewFact(HubAck, "", 0, Works, "")
		if u.UnstoredS > 0 {
			f = NewFact(HubAck, "", 0, Fails, "the broker takes messages, no hub stores them").With("times", float64(1+u.UnstoredS/30))
		}
		out = append(out, f)
	}
	if u.Address != "" {
		f := NewFact(WANAddress, "", 0, Unknown, clean(u.Address))
		if base.WANAddress != "" {
			f.Result = resultOf(base.WANAddress == u.Address)
		}
		out = append(out, f)
	}
	return out
}

// powerFacts says what is known of the power.
func powerFacts(p Power) (out []Fact) {
	f := NewFact(PowerBoot, "", 0, Works, "")
	if p.CutS > 0 && p.SinceS < justNow {
		f = NewFact(PowerBoot, "", 0, Fails, fmt.Sprintf("the box was off for %d s", p.CutS)).With("off_s", float64(p.CutS))
	}
	out = append(out, f)
	if p.OnBattery != "" {
		out = append(out, NewFact(PowerUPS, "", 0, p.OnBattery, ""))
	}
	return out
}

func resultOf(ok bool) Result {
	if ok {
		return Works
	}
	return Fails
}
