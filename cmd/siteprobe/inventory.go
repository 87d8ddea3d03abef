package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

func inventoryCommand(path *string) *cobra.Command {
	var asJSON, asCSV, modules, all bool
	c := &cobra.Command{
		Use: "inventory", Short: "What is there, for a CMDB or a bill", Args: cobra.NoArgs,
		Long: "Print the devices that are polled, as sweeps have found them, with the labels that the site file gives them; --all also\n" +
			"candidates and hosts that only answer pings. The columns of --csv stay in their order; further ones come behind, the\n" +
			"labels last. --modules lists chassis, modules, power supplies and fans instead, of devices with an ENTITY-MIB.",
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON && (asCSV || modules) {
				return errors.New("--json stands alone: it has the modules with each device")
			}
			site, err := load(config.Loader{WithoutSecrets: true}, *path)
			if err != nil {
				return err
			}
			book, err := discovery.OpenRegistry(dataDir(site)).Read()
			if err != nil {
				return &exit{unknown, err}
			}
			var named []discovery.Named
			for _, d := range site.Devices {
				named = append(named, discovery.Named{Name: d.Name, Address: d.Host(), Labels: d.Labels})
			}
			items := discovery.Inventory(&book, named, all)
			out := c.OutOrStdout()
			switch {
			case asJSON:
				err = discovery.WriteJSON(out, items)
			case modules && asCSV:
				err = discovery.WriteModulesCSV(out, items)
			case asCSV:
				err = discovery.WriteCSV(out, items)
			case modules:
				err = printModules(out, items)
			default:
				err = printInventory(out, items)
			}
			if err != nil {
				return &exit{unknown, fmt.Errorf("printing: %w", err)}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "an array of devices, one a line")
	c.Flags().BoolVar(&asCSV, "csv", false, "for a spreadsheet or a CMDB")
	c.Flags().BoolVar(&modules, "modules", false, "the parts of the devices, one a line")
	c.Flags().BoolVar(&all, "all", false, "also what is not polled")
	return c
}

func printInventory(out io.Writer, items []discovery.Item) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATE\tADDRESS\tCLASS\tVENDOR\tMODEL\tSERIAL\tFIRMWARE\tLAST SEEN")
	for _, x := range items {
		state := string(x.State)
		switch {
		case x.Gone:
			state += ", gone"
		case x.Found != "":
			state += ", now at " + x.Found
		}
		name := x.Name
		if name == "" {
			name = "(" + x.SysName + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, state, x.Address, x.Class, x.Vendor, x.Model, x.Serial, x.Firmware, x.LastSeen)
	}
	return t.Flush()
}

func printModules(out io.Writer, items []discovery.Item) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DEVICE\tCLASS\tNAME\tMODEL\tSERIAL\tFIRMWARE")
	for _, x := range items {
		name := x.Name
		if name == "" {
			name = x.Address
		}
		for _, m := range x.Modules {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", name, m.Class, m.Name, m.Model, m.Serial, m.Firmware)
		}
	}
	return t.Flush()
}
