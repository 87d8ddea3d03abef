// Command bench measures the whole way, poll to acknowledged, beside the bare
// SNMP library in the same run: `make bench`.
//
// A fleet of simulated switches answers (200 of 48 ports, polled every 5 s, at
// most 25 repetitions), siteprobe and siteprobe-hub run as the real processes that
// they are, and the figures are the probe process's own: CPU time as the kernel
// counts it, readings as its metrics count those that the hub has acknowledged,
// bytes that its block device was given to write. Machines differ and are noisy:
// compare within one run only.
//
// The fleet and the bare loop are tools outside the repository; SITEPROBE_SHARED
// says where. The block device is a loop device and needs root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.devices, "devices", 200, "simulated switches")
	flag.IntVar(&o.ports, "ports", 48, "ports of each")
	flag.DurationVar(&o.length, "for", 60*time.Second, "how long to measure")
	flag.DurationVar(&o.warm, "warm", 20*time.Second, "how long to run before that")
	flag.Parse()
	o.shared = os.Getenv("SITEPROBE_SHARED")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	shared       string
	devices      int
	ports        int
	length, warm time.Duration
	commit       time.Duration
}

// interval of the polls, and what one poll of the reference has for each port:
// eleven columns, of which ours has ifName and ifAlias as labels.
const (
	interval        = 5 * time.Second
	referenceOfPort = 11
)

func bench(ctx context.Context, o options) error {
	if o.shared == "" {
		fmt.Println("SITEPROBE_SHARED names no folder: the fleet and the bare loop are not here, so there is nothing to compare with.")
		return nil
	}
	dir, err := os.MkdirTemp("", "siteprobe-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("building in %s\n", dir)
	if err := build(ctx, o.shared, dir); err != nil {
		return err
	}
	fleet, err := startFleet(ctx, o, dir)
	if err != nil {
		return err
	}
	defer fleet.stop()

	fmt.Printf("\n%d switches of %d ports every %v, at most 25 repetitions\n\n", o.devices, o.ports, interval)
	var errs []error
	errs = append(errs, floor(ctx, o, dir, "multi"), floor(ctx, o, dir, "walk"))
	for _, commit := range []time.Duration{5 * time.Second, time.Minute} {
		o.commit = commit
		errs = append(errs, whole(ctx, o, dir))
	}
	errs = append(errs, floor(ctx, o, dir, "multi")) // again: how much did the machine change meanwhile?
	return errors.Join(errs...)
}

// floor runs the bare loop for a few polls and prints what it cost.
func floor(ctx context.Context, o options, dir, mode string) error {
	before, err := fleetStats(ctx)
	if err != nil {
		return err
	}
	p, err := start(ctx, filepath.Join(dir, "floor.log"), filepath.Join(dir, "floor"), "-hosts", filepath.Join(dir, "hosts"), "-mode", mode, "-reps", "25",
		"-interval", interval.String(), "-rounds", "6")
	if err != nil {
		return err
	}
	if err := p.wait(); err != nil {
		return fmt.Errorf("the bare loop: %w", err)
	}
	after, err := fleetStats(ctx)
	if err != nil {
		return err
	}
	readings := float64(6 * o.devices * (referenceOfPort*o.ports + 1))
	fmt.Printf("bare gosnmp, %-5s             %6.2f CPU s per million readings   %5.1f requests per 1,000\n",
		mode, p.cpu()/readings*1e6, (after["requests"]-before["requests"])/readings*1e3)
	return nil
}
