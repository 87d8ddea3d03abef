package discovery

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

type label = collectors.Label

func batchOf(es ...collectors.Event) collectors.Batch {
	return collectors.Batch{Source: Source, Events: es}
}

// being is a device of a fleet that does not exist: who it truly is, and what of that
// it tells.
type being struct {
	who   int
	facts Facts
	at    netip.Addr
	mute  bool // it does not answer in this sweep
}

// beings makes a fleet in which each device can be told from all others by at least
// one key, and many share other keys: copied engine IDs, serials of nobody, one name.
func beings(r *rand.Rand, n int) []being {
	out := make([]being, n)
	clone := fmt.Sprintf("80001f8880%010x", r.Uint64N(1<<40))
	for i := range out {
		b := &out[i]
		b.who, b.at = i, address(i)
		f := &b.facts
		f.SysDescr = fmt.Sprint("true ", i) // for the test only: no key
		f.SysName = []string{"switch", fmt.Sprint("sw", i)}[r.IntN(2)]
		which := 1 + r.IntN(7) // which unique keys it has: at least one
		if which&1 != 0 {
			f.Serial = fmt.Sprintf("SN%07d", i)
		} else if r.IntN(2) == 0 {
			f.Serial = []string{"0000000", "Default string", "123456789"}[r.IntN(3)]
		}
		if which&2 != 0 {
			f.EngineID = fmt.Sprintf("80001f8880%012x", 1<<41+i)
		} else if which&4 != 0 && r.IntN(2) == 0 { // those can be told by what all of them have
			f.EngineID = clone
		}
		if which&4 != 0 {
			f.MAC = fmt.Sprintf("00:1b:21:00:%02x:%02x", i>>8, i&255)
		}
	}
	return out
}

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}) }

// TestFleets has fleets move, swap addresses, fall silent and come back, and holds
// that a device of the registry is the same being for ever, unless it was replaced or
// forgotten.
func TestFleets(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, round))
		fleet := beings(r, 2+r.IntN(25))
		is := map[string]string{} // by ID: who it is
		var known []Device
		for sweep := range 12 {
			stir(r, fleet)
			var ss []Sighting
			for _, b := range fleet {
				if !b.mute {
					ss = append(ss, Sighting{Address: b.at, SNMP: true, Credential: "lan", Facts: b.facts})
				}
			}
			r.Shuffle(len(ss), func(i, j int) { ss[i], ss[j] = ss[j], ss[i] })
			old := known
			before := func(id string) Device {
				return old[slices.IndexFunc(old, func(d Device) bool { return d.ID == id })]
			}
			var changes []Change
			known, changes = Merge(known, Seen{Sightings: ss}, t0.Add(time.Duration(sweep)*time.Hour))
			for _, c := range changes {
				if c.Kind == DeviceReplaced {
					is[c.Device.ID] = c.Device.SysDescr
				}
			}
			seen := map[string]bool{}
			for _, d := range known {
				if was, ok := is[d.ID]; ok && was != d.SysDescr {
					t.Fatalf("seed %d, round %d, sweep %d: %s was %q and is %q\nwas %+v\nis %+v\n%s", seed, round, sweep, d.ID, was, d.SysDescr, before(d.ID), d, kinds(changes))
				}
				is[d.ID] = d.SysDescr
				if d.Missed == 0 && seen[d.SysDescr] {
					t.Fatalf("seed %d, round %d, sweep %d: %q is there twice", seed, round, sweep, d.SysDescr)
				}
				seen[d.SysDescr] = seen[d.SysDescr] || d.Missed == 0
			}
			for _, b := range fleet {
				if !b.mute && !seen[b.facts.SysDescr] {
					t.Fatalf("seed %d, round %d, sweep %d: %q is not there", seed, round, sweep, b.facts.SysDescr)
				}
			}
			for i := range known { // some get adopted
				if d := &known[i]; d.State == Candidate && r.IntN(4) == 0 {
					d.State, d.Name = Adopted, "n"+d.ID
				}
			}
		}
	}
}

// stir moves some devices: to free addresses, to one another's, off and on.
func stir(r *rand.Rand, fleet []being) {
	for i := range fleet {
		fleet[i].mute = r.IntN(6) == 0
	}
	for range r.IntN(len(fleet)) {
		i, j := r.IntN(len(fleet)), r.IntN(len(fleet))
		switch r.IntN(3) {
		case 0:
			fleet[i].at, fleet[j].at = fleet[j].at, fleet[i].at
		case 1:
			free := address(100 + r.IntN(1000))
			used := false
			for _, b := range fleet {
				used = used || b.at == free
			}
			if !used {
				fleet[i].at = free
			}
		}
	}
}
