// Command siteprobe is the appliance: it polls the devices and services that the
// site file names, keeps every reading until the MSP has stored it, and tells
// what it knows.
//
//	siteprobe run            the daemon
//	siteprobe check-config   read the site file and name every mistake in it
//	siteprobe poll           poll once and print the readings
//	siteprobe status         what the daemon is doing
//	siteprobe diagnose       what is broken between this site and the MSP
//	siteprobe evidence       check what was recorded of outages
//	siteprobe history        readings out of the local buffer
//	siteprobe events         what happened, out of the local buffer
//	siteprobe discover       look for devices now
//	siteprobe adopt          poll devices that were found
//	siteprobe forget         poll such devices no longer
//	siteprobe inventory      what is there, for a CMDB or a bill
//	siteprobe topology       which port of which device goes where
//	siteprobe where          where a MAC, an address or a device is plugged in
//	siteprobe sla            service levels, and a report of them
//	siteprobe runbook        what to do when something breaks
//	siteprobe test-notify    send a test through the notices
//	siteprobe incidents      what is broken, since when and whose it is
//	siteprobe maintenance    times of work, in which nobody is called
//	siteprobe silence        hold back notices
//	siteprobe snmp           look at one device by SNMP: walk, get, identify
//	siteprobe profile        check, list, show and try what kinds of devices are asked for
//	siteprobe version
//
// Exit codes: 0 fine; 1 the answer is bad news; 2 wrong usage or config; 3 could
// not find out.
//
// This folder composes the parts and has no logic of its own: run.go reads as the
// flow, jobs.go names every collector.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // a small box may have no zone files

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

// exit is an error with an exit code; its text has been shown already where it is
// empty.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// The exit codes.
const (
	badNews = 1
	usage   = 2
	unknown = 3
)

func main() {
	// On a small box memory is scarcer than CPU: for 87,000 series this is 4 MB
	// less for 0.1 CPU seconds per million readings (`make bench`).
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(85)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:]))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string) int {
	root := newRoot(siteFile)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, "siteprobe:", err)
	}
	var e *exit
	if errors.As(err, &e) {
		return e.code
	}
	return usage
}

// siteFile is where the site file is, unless the command line says otherwise.
const siteFile = "/etc/siteprobe/siteprobe.yaml"

func newRoot(siteFile string) *cobra.Command {
	root := &cobra.Command{
		Use: "siteprobe", Short: "Polls a site, keeps every reading until it is stored, tells what broke",
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	var path string
	root.PersistentFlags().StringVarP(&path, "config", "c", siteFile, "the site file")
	p := &path
	root.AddCommand(
		runCommand(p), checkConfigCommand(p), pollCommand(p), statusCommand(p),
		historyCommand(p), eventsCommand(p),
		incidentsCommand(p), maintenanceCommand(p), silenceCommand(p), slaCommand(p),
		diagnoseCommand(p), evidenceCommand(p),
		discoverCommand(p), adoptCommand(p), forgetCommand(p), inventoryCommand(p),
		topologyCommand(p), whereCommand(p),
		runbookCommand(p), testNotifyCommand(p),
		snmpCommand(p), profileCommand(p),
		&cobra.Command{
			Use: "version", Short: "Print the version", Args: cobra.NoArgs,
			Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "siteprobe", version) },
		})
	return root
}
