// Command bench measures what this project promises figures for: `make bench`.
// Machines differ and are noisy: compare within one run only. Its sections, of
// which -only chooses some:
//
//	buffer   the buffer by itself on the reference mix, beside tables with a row for
//	         each reading: octets, flushes, CPU time, memory
//	lives    the same at sites of 20 and 200 devices, as years of an eMMC's life
//	reopen   how long a full buffer takes to open after a crash
//	devices  what readings of real devices take, of which there are recordings
//	checks   500 checks every 30 s of servers of this run, as the real probe makes them,
//	         beside a bare loop of package net that makes the same contacts
//	whole    the whole way, poll to acknowledged, beside the bare SNMP library: a
//	         fleet of simulated switches answers (200 of 48 ports, polled every 5 s, at
//	         most 25 repetitions), siteprobe and siteprobe-hub run as the real processes
//	         that they are, and the figures are the probe process's own: CPU time as the
//	         kernel counts it, readings as its metrics count those that the hub has
//	         acknowledged, bytes that its block device was given to write
//
// The fleet, the bare loop and the recordings lie outside the repository;
// SITEPROBE_SHARED says where, and what needs them says so where they are not. The block devices are
// loop devices and need root; without it their figures are left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	var o options
	var only, task string
	flag.StringVar(&only, "only", "", "these sections only, with commas between: "+strings.Join(sectionNames(), ", "))
	flag.DurationVar(&o.siteTime, "site-time", 3*time.Hour, "how much of the site's own time the buffer is measured for")
	flag.Int64Var(&o.full, "full", 2<<30, "octets of the full buffer that is opened")
	flag.IntVar(&o.polls, "polls", 30, "how often each recorded device is polled")
	flag.IntVar(&o.devices, "devices", 200, "simulated switches")
	flag.IntVar(&o.ports, "ports", 48, "ports of each")
	flag.DurationVar(&o.length, "for", 60*time.Second, "how long to measure the whole way")
	flag.DurationVar(&o.warm, "warm", 20*time.Second, "how long to run before that")
	flag.StringVar(&task, "child", "", "for this program itself: do one task, given as JSON")
	flag.Parse()
	o.shared = os.Getenv("SITEPROBE_SHARED")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if task != "" {
		err = serveChild(task, flag.Arg(0))
	} else {
		err = bench(ctx, o, only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	shared       string
	siteTime     time.Duration
	full         int64
	polls        int
	devices      int
	ports        int
	length, warm time.Duration
	commit       time.Duration
}

// section is a part of the whole, with its name for -only.
type section struct {
	name string
	run  func(ctx context.Context, o options, dir string) error
}

func sections() []section {
	return []section{
		{"buffer", bufferAlone},
		{"lives", lives},
		{"reopen", reopen},
		{"devices", recordedDevices},
		{"checks", checks},
		{"whole", wholeWay},
	}
}

func sectionNames() (names []string) {
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

// bench runs the sections; one that fails does not keep the others from running.
func bench(ctx context.Context, o options, only string) error {
	wanted := sectionNames()
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	for _, w := range wanted {
		if !slices.Contains(sectionNames(), w) {
			return fmt.Errorf("there is no section %q; there are %s", w, strings.Join(sectionNames(), ", "))
		}
	}
	dir, err := os.MkdirTemp("", "siteprobe-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var errs []error
	for _, s := range sections() {
		if !slices.Contains(wanted, s.name) || ctx.Err() != nil {
			continue
		}
		if err := s.run(ctx, o, dir); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			fmt.Printf("\n%s failed: %v\n\n", s.name, err)
		}
	}
	return errors.Join(errs...)
}
