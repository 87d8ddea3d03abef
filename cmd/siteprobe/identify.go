package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// identified is what `snmp identify --json` prints. Scripts rely on its keys.
type identified struct {
	SysName     string                `json:"sysName"`
	SysObjectID string                `json:"sysObjectID"`
	SysDescr    string                `json:"sysDescr"`
	Profile     string                `json:"profile"`
	Class       string                `json:"class"`
	Vendor      string                `json:"vendor"`
	Model       string                `json:"model"`
	Serial      string                `json:"serial"`
	Firmware    string                `json:"firmware"`
	Location    string                `json:"location"`
	Interfaces  []identifiedInterface `json:"interfaces"`
	Agent       snmp.Manners          `json:"agent"`
}

type identifiedInterface struct {
	IfIndex  uint64 `json:"ifIndex"`
	IfName   string `json:"ifName"`
	IfDescr  string `json:"ifDescr"`
	SpeedBPS uint64 `json:"speed_bps"`
	Oper     string `json:"oper"`
	Admin    string `json:"admin"`
}

func snmpIdentifyCommand(path *string) *cobra.Command {
	a := &access{path: path}
	var asJSON bool
	c := &cobra.Command{
		Use: "identify ADDRESS[:PORT]", Short: "Say what a device is, which profile is for it, and how it wants to be asked", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			site, set, err := a.settings(c)
			if err != nil {
				return err
			}
			client, err := a.dial(c, site, set, args[0])
			if err != nil {
				return err
			}
			defer client.Close()
			d, err := client.Identify(c.Context())
			if err != nil {
				return &exit{badNews, err}
			}
			interfaces, broken := client.Interfaces(c.Context())
			id := identifiedOf(d, interfaces, client.Manners())
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetEscapeHTML(false)
				err = e.Encode(id)
			} else {
				err = id.print(c.OutOrStdout())
			}
			switch {
			case err != nil:
				return fmt.Errorf("printing: %w", err)
			case broken != nil:
				return &exit{badNews, fmt.Errorf("the interfaces are incomplete: %w", broken)}
			}
			return nil
		},
	}
	a.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return c
}

func identifiedOf(d snmp.Device, is []snmp.Interface, m snmp.Manners) identified {
	id := identified{
		SysName: d.SysName, SysObjectID: d.SysObjectID, SysDescr: d.SysDescr, Profile: d.Profile, Class: d.Class, Vendor: d.Vendor,
		Model: d.Model, Serial: d.Serial, Firmware: d.Firmware, Location: d.Location, Interfaces: []identifiedInterface{}, Agent: m,
	}
	for _, i := range is {
		id.Interfaces = append(id.Interfaces, identifiedInterface{i.Index, i.Name, i.Descr, i.SpeedBPS, ifStatus(i.Oper), ifStatus(i.Admin)})
	}
	return id
}

// ifStatus names ifAdminStatus and ifOperStatus (RFC 2863). Numbers outside of them
// stay numbers.
func ifStatus(n int64) string {
	names := [...]string{1: "up", 2: "down", 3: "testing", 4: "unknown", 5: "dormant", 6: "notPresent", 7: "lowerLayerDown"}
	switch {
	case n == 0:
		return ""
	case n > 0 && n < int64(len(names)):
		return names[n]
	}
	return strconv.FormatInt(n, 10)
}

// print is for a person.
func (id *identified) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(t, "%s\t%s\n", what, collectors.Printable(text))
		}
	}
	line("name", id.SysName)
	line("is", joined(" ", id.Vendor, id.Model, id.Class))
	line("serial", id.Serial)
	line("firmware", id.Firmware)
	line("location", id.Location)
	line("sysDescr", id.SysDescr)
	line("sysObjectID", id.SysObjectID)
	line("profile", id.Profile)
	line("asked by", joined(", ", "SNMP "+id.Agent.Version, "credential "+id.Agent.Credential, asked(&id.Agent)))
	if err := t.Flush(); err != nil {
		return err
	}
	if len(id.Interfaces) == 0 {
		_, err := fmt.Fprintln(w, "\nIt shows no interfaces.")
		return err
	}
	fmt.Fprintf(w, "\n%d interfaces\n", len(id.Interfaces))
	fmt.Fprintln(t, "  ifIndex\tifName\tifDescr\tspeed\toper\tadmin")
	for _, i := range id.Interfaces {
		fmt.Fprintf(t, "  %d\t%s\t%s\t%s\t%s\t%s\n", i.IfIndex, collectors.Printable(i.IfName), collectors.Printable(i.IfDescr), speed(i.SpeedBPS), i.Oper, i.Admin)
	}
	return t.Flush()
}

func joined(between string, words ...string) (s string) {
	for _, w := range words {
		if w == "" {
			continue
		}
		if s != "" {
			s += between
		}
		s += w
	}
	return s
}

// asked says in words how a device wants to be asked.
func asked(m *snmp.Manners) string {
	how := fmt.Sprintf("%d columns x %d rows a request", m.MaxColumns, m.MaxRepetitions)
	if m.NoBulk {
		how = "one row a request (no GetBulk)"
	}
	if m.OtherAddress {
		how += ", answers from another address"
	}
	return how
}

// speed writes bits a second as people do.
func speed(bps uint64) string {
	for _, unit := range []struct {
		of   uint64
		name string
	}{{1e9, "Gbit/s"}, {1e6, "Mbit/s"}, {1e3, "kbit/s"}} {
		if bps >= unit.of {
			return strconv.FormatFloat(float64(bps)/float64(unit.of), 'f', -1, 64) + " " + unit.name
		}
	}
	if bps == 0 {
		return "-"
	}
	return fmt.Sprintf("%d bit/s", bps)
}
