package snmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// Profiles chooses what a device is asked for, as a profile.Set does. It must give
// the same *Profile each time, and may be asked by several goroutines at once.
type Profiles interface {
	// For gives the profile of the device that says this of itself, never nil. has
	// are those scalars of Asks that the device has.
	For(sysObjectID, sysDescr string, has ...[]byte) *profile.Profile
	// Asks gives the scalars that For wants to know of, mostly none.
	Asks(sysObjectID, sysDescr string) [][]byte
}

// Kinds are the kinds of devices there are: profiles, and the plans made of them,
// which all collectors share.
type Kinds struct {
	profiles Profiles
	unknown  *plan // of a device that has not said what it is

	mu    sync.Mutex
	plans map[*profile.Profile]*plan
}

// NewKinds makes plans of the profiles that are asked for.
func NewKinds(p Profiles) *Kinds {
	return &Kinds{profiles: p, unknown: compile(&profile.Profile{}), plans: map[*profile.Profile]*plan{}}
}

// builtInKinds are those that come with the program.
var builtInKinds = sync.OnceValue(func() *Kinds {
	set, _ := profile.Open("") // a test of package profile's finds no problem in them
	return NewKinds(set)
})

func (k *Kinds) plan(p *profile.Profile) *plan {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.plans[p] == nil {
		k.plans[p] = compile(p)
	}
	return k.plans[p]
}

func (k *Kinds) of(sysObjectID, sysDescr string, has [][]byte) *plan {
	return k.plan(k.profiles.For(sysObjectID, sysDescr, has...))
}

// identity is what a device says it is.
type identity struct {
	objectID, descr, name string
	known                 bool
}

// identify reads who the device is and, where that is news, chooses its plan. It
// tells whether the plan is another.
func (c *Collector) identify(ctx context.Context) (another bool, err error) {
	now := identity{c.scalarText(sysObjectID), c.scalarText(sysDescr), c.scalarText(sysName), true}
	before := c.is
	if c.cfg.Profile != nil || before.known && before.objectID == now.objectID && before.descr == now.descr {
		c.is = now
		return false, nil
	}
	has, err := c.has(ctx, c.kinds.profiles.Asks(now.objectID, now.descr))
	if err != nil {
		return false, fmt.Errorf("telling what the device is: %w", err)
	}
	c.is = now
	p := c.kinds.of(now.objectID, now.descr, has)
	if p == c.plan {
		return false, nil
	}
	if before.known {
		c.tell("snmp_profile", collectors.Info, "the device says that it is another ("+
			collectors.Clip(now.descr, 80)+"): its profile was "+c.plan.profile.Name+" and is "+p.profile.Name+" now")
	}
	c.install(p)
	return true, nil
}

// maxAsked bounds how many scalars are asked for to tell what a device is.
const maxAsked = 16

// has asks for scalars and gives those that the device has. Each is asked for by
// itself: SNMPv1 answers for all or for none.
func (c *Collector) has(ctx context.Context, oids [][]byte) (out [][]byte, err error) {
	w := &c.walker
	for _, oid := range oids[:min(len(oids), maxAsked)] {
		w.requests++
		w.answer, err = c.link.get(ctx, [][]byte{oid}, w.answer[:0])
		w.varbinds += len(w.answer)
		var status *StatusError
		if err != nil && !errors.As(err, &status) {
			return nil, err
		}
		if err == nil && len(w.answer) == 1 && bytes.Equal(w.answer[0].OID, oid) && !w.answer[0].Absent() {
			out = append(out, oid)
		}
	}
	return out, nil
}
