package main

import (
	"crypto/sha256"
	"fmt"
	"log/slog"

	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// kinds are the profiles that are in force, from one reading of the site file to
// the next: as long as they say the same, collectors that go by them stay.
type kinds struct {
	*snmp.Kinds
	hash  [sha256.Size]byte
	count int // how often they have changed
	named map[config.Profile]*profile.Profile
	words *profile.Names // for what is received
}

// read reads the profiles, and those that devices name. A profile that cannot be
// used is told of, and its device gets the one that its kind has: better that than
// nothing (check-config refuses it).
func (k *kinds) read(site *config.Site, log *slog.Logger) {
	set, problems := profile.Open(site.Profiles)
	named := map[config.Profile]*profile.Profile{}
	h := sha256.New()
	for _, p := range set.List() {
		fmt.Fprintln(h, p.Name, p.Origin, p.Dump())
	}
	for _, d := range site.Devices {
		if _, ok := named[d.Profile]; ok || d.Profile == (config.Profile{}) {
			continue
		}
		p, more, err := profileOf(set, d.Profile)
		problems = append(problems, more...)
		if err != nil {
			log.Error("a device's profile cannot be used; it is chosen by what the device says it is", "device", d.Name, "error", err)
		}
		if named[d.Profile] = p; p != nil {
			fmt.Fprintln(h, d.Profile, p.Dump())
		}
	}
	for _, p := range problems {
		log.Warn("a device profile", "at", p.String())
	}
	if sum := [sha256.Size]byte(h.Sum(nil)); k.Kinds == nil || sum != k.hash {
		k.Kinds, k.hash, k.named, k.words = snmp.NewKinds(set), sum, named, set.Names()
		k.count++
	}
}
