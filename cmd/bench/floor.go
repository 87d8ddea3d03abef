package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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

	fmt.Printf("The whole way, poll to acknowledged: %d switches of %d ports every %v, at most 25 repetitions\n", o.devices, o.ports, interval)
	var errs []error
	for i, n := range networks {
		if err := n.set(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
		fmt.Printf("\n%s:\n", n.name)
		errs = append(errs, floor(ctx, o, dir, "multi"), floor(ctx, o, dir, "walk"))
		for k, commit := range commits {
			if k > 0 && (i > 0 || o.length < commit) {
				break // one is enough where the network is what is measured, and where there is no time
			}
			o.commit = commit
			errs = append(errs, whole(ctx, o, dir))
		}
		errs = append(errs, floor(ctx, o, dir, "multi")) // again: how much did the machine change meanwhile?
	}
	return errors.Join(errs...)
}

// floor runs the bare loop for a few polls and prints what it cost.
func floor(ctx context.Context, o options, dir, mode string) error {
	before, err := fleetStats(ctx)
	if err != nil {
		return err
	}
	log := filepath.Join(dir, "floor.log")
	p, err := start(ctx, log, filepath.Join(dir, "floor"), "-hosts", filepath.Join(dir, "hosts"), "-mode", mode, "-reps", "25",
		"-interval", interval.String(), "-rounds", strconv.Itoa(max(3, int(o.length/interval)/2)))
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
	readings, err := floorReadings(log)
	if err != nil {
		return err
	}
	fmt.Printf("bare gosnmp, %-5s             %6.2f CPU s per million readings   %5.1f requests per 1,000\n",
		mode, p.cpu()/readings*1e6, (after["requests"]-before["requests"])/readings*1e3)
	return nil
}

// floorReadings is how many variables the bare loop says that it has read.
func floorReadings(log string) (float64, error) {
	b, err := os.ReadFile(log)
	if err != nil {
		return 0, err
	}
	all := regexp.MustCompile(`vbs=(\d+)`).FindAllSubmatch(b, -1)
	if len(all) == 0 {
		return 0, errors.New("the bare loop does not say what it has read")
	}
	return strconv.ParseFloat(string(all[len(all)-1][1]), 64)
}
