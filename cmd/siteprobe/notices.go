package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"sync"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/notify"
	"github.com/siteprobe/siteprobe/collectors/runbook"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// cardVars is whom to call, of a site file.
func cardVars(i config.Info) runbook.Vars {
	v := runbook.Vars{Site: i.ID, ISP: i.WAN.ISP, Circuit: i.WAN.Circuit, Hotline: i.WAN.Hotline, Support: runbook.Contact(i.Support)}
	for _, c := range i.Contacts {
		v.Contacts = append(v.Contacts, runbook.Contact(c))
	}
	return v
}

// noticeOptions are what a site's notices need; without a folder they keep nothing.
func noticeOptions(site *config.Site, cards *runbook.Cards, clock *host.Clock, dir string, log *slog.Logger) notify.Options {
	opt := notify.Options{Scope: site.Scope, Cards: cards, Clock: clock, Log: log,
		Site: notify.Site{Tenant: site.Info.Tenant, Name: site.Info.ID, Location: site.Info.Location(), Vars: cardVars(site.Info)}}
	if dir != "" {
		opt.File = filepath.Join(dir, notify.FileName)
	}
	return opt
}

// maxUnheard bounds the changes that wait while one site file's notices take the place
// of another's: that takes moments.
const maxUnheard = 1024

// notices are those of a site file, from one reading of it to the next.
type notices struct {
	clock *host.Clock
	log   *slog.Logger

	made noticeSettings // those that run
	stop func()         // of those that run, waits; nil: none do

	mu      sync.Mutex
	now     *notify.Notifier // nil: none, or one is about to be
	unheard []incident.Change
	trouble []wire.Trouble
}

// noticeSettings are all that notices are made of: where it stays the same, so do they.
type noticeSettings struct {
	notices []notify.Config
	info    config.Info
	scope   scope.Config
	cards   *runbook.Cards
}

func newNotices(clock *host.Clock, log *slog.Logger) *notices {
	return &notices{clock: clock, log: log}
}

// apply starts what the site file asks for in place of what ran before, whose messages
// that wait it takes over.
func (n *notices) apply(site *config.Site) {
	cards, problems := runbook.Open(site.Runbooks, site.Info.Language)
	for _, p := range problems {
		n.log.Warn("a runbook card is left out", "at", p.String())
	}
	want := noticeSettings{site.Notices, site.Info, site.Scope, cards}
	if n.stop != nil && reflect.DeepEqual(want, n.made) {
		return
	}
	n.close()
	next, err := notify.New(site.Notices, noticeOptions(site, cards, n.clock, dataDir(site), n.log))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trouble = nil
	if err != nil { // the site file was checked
		n.log.Error("notices cannot be sent", "error", err)
		n.trouble = append(n.trouble, wire.Trouble{What: "notices cannot be sent: " + err.Error(), Hint: "correct notices in the site file"})
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		next.Run(ctx)
	}()
	n.made, n.now = want, next
	n.stop = func() {
		cancel()
		<-ended
	}
	for _, c := range n.unheard {
		next.Notify(c)
	}
	n.unheard = nil
}

// hear takes what the engine of incidents tells.
func (n *notices) hear(_ []incident.Edge, cs []incident.Change) {
	for _, c := range cs {
		n.Notify(c)
	}
}

// Notify hears of a change of an incident; it never blocks.
func (n *notices) Notify(c incident.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.now != nil:
		n.now.Notify(c)
	case len(n.unheard) < maxUnheard:
		n.unheard = append(n.unheard, c)
	}
}

// close stops what runs; what waits is kept when it returns.
func (n *notices) close() {
	n.mu.Lock()
	n.now = nil
	n.mu.Unlock()
	if n.stop != nil {
		n.stop()
		n.stop = nil
	}
}

// state is what of it is wrong.
func (n *notices) state() []wire.Trouble {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.trouble[:len(n.trouble):len(n.trouble)]
	if n.now == nil {
		return out
	}
	for _, t := range n.now.Troubles() {
		out = append(out, wire.Trouble{What: fmt.Sprintf("the notice %s is not sent, %d wait: %v", t.Notice, t.Waiting, t.Err), Hint: notify.HintOf(t.Err)})
	}
	return out
}

func testNotifyCommand(path *string) *cobra.Command {
	return &cobra.Command{
		Use: "test-notify [NAME]", Short: "Send a test through the notices of the site file", Args: cobra.MaximumNArgs(1),
		Long: "Send a test through every notice of the site file, or the one of that name, and say what happened.\n" +
			"It exits with 1 when one did not go out. The daemon need not run.",
		RunE: func(c *cobra.Command, args []string) error {
			site, err := load(config.Loader{}, *path)
			if err != nil {
				return err
			}
			cards, _ := runbook.Open(site.Runbooks, site.Info.Language)
			n, err := notify.New(site.Notices, noticeOptions(site, cards, host.NewClock(host.Config{DataDir: dataDir(site), Trust: site.Clock}), "", nil))
			if err != nil {
				return &exit{usage, err}
			}
			tried, failed := 0, 0
			for _, x := range site.Notices {
				if len(args) > 0 && x.Name != args[0] {
					continue
				}
				tried++
				fmt.Fprintf(c.OutOrStdout(), "%s: %s: ", x.Name, x.What())
				if err := n.Test(c.Context(), x.Name); err != nil {
					failed++
					fmt.Fprintf(c.OutOrStdout(), "failed\n  %v\n", err)
					if hint := notify.HintOf(err); hint != "" {
						fmt.Fprintf(c.OutOrStdout(), "  -> %s\n", hint)
					}
					continue
				}
				fmt.Fprintln(c.OutOrStdout(), x.Outcome())
			}
			switch {
			case tried == 0 && len(args) > 0:
				return &exit{usage, fmt.Errorf("the site file has no notice %q", args[0])}
			case tried == 0:
				return &exit{usage, fmt.Errorf("the site file has no notices (the commented example shows some)")}
			case failed > 0:
				return &exit{badNews, fmt.Errorf("%d of %s did not go out", failed, count(tried, "notice"))}
			}
			return nil
		},
	}
}
