package snmp

import (
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// Profiles chooses what a device is asked for, as a profile.Set does. It must give
// the same *Profile each time, and may be asked by several goroutines at once.
type Profiles interface {
	// For gives the profile of the device that says this of itself, never nil.
	For(sysObjectID, sysDescr string) *profile.Profile
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

func (k *Kinds) of(sysObjectID, sysDescr string) *plan {
	return k.plan(k.profiles.For(sysObjectID, sysDescr))
}

// identity is what a device says it is.
type identity struct {
	objectID, descr, name string
	known                 bool
}

// identify reads who the device is and, where that is news, chooses its plan. It
// tells whether the plan is another.
func (c *Collector) identify() bool {
	now := identity{c.scalarText(sysObjectID), c.scalarText(sysDescr), c.scalarText(sysName), true}
	before := c.is
	c.is = now
	if c.cfg.Profile != nil || before.known && before.objectID == now.objectID && before.descr == now.descr {
		return false
	}
	p := c.kinds.of(now.objectID, now.descr)
	if p == c.plan {
		return false
	}
	if before.known {
		c.tell("snmp_profile", collectors.Info, "the device says that it is another ("+
			collectors.Clip(now.descr, 80)+"): its profile was "+c.plan.profile.Name+" and is "+p.profile.Name+" now")
	}
	c.install(p)
	return true
}
