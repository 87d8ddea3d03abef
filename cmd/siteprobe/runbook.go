package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/siteprobe/siteprobe/collectors/runbook"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

func runbookCommand(path *string) *cobra.Command {
	var lang string
	var asJSON bool
	c := &cobra.Command{
		Use: "runbook [NAME]", Short: "What to do when something breaks: lists the cards, or shows one", Args: cobra.MaximumNArgs(1),
		Long: "What everything that can break means, what to check, and whom to call, filled in with the site's contacts and\n" +
			"provider. Names are verdicts such as GW_DOWN and kinds of incidents such as device_down. Works offline, and without\n" +
			"a site file. Cards of your own are NAME.md or NAME.LANG.md in /etc/siteprobe/runbooks.d, if the site file names no\n" +
			"other folder.",
		RunE: func(c *cobra.Command, args []string) error {
			cards, vars, err := openCards(c, *path, lang)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listCards(c, cards, vars, asJSON)
			}
			if !cards.Has(args[0]) {
				return &exit{usage, fmt.Errorf("there is no card %q (siteprobe runbook lists them)", args[0])}
			}
			card := cards.Card(vars, args[0])
			if asJSON {
				return printJSON(c, card)
			}
			fmt.Fprint(c.OutOrStdout(), card.Text(textWidth()))
			return nil
		},
	}
	c.Flags().StringVar(&lang, "lang", "", "the language, such as de; without it the site's")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line and card")
	return c
}

// textWidth is how wide texts are shown.
func textWidth() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w >= 40 {
		return min(w, 100)
	}
	return 78
}

// openCards reads the cards as the site file has them; without a site file those of the
// usual folder, with nobody to call. What is wrong with a card is told.
func openCards(c *cobra.Command, path, lang string) (*runbook.Cards, runbook.Vars, error) {
	dir, vars := config.DefaultRunbooks, runbook.Vars{}
	site, err := load(config.Loader{WithoutSecrets: true}, path)
	switch {
	case err == nil:
		dir, vars = site.Runbooks, cardVars(site.Info)
		if lang == "" {
			lang = site.Info.Language
		}
	case !errors.Is(err, fs.ErrNotExist) || c.Flags().Changed("config"):
		return nil, vars, err
	}
	if lang != "" && !runbook.ValidLang(lang) {
		return nil, vars, &exit{usage, fmt.Errorf("%q is no language such as en or de", lang)}
	}
	cards, problems := runbook.Open(dir, lang)
	for _, p := range problems {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", p)
	}
	return cards, vars, nil
}

func listCards(c *cobra.Command, cards *runbook.Cards, vars runbook.Vars, asJSON bool) error {
	t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, name := range cards.Names() {
		if !cards.Has(name) {
			continue // in another language only
		}
		card := cards.Card(vars, name)
		if !asJSON {
			fmt.Fprintf(t, "%s\t%s\n", name, card.Title)
		} else if err := printJSON(c, card); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func printJSON(c *cobra.Command, v any) error {
	out := json.NewEncoder(c.OutOrStdout())
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// checkCards warns of runbook cards that do not count.
func checkCards(c *cobra.Command, site *config.Site) {
	_, problems := runbook.Open(site.Runbooks, site.Info.Language)
	for _, p := range problems {
		fmt.Fprintln(c.ErrOrStderr(), "warning: the runbook card", p)
	}
}
