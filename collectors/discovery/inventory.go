package discovery

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Item is one device of an inventory. The keys of its JSON are kept to: scripts rely
// on them.
type Item struct {
	Name      string            `json:"name"` // that it is polled under; of a candidate empty
	State     State             `json:"state"`
	Class     string            `json:"class"`
	Vendor    string            `json:"vendor"`
	Model     string            `json:"model"`
	Serial    string            `json:"serial"`
	Firmware  string            `json:"firmware"`
	Address   string            `json:"address"`
	MAC       string            `json:"mac"`
	SysName   string            `json:"sysName"`
	Location  string            `json:"location"`
	Profile   string            `json:"profile"`
	EngineID  string            `json:"engine_id"`
	FirstSeen string            `json:"first_seen"` // RFC 3339, UTC; empty: never
	LastSeen  string            `json:"last_seen"`
	Gone      bool              `json:"gone"`
	Found     string            `json:"found"` // another address than the one it is polled at, where it was seen
	ID        string            `json:"id"`    // of the registry, stable
	Labels    map[string]string `json:"labels"`
	Modules   []Module          `json:"modules"`
}

// Named is a device of the site file: its address and its labels, such as its contract
// or its number in a CMDB.
type Named struct {
	Name, Address string
	Labels        map[string]string
}

// Inventory lists the devices that are polled, and with all also the candidates and
// the hosts that only answer pings, by name and then by address. Devices of the site
// file that no sweep has found yet are in it with what is known.
func Inventory(b *Book, named []Named, all bool) []Item {
	labels := map[string]map[string]string{}
	for _, n := range named {
		labels[n.Name] = n.Labels
	}
	out, there := []Item{}, map[string]bool{}
	for i := range b.Devices {
		d := &b.Devices[i]
		if !d.Polled() && !all {
			continue
		}
		there[d.Name] = true
		x := Item{
			Name: d.Name, State: d.State, Class: d.Class, Vendor: d.Vendor, Model: d.Model, Serial: d.Serial, Firmware: d.Firmware,
			Address: d.Address.String(), MAC: cmp.Or(d.MAC, d.Link), SysName: d.SysName, Location: d.Location, Profile: d.Profile,
			EngineID: d.EngineID, FirstSeen: moment(d.FirstSeen), LastSeen: moment(d.LastSeen), Gone: d.Gone, ID: d.ID,
			Labels: map[string]string{}, Modules: append([]Module{}, d.Modules...),
		}
		if d.Found.IsValid() {
			x.Found = d.Found.String()
		}
		maps.Copy(x.Labels, d.Labels)
		if d.State == Listed {
			maps.Copy(x.Labels, labels[d.Name])
		}
		out = append(out, x)
	}
	for _, n := range named {
		if !there[n.Name] {
			x := Item{Name: n.Name, State: Listed, Address: n.Address, Labels: map[string]string{}, Modules: []Module{}}
			maps.Copy(x.Labels, n.Labels)
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(x, y Item) int {
		return cmp.Or(strings.Compare(sortKey(x.Name), sortKey(y.Name)), compareAddresses(x.Address, y.Address))
	})
	return out
}

// sortKey puts what has no name behind what has.
func sortKey(name string) string { return cmp.Or(name, "\xff") }

func compareAddresses(x, y string) int {
	a, errA := netip.ParseAddr(x)
	b, errB := netip.ParseAddr(y)
	if errA != nil || errB != nil {
		return strings.Compare(x, y)
	}
	return a.Compare(b)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// WriteJSON writes the items as one JSON array, an item a line.
func WriteJSON(w io.Writer, items []Item) error {
	for i := range items {
		line, err := json.Marshal(&items[i])
		if err != nil {
			return fmt.Errorf("writing %s: %w", items[i].Name, err)
		}
		before := ",\n"
		if i == 0 {
			before = "[\n"
		}
		if _, err := fmt.Fprintf(w, "%s%s", before, line); err != nil {
			return err
		}
	}
	end := "\n]\n"
	if len(items) == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

// columns are the first columns of the CSV, in an order that stays: new ones go behind
// them. After them come the labels of the site file, by name, as label_NAME.
func columns() []string {
	return []string{"name", "state", "class", "vendor", "model", "serial", "firmware", "address", "mac", "sysName", "location", "profile",
		"first_seen", "last_seen", "gone", "id"}
}

func (x *Item) cells() []string {
	return []string{x.Name, string(x.State), x.Class, x.Vendor, x.Model, x.Serial, x.Firmware, x.Address, x.MAC, x.SysName, x.Location, x.Profile,
		x.FirstSeen, x.LastSeen, strconv.FormatBool(x.Gone), x.ID}
}

// WriteCSV writes a line for each device (RFC 4180), under a line of column names.
func WriteCSV(w io.Writer, items []Item) error {
	names := labelNames(items)
	head := columns()
	for _, n := range names {
		head = append(head, "label_"+n)
	}
	out := csv.NewWriter(w)
	err := out.Write(head)
	for i := range items {
		row := items[i].cells()
		for _, n := range names {
			row = append(row, items[i].Labels[n])
		}
		if err == nil {
			err = out.Write(harmless(row))
		}
	}
	out.Flush()
	return cmpError(err, out.Error())
}

// WriteModulesCSV writes a line for each module of each device, with the device's
// name, address and serial number.
func WriteModulesCSV(w io.Writer, items []Item) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{"device", "address", "device_serial", "index", "class", "name", "descr", "vendor", "model", "serial", "hardware", "firmware", "software"})
	for i := range items {
		x := &items[i]
		for _, m := range x.Modules {
			row := []string{cmp.Or(x.Name, x.SysName), x.Address, x.Serial, strconv.FormatUint(m.Index, 10), m.Class, m.Name, m.Descr, m.Vendor, m.Model,
				m.Serial, m.Hardware, m.Firmware, m.Software}
			if err == nil {
				err = out.Write(harmless(row))
			}
		}
	}
	out.Flush()
	return cmpError(err, out.Error())
}

func cmpError(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

func labelNames(items []Item) []string {
	all := map[string]bool{}
	for i := range items {
		for n := range items[i].Labels {
			all[n] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// harmless keeps cells from being formulas: devices name themselves, and a spreadsheet
// computes what begins with one of these.
func harmless(row []string) []string {
	for i, s := range row {
		if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
			row[i] = "'" + s
		}
	}
	return row
}
