package snmp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// tellEmpty tells which tables of its profile the device has nothing in, when that
// is news. It is no fault: a profile is for a family, and not all of it has each. What
// was told is remembered: a collector that takes another's place has no news.
func (c *Collector) tellEmpty() {
	empty := c.emptyTables()
	mark := ""
	if len(empty) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(empty, "\n")))
		mark = hex.EncodeToString(sum[:8])
	}
	if mark == c.toldEmpty {
		return
	}
	c.toldEmpty = mark
	if c.memory != nil {
		c.memory.note(c.cfg.Device, c.cfg.Address, func(r *remembered) { r.Empty = mark })
	}
	if mark != "" {
		text := "profile " + c.plan.profile.Name + ": the device has nothing in "
		c.tell("snmp_empty_tables", collectors.Info, text+enumerate(empty, collectors.MaxText-len(text)))
	}
}

// emptyTables names the tables of the profile that the device has no reading in.
func (c *Collector) emptyTables() []string { return c.layout.empty }

// enumerate lists names within so many bytes, none of them cut: what there is no room
// for is counted.
func enumerate(names []string, room int) string {
	for n := len(names); n > 0; n-- {
		s := strings.Join(names[:n], ", ")
		if n < len(names) {
			s += fmt.Sprintf(" and %d more", len(names)-n)
		}
		if len(s) <= room {
			return s
		}
	}
	return fmt.Sprintf("%d tables", len(names))
}
