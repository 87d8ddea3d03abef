package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

func discoverCommand(path *string) *cobra.Command {
	var networks []string
	var asJSON bool
	c := &cobra.Command{
		Use: "discover", Short: "Look for devices now", Args: cobra.NoArgs,
		Long: "Look through the networks of the site file's discovery section, or those of --network, within the contract, and print\n" +
			"what is there and not polled. It asks who is known to be there first, then pings, then asks for SNMPv3 engines, and\n" +
			"tries credentials only at what has answered. Found devices are candidates: siteprobe adopt has them polled.\n" +
			"The daemon may run beside it. A sweep that is interrupted goes on the next time.",
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := load(config.Loader{}, *path)
			if err != nil {
				return err
			}
			set := site.DiscoverySettings()
			if len(networks) > 0 {
				set.Networks = networks
			}
			if err := set.Validate(); err != nil {
				return &exit{usage, err}
			}
			if err := managed(site, set.Networks); err != nil {
				return &exit{usage, err}
			}
			changes, book, err := sweepNow(c, site, set)
			if errors.Is(err, context.Canceled) {
				err = errors.New("interrupted; the next sweep goes on where this one has stopped")
			}
			if book == nil {
				return &exit{unknown, err}
			}
			if asJSON {
				err = errors.Join(err, discovery.WriteJSON(c.OutOrStdout(), candidates(book)))
			} else {
				err = errors.Join(err, printCandidates(c.OutOrStdout(), book, changes, set))
			}
			if err != nil {
				return &exit{unknown, err}
			}
			return nil
		},
	}
	c.Flags().StringSliceVar(&networks, "network", nil, "look through this network instead, such as 192.168.10.0/24")
	c.Flags().BoolVar(&asJSON, "json", false, "for a program: as siteprobe inventory --json has it")
	return c
}

// sweepNow runs one whole sweep and reads what is known then; nil where it could not
// begin.
func sweepNow(c *cobra.Command, site *config.Site, set discovery.Config) ([]discovery.Change, *discovery.Book, error) {
	j := newJobs(nil, slog.New(slog.DiscardHandler))
	defer j.close()
	j.book = discovery.OpenRegistry(dataDir(site))
	dialer, err := scope.New(site.Scope, nil)
	if err != nil {
		return nil, nil, err
	}
	all := j.withAdopted(site)
	j.kinds.read(all, j.log)
	progress := newProgress(c.ErrOrStderr())
	sweeper, err := j.discovery(discoverySettings{set, namesOf(site), addressesOf(site), j.targets(site, all), 0}, dialer, progress.show)
	if err != nil {
		return nil, nil, err
	}
	changes, err := sweeper.Sweep(c.Context(), nil)
	progress.clear()
	if err != nil && len(changes) == 0 && !errors.Is(err, context.Canceled) && !errors.Is(err, check.ErrNotPermitted) {
		return nil, nil, err
	}
	book, readErr := j.book.Read()
	if readErr != nil {
		return nil, nil, errors.Join(err, readErr)
	}
	return changes, &book, err
}

// managed holds that networks that were asked for have something in common with the
// contract, so that a typing error does not look like an empty network.
func managed(site *config.Site, networks []string) error {
	dialer, err := scope.New(site.Scope, nil)
	if err != nil {
		return err
	}
	for _, text := range networks {
		n, err := discovery.ParseNetwork(text)
		if err != nil {
			return err // Validate has said so
		}
		if !dialer.ManagesSome(n) {
			return fmt.Errorf("%s: nothing of it is under scope.managed", n)
		}
	}
	return nil
}

// candidates are the devices that speak SNMP and are not polled.
func candidates(b *discovery.Book) []discovery.Item {
	out := discovery.Book{}
	for _, d := range b.Devices {
		if !d.Polled() && d.SNMP {
			out.Devices = append(out.Devices, d)
		}
	}
	return discovery.Inventory(&out, nil, true)
}

func printCandidates(out io.Writer, b *discovery.Book, changes []discovery.Change, set discovery.Config) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tNAME\tCLASS\tVENDOR\tMODEL\tSERIAL\tFIRMWARE\tCREDENTIAL")
	shown, mute := 0, 0
	for i := range b.Devices {
		d := &b.Devices[i]
		switch {
		case d.Polled() || d.Gone:
		case !d.SNMP:
			mute++
		default:
			shown++
			credential := d.Credential
			if credential == "" {
				credential = "none fits"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Address, d.SysName, d.Class, d.Vendor, d.Model, d.Serial, d.Firmware, credential)
		}
	}
	if shown > 0 {
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for i := range changes {
		if c := &changes[i]; c.Kind != discovery.DeviceNew {
			fmt.Fprintln(out, c.Event().Text)
		}
	}
	fmt.Fprintf(out, "%d candidates", shown)
	if mute > 0 {
		fmt.Fprintf(out, ", and %d hosts that do not answer SNMP", mute)
		if set.Communities != discovery.Pinged {
			fmt.Fprint(out, " (discovery.communities: pinged in the site file tries communities at those of them that answer pings)")
		}
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	if shown > 0 {
		fmt.Fprintln(out, "siteprobe adopt ADDRESS... polls them from now on; --all all that a credential fits")
	}
	return nil
}

// progress shows on a terminal how far a sweep is, on one line.
type progress struct {
	out      io.Writer
	terminal bool
}

func newProgress(out io.Writer) *progress {
	f, ok := out.(*os.File)
	return &progress{out, ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) show(s discovery.Step) {
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%d of %d addresses, %d hosts, %d with SNMP: %s", s.Asked, s.Total, s.Answering, s.SNMP, s.Doing)
	}
}

func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
