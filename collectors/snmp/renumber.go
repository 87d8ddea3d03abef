package snmp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// interfaces maps what an interface is known by to its row's index: by ifName or,
// where that is empty or not its own, ifDescr, then the MAC.
func (t *table) interfaces() map[string]string {
	known := map[string]string{}
	twice := map[string]bool{}
	for _, object := range t.plan.identity {
		now := map[string]string{}
		for i := range t.rows {
			r := &t.rows[i]
			text := string(*t.text(r, object))
			if len(text) < 2 { // a tag and nothing
				continue
			}
			key := fmt.Sprint(object, " ", text)
			if _, ok := now[key]; ok {
				twice[key] = true
			}
			now[key] = string(r.index)
		}
		for key, index := range now {
			if !twice[key] {
				known[key] = index
			}
		}
	}
	return known
}

// renumbered compares what interfaces were known by with what they are now, and gives the
// indexes that another interface has now, and for people what has moved.
func renumbered(before, now map[string]string, identity []int) (rows map[string]bool, moved []string) {
	rows = map[string]bool{}
	keys := slices.Sorted(maps.Keys(before))
	for _, object := range identity { // by the best that tells them apart
		for _, key := range keys {
			was := before[key]
			is, ok := now[key]
			if !ok || is == was || rows[is] || !strings.HasPrefix(key, fmt.Sprint(object, " ")) || better(before, now, key, was, is, identity) {
				continue
			}
			rows[is] = true
			name := key[strings.IndexByte(key, ' ')+2:]
			moved = append(moved, fmt.Sprintf("%s was %s and is %s", pdu.CleanText([]byte(name)),
				pdu.AppendIndex(nil, []byte(was)), pdu.AppendIndex(nil, []byte(is))))
		}
	}
	return rows, moved
}

// better tells whether a better name than key's says that the interface is where it
// was: an ifDescr that has moved while ifName has stayed is no interface that has.
func better(before, now map[string]string, key, was, is string, identity []int) bool {
	for _, object := range identity {
		prefix := fmt.Sprint(object, " ")
		if strings.HasPrefix(key, prefix) {
			return false
		}
		for other, index := range before {
			if strings.HasPrefix(other, prefix) && (index == was || index == is) && now[other] == index {
				return true
			}
		}
	}
	return false
}

// remember keeps what interfaces are known by, before their names are read again.
func (t *table) remember() {
	if t.before == nil && len(t.plan.identity) > 0 && !t.plan.lookup {
		t.before = t.interfaces()
	}
}

// tellMoves tells of interfaces whose ifIndex has changed. Their series go on under
// the new one; what was learned of the row is forgotten, for it is another's.
func (c *Collector) tellMoves(t *table) {
	if t.before == nil || !t.whole() {
		return
	}
	rows, moved := renumbered(t.before, t.interfaces(), t.plan.identity)
	if len(moved) == 0 {
		return
	}
	t.renumbered = true
	for i := range t.rows {
		if r := &t.rows[i]; rows[string(r.index)] {
			r.unpin()
		}
	}
	n := len(moved)
	if n > 3 {
		moved = append(moved[:3], "...")
	}
	c.tell("interfaces_renumbered", collectors.Warning, fmt.Sprintf("%d of %d interfaces have another ifIndex: %s", n, len(t.rows), strings.Join(moved, "; ")))
}
