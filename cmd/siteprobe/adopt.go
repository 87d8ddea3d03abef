package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

func adoptCommand(path *string) *cobra.Command {
	var as string
	var follow, all bool
	var labels map[string]string
	c := &cobra.Command{
		Use: "adopt NAME|ADDRESS...", Short: "Poll devices that were found",
		Long: "Have candidates polled from now on, under the name that they give themselves or that of --as, with the credential that\n" +
			"fitted. A daemon that runs takes it up by itself. --follow has an adopted device that has moved polled where it is now.\n" +
			"--label gives it labels, also one that is adopted already, for its readings, the inventory and a bill; an empty value takes\n" +
			"one away: --label contract=gold,cmdb_id=4711",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case all && (len(args) > 0 || as != "" || follow):
				return errors.New("--all stands alone")
			case !all && len(args) == 0:
				return errors.New("which devices? siteprobe discover lists candidates")
			case as != "" && len(args) != 1:
				return errors.New("--as is for one device")
			case as != "" && follow:
				return errors.New("--as and --follow do not go together")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var done []string // told once it is kept
			err := changeBook(c, path, func(b *discovery.Book, taken discovery.Taken) error {
				if all {
					for i := range b.Devices {
						if d := &b.Devices[i]; d.Adoptable() {
							args = append(args, d.ID)
						}
					}
				}
				for _, text := range args {
					d, err := func() (*discovery.Device, error) {
						if follow {
							return b.Follow(text)
						}
						return b.Adopt(text, as, taken)
					}()
					if err == nil {
						err = d.Label(labels)
					}
					if err != nil {
						return err
					}
					how := "by SNMP, credential " + d.Credential
					if d.Credential == "" {
						how = "by ping only: no credential fitted"
					}
					done = append(done, fmt.Sprintf("%s is polled at %s, %s", d.Name, d.Address, how))
				}
				if len(args) == 0 {
					done = append(done, "there is no candidate that a credential fits")
				}
				return nil
			})
			return tell(c, done, err)
		},
	}
	c.Flags().StringVar(&as, "as", "", "the name to poll it under")
	c.Flags().StringToStringVar(&labels, "label", nil, "NAME=VALUE, such as contract=gold; may be repeated")
	c.Flags().BoolVar(&follow, "follow", false, "poll an adopted device at the address where it was found")
	c.Flags().BoolVar(&all, "all", false, "all candidates that a credential fits")
	return c
}

func forgetCommand(path *string) *cobra.Command {
	return &cobra.Command{
		Use: "forget NAME|ADDRESS...", Short: "Poll adopted devices no longer, and forget them", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var done []string
			err := changeBook(c, path, func(b *discovery.Book, _ discovery.Taken) error {
				for _, text := range args {
					d, err := b.Forget(text)
					if err != nil {
						return err
					}
					done = append(done, fmt.Sprintf("%s (%s) is forgotten", d.Title(), d.Address))
				}
				return nil
			})
			return tell(c, done, err)
		},
	}
}

// tell says what was done, unless all of it was undone.
func tell(c *cobra.Command, done []string, err error) error {
	if err != nil {
		return err
	}
	for _, line := range done {
		fmt.Fprintln(c.OutOrStdout(), line)
	}
	return nil
}

// changeBook changes the registry, all or nothing. What cannot be done with what is
// known is wrong usage.
func changeBook(c *cobra.Command, path *string, change func(*discovery.Book, discovery.Taken) error) error {
	site, err := load(config.Loader{WithoutSecrets: true}, *path)
	if err != nil {
		return err
	}
	names := namesOf(site)
	var wrong error
	err = discovery.OpenRegistry(dataDir(site)).Update(c.Context(), func(b *discovery.Book) error {
		wrong = change(b, func(name string) bool { return names[name] })
		return wrong
	})
	switch {
	case wrong != nil:
		return &exit{usage, wrong}
	case err != nil:
		return &exit{unknown, err}
	}
	return nil
}
