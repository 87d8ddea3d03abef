package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/exporter"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

func profileCommand(path *string) *cobra.Command {
	c := &cobra.Command{
		Use: "profile", Short: "Check, list, show and try device profiles",
		Long: "What a kind of device is asked for, and what the answers are called. The built-in profiles are in the program;\n" +
			"your own are *.yaml in a folder, /etc/siteprobe/profiles.d if the site file names no other.",
	}
	var dir string
	c.PersistentFlags().StringVar(&dir, "dir", "", "the folder of your own profiles (without it: the site file's)")
	c.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if dir != "" {
			return nil
		}
		site, err := load(config.Loader{WithoutSecrets: true}, *path)
		if err != nil && c.Flags().Changed("config") {
			return err
		}
		dir = profilesDir(site) // of a machine without a usable site file: where it is usually
		return nil
	}
	c.AddCommand(checkProfileCommand(&dir), listProfilesCommand(&dir), showProfileCommand(&dir), testProfileCommand(&dir))
	return c
}

func checkProfileCommand(dir *string) *cobra.Command {
	var module string
	c := &cobra.Command{
		Use: "check [FILE...]", Short: "Name every mistake in profiles",
		Long: "Read profiles (without a name: all of the folder), or with --module a module of snmp_exporter's snmp.yml, and name every mistake as file:line:column.\n" +
			"What they extend is looked for beside them, then in the folder, then among the built-in ones. It exits with 2 when\n" +
			"there are mistakes; warnings alone are fine.",
		RunE: func(c *cobra.Command, files []string) error {
			set, _ := profile.Open(*dir) // problems of other files are theirs
			if len(files) == 0 {
				var err error
				if files, err = filepath.Glob(filepath.Join(*dir, "*.yaml")); err != nil || len(files) == 0 {
					return &exit{usage, fmt.Errorf("there is no profile in %s; name the files", *dir)}
				}
			}
			wrong := 0
			for _, file := range files {
				p, problems := readProfile(set, file, module)
				for _, x := range problems {
					fmt.Fprintln(c.ErrOrStderr(), x)
				}
				if bad := mistakes(problems); bad > 0 {
					wrong += bad
				} else if p != nil && metricsOf(p) == 0 && module == "" && len(problems) > 0 {
					wrong++ // nothing of it was understood
					fmt.Fprintf(c.ErrOrStderr(), "%s: holds no metric; for a module of snmp_exporter's snmp.yml name it with --module\n", file)
				} else if p != nil {
					fmt.Fprintf(c.OutOrStdout(), "%s: fine: %s\n", file, count(metricsOf(p), "metric"))
				}
			}
			if wrong > 0 {
				return &exit{usage, errors.New(count(wrong, "mistake"))}
			}
			return nil
		},
	}
	c.Flags().StringVar(&module, "module", "", "the files are snmp_exporter's snmp.yml; check this module")
	return c
}

// readProfile reads a profile's file, or a module of an snmp.yml.
func readProfile(set *profile.Set, file, module string) (*profile.Profile, []profile.Problem) {
	if module != "" {
		return exporter.Load(file, module)
	}
	return set.Load(file)
}

// mistakes counts the problems that are more than warnings.
func mistakes(problems []profile.Problem) (n int) {
	for _, p := range problems {
		if !p.Warning {
			n++
		}
	}
	return n
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

func metricsOf(p *profile.Profile) int {
	n := len(p.Scalars)
	for _, t := range p.Tables {
		n += len(t.Columns)
	}
	return n
}

// profileLine is one profile of `profile list --json`.
type profileLine struct {
	Name     string   `json:"name"`
	Origin   string   `json:"origin"`
	Class    string   `json:"class"`
	Patterns []string `json:"sysobjectid"`
	Descr    string   `json:"sysdescr"`
	Answers  string   `json:"answers"`
	Metrics  int      `json:"metrics"`
}

func listProfilesCommand(dir *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the profiles there are", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			set, problems := profile.Open(*dir)
			for _, x := range problems {
				fmt.Fprintln(c.ErrOrStderr(), x)
			}
			out := json.NewEncoder(c.OutOrStdout())
			out.SetEscapeHTML(false)
			t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			if !asJSON {
				fmt.Fprintln(t, "NAME\tORIGIN\tCLASS\tMETRICS\tMATCHES")
			}
			for _, p := range set.List() {
				line := profileLine{Name: p.Name, Origin: p.Origin, Class: p.Device.Class, Patterns: append([]string{}, p.Match.ObjectIDs...), Metrics: metricsOf(p)}
				if p.Match.Descr != nil {
					line.Descr = p.Match.Descr.String()
				}
				if p.Match.Answers != nil {
					line.Answers = string(pdu.AppendDotted(nil, p.Match.Answers))
				}
				if !asJSON {
					fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", line.Name, line.Origin, orDash(line.Class), line.Metrics, line.matches())
				} else if err := out.Encode(line); err != nil {
					return fmt.Errorf("printing: %w", err)
				}
			}
			if err := t.Flush(); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
			if n := mistakes(problems); n > 0 {
				return &exit{badNews, errors.New(count(n, "mistake") + " in the profiles; what is wrong is left out")}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line and profile")
	return c
}

// matches says in a few words which devices a profile is for.
func (l *profileLine) matches() string {
	parts := l.Patterns[:min(len(l.Patterns), 2)]
	out := strings.Join(parts, " ")
	if n := len(l.Patterns) - len(parts); n > 0 {
		out += fmt.Sprintf(" and %d more", n)
	}
	if l.Descr != "" {
		out += " /" + l.Descr + "/"
	}
	if l.Answers != "" {
		out += " that has " + l.Answers
	}
	return orDash(strings.TrimSpace(out))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func showProfileCommand(dir *string) *cobra.Command {
	var module string
	c := &cobra.Command{
		Use: "show NAME|FILE", Short: "Show what a profile asks for, with all that it extends", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			set, _ := profile.Open(*dir)
			p, err := findProfile(c, set, args[0], module)
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), p.Dump())
			return nil
		},
	}
	c.Flags().StringVar(&module, "module", "", "the file is snmp_exporter's snmp.yml; show this module")
	return c
}

// findProfile takes the name of a profile or a file, and tells of the file's
// problems.
func findProfile(c *cobra.Command, set *profile.Set, what, module string) (*profile.Profile, error) {
	if p := set.Named(what); p != nil && module == "" {
		return p, nil
	}
	if _, err := os.Stat(what); errors.Is(err, os.ErrNotExist) {
		return nil, &exit{usage, fmt.Errorf("there is no profile and no file %q (siteprobe profile list names the profiles)", what)}
	}
	p, problems := readProfile(set, what, module)
	for _, x := range problems {
		fmt.Fprintln(c.ErrOrStderr(), x)
	}
	if p == nil {
		return nil, &exit{usage, fmt.Errorf("%s cannot be used", what)}
	}
	return p, nil
}

// profileOf gives the profile that the site file names for a device: nil where it
// names none. The error says what is missing.
func profileOf(set *profile.Set, want config.Profile) (*profile.Profile, []profile.Problem, error) {
	switch {
	case want.Name != "":
		if p := set.Named(want.Name); p != nil {
			return p, nil, nil
		}
		return nil, nil, fmt.Errorf("there is no profile %q (siteprobe profile list names those there are)", want.Name)
	case want.SNMPExporter != "":
		p, problems := exporter.Load(want.SNMPExporter, want.Module)
		if p == nil {
			return nil, problems, fmt.Errorf("the module %q of %s cannot be used: %s", want.Module, want.SNMPExporter, first(problems))
		}
		return p, problems, nil
	}
	return nil, nil, nil
}

// first is the first mistake.
func first(problems []profile.Problem) string {
	for _, p := range problems {
		if !p.Warning {
			return p.Message
		}
	}
	return "it holds nothing"
}
