package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// interval of the polls, and what one poll of the reference has for each port:
// eleven columns, of which ours has ifName and ifAlias as labels.
const (
	interval        = 5 * time.Second
	referenceOfPort = 11
)

// wholeWay measures poll to acknowledged, with the bare SNMP library before and
// after.
func wholeWay(ctx context.Context, o options, dir string) error {
	if o.shared == "" {
		fmt.Println("The whole way: SITEPROBE_SHARED names no folder; the fleet and the bare loop are not here, so there is nothing to measure with.")
		return nil
	}
	if err := build(ctx, o.shared, dir); err != nil {
		return err
	}
	fleet, err := startFleet(ctx, o, dir)
	if err != nil {
		return err
	}
	defer fleet.stop()

	fmt.Printf("The whole way, poll to acknowledged: %d switches of %d ports every %v, at most 25 repetitions\n\n", o.devices, o.ports, interval)
	var errs []error
	errs = append(errs, floor(ctx, o, dir, "multi"), floor(ctx, o, dir, "walk"))
	for _, commit := range commits {
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
