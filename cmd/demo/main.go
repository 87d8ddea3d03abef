// Command demo shows siteprobe on one machine: `make run`.
//
// It builds the two programs and starts, on the loopback interface only,
//
//	siteprobe-hub   the MSP's end, with its page and its broker
//	snmpd           net-snmp's agent, which speaks of this machine
//	siteprobe       the probe, which polls snmpd over SNMPv2c and again over
//	                SNMPv3, a simulated switch whose counters move, a few
//	                services, and the machine itself
//
// and a relay between the probe and the broker, so that the line can be cut: key
// c does so for a minute, and what the probe keeps meanwhile, and how it gets rid
// of it afterwards, is shown. Key q or Ctrl-C stops all.
//
//	--state DIR       where all is kept (.run in the repository)
//	--for 30s         stop after that time
//	--cut-after 10s   cut the line by itself, after that time
//	--cut-for 1m      for how long a line is cut
//	--snmpd FILE      net-snmp's agent; "none": the simulated one stands in
//
// It needs Go, gcc (SQLite is C) and no rights. Where snmpd is missing it is
// installed when root on Debian or Ubuntu; else a simulated agent stands in.
//
// Everything is kept in one folder: the site file as an example, the secrets, the
// databases, and each program's log since the last start. Another start goes on
// from there. Ports that are taken are passed over.
//
// main.go has the flags; demo.go the order of things; site.yaml.tmpl the site
// file; outage.go the cut; relay.go the line; process.go whatever is started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	state            string
	snmpd            string
	runFor           time.Duration
	cutAfter, cutFor time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs the demo and returns its exit code: 0 when it was asked to stop, 1
// when it could not go on, 2 for wrong usage.
func execute(ctx context.Context, args []string, in *os.File, out, errOut io.Writer) int {
	o := options{}
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&o.state, "state", "", "the `folder` where all is kept (default: .run in the repository)")
	f.StringVar(&o.snmpd, "snmpd", defaultSnmpd, "net-snmp's agent; none: a simulated one stands in")
	f.DurationVar(&o.runFor, "for", 0, "stop after this time (default: when asked to)")
	f.DurationVar(&o.cutAfter, "cut-after", 0, "cut the line after this time (default: when asked to)")
	f.DurationVar(&o.cutFor, "cut-for", time.Minute, "for how long a line is cut")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case f.NArg() > 0:
		fmt.Fprintf(errOut, "demo: %q is no flag\n", f.Arg(0))
		return 2
	case o.cutFor <= 0:
		fmt.Fprintln(errOut, "demo: --cut-for must be more than 0")
		return 2
	}
	if err := run(ctx, o, in, newScreen(out)); err != nil {
		fmt.Fprintln(errOut, "demo:", err)
		return 1
	}
	return 0
}
