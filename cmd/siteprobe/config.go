package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// load reads the site file; a mistake in it is wrong usage, a file that cannot be
// read is not knowing.
func load(l config.Loader, path string) (*config.Site, error) {
	site, err := l.Load(path)
	if err == nil {
		return site, nil
	}
	var bad *config.Error
	if errors.As(err, &bad) {
		return nil, &exit{usage, fmt.Errorf("the site file cannot be used:\n%w", err)}
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, &exit{unknown, fmt.Errorf("%w (-c names another site file; a commented example ships as siteprobe.example.yaml)", err)}
	}
	return nil, &exit{unknown, err}
}

func checkConfigCommand(path *string) *cobra.Command {
	var l config.Loader
	c := &cobra.Command{
		Use: "check-config", Short: "Read the site file and name every mistake in it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := load(l, *path)
			if err != nil && !l.WithoutSecrets {
				if _, rest := load(config.Loader{WithoutSecrets: true}, *path); rest == nil {
					err = &exit{usage, fmt.Errorf("%w\nall else is fine (--without-secrets leaves secrets out, as for a site file of another machine)", err)}
				}
			}
			if err != nil {
				return err
			}
			for _, w := range site.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
			}
			checkCards(c, site)
			if err := checkProfiles(c, site); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: fine: site %s/%s, %d devices, %d checks\n", *path, site.Info.Tenant, site.Info.ID, len(site.Devices), len(site.Checks))
			return nil
		},
	}
	c.Flags().BoolVar(&l.WithoutSecrets, "without-secrets", false, "do not look up the secrets: for a site file of another machine")
	return c
}

// checkProfiles names what is wrong with the profiles in the site's folder and those
// that its devices name. A wrong entry of a profile is a warning, for the rest of it
// counts; a profile that is not there is an error.
func checkProfiles(c *cobra.Command, site *config.Site) error {
	set, problems := profile.Open(site.Profiles)
	var missing []string
	seen := map[config.Profile]bool{}
	for _, d := range site.Devices {
		if seen[d.Profile] {
			continue
		}
		seen[d.Profile] = true
		_, more, err := profileOf(set, d.Profile)
		if err != nil {
			missing = append(missing, fmt.Sprintf("device %s: profile: %v", d.Name, err))
		}
		problems = append(problems, more...)
	}
	for _, p := range problems {
		p.Warning = true
		fmt.Fprintln(c.ErrOrStderr(), p)
	}
	if len(missing) > 0 {
		return &exit{usage, fmt.Errorf("the site file cannot be used:\n%s", strings.Join(missing, "\n"))}
	}
	return nil
}
