package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/collectors"
)

// commits are the settings that figures are given for.
var commits = []time.Duration{5 * time.Second, time.Minute}

// keepers are compared, ours first.
var keepers = []string{"siteprobe", "lean rows", "proxy's rows"}

// warmUp is how long a site runs before it counts: everything has been polled
// twice, so that schemas are no part of the figures.
const warmUp = 2 * time.Minute

// onTheHour has the counting begin with an hour, as the buffer's compaction does.
func onTheHour(m loadtest.Mix) loadtest.Mix {
	m.Start = collectors.Stamp((time.Hour - warmUp).Milliseconds())
	return m
}

// bufferAlone measures the buffer beside tables with a row for each reading, on
// the reference mix while nothing can be sent.
func bufferAlone(ctx context.Context, o options, dir string) error {
	mix := onTheHour(loadtest.Reference())
	site := loadtest.New(mix)
	fmt.Printf("The buffer alone: %s series every %v (%d switches of %d ports, %d checks, the box), nothing is sent until the end;\n"+
		"the site's time runs as fast as it can, %v of it are counted. Rows are SQLite's, one for each reading,\n"+
		"with the buffer's durability; proxy's: laid out as in the proxy of Zabbix.\n\n",
		thousands(site.Series()), mix.Interval, mix.Switches, mix.Ports, mix.Checks, o.siteTime)
	t := newTable(os.Stdout, "", "commit", "B/reading|fresh", "B/reading|compacted", "device|B/reading", "flushes|per hour", "ingest|CPU s/M", "drain|CPU s/M",
		"compaction|CPU s/M", "|device B/r", "resident|MB")
	for _, keeper := range keepers {
		for _, commit := range commits {
			e := errand{Keeper: keeper, Mix: mix, Commit: commit, Warm: warmUp, Length: o.siteTime}
			c, err := e.run(ctx, dir)
			if err != nil {
				return fmt.Errorf("%s, commit %v: %w", keeper, commit, err)
			}
			t.row(keeper, short(commit), fixed(c.Fresh/c.Readings, 2), fixed(c.Compacted/c.Readings, 2), fixed(c.Device.Written/c.Readings, 2),
				fixed(c.Device.Flushes/o.siteTime.Hours(), 0), fixed(c.Ingest/c.Readings*1e6, 3), fixed(c.Drain/c.Drained*1e6, 3),
				fixed(c.Pack/c.Readings*1e6, 3), fixed(c.Packing.Written/c.Readings, 2), fixed(c.Peak/1e6, 0))
		}
	}
	fmt.Println()
	return nil
}

// The life of an eMMC is that of its cells: so many times its size can be written
// to them, and for each octet that it is given it writes several, because it can
// only erase blocks that are much larger than what it is given. Makers of small
// ones seldom say more; these are usual for MLC, which such boxes have, and for
// small flushed writes.
const (
	emmcBytes         = 32e9
	emmcCycles        = 3000
	emmcAmplification = 4
	hoursPerYear      = 365.25 * 24
)

// lives translates the octets written into years, at sites that are connected:
// what is committed is sent, acknowledged and marked as delivered at once.
func lives(ctx context.Context, o options, dir string) error {
	life := emmcBytes * emmcCycles / emmcAmplification
	fmt.Printf("How long an eMMC of 32 GB lives, if it bears %s erasures (MLC) and writes %d octets for each it is given, which is\n"+
		"%.0f TB in all, and has nothing else to write; every %v, connected, %v measured:\n\n",
		thousands(emmcCycles), emmcAmplification, life/1e12, time.Minute, o.siteTime)
	t := newTable(os.Stdout, "", "commit", "20 devices|GB/year", "|flushes/h", "|years", "200 devices|GB/year", "|flushes/h", "|years")
	for _, keeper := range []string{"siteprobe", "proxy's rows"} {
		for _, commit := range commits {
			cells := []string{keeper, short(commit)}
			for _, devices := range []int{20, 200} {
				e := errand{Keeper: keeper, Mix: onTheHour(loadtest.Office(devices)), Commit: commit, Warm: warmUp, Length: o.siteTime, Deliver: true}
				c, err := e.run(ctx, dir)
				if err != nil {
					return fmt.Errorf("%s, %d devices, commit %v: %w", keeper, devices, commit, err)
				}
				perYear := c.Device.Written / o.siteTime.Hours() * hoursPerYear
				cells = append(cells, fixed(perYear/1e9, 0), fixed(c.Device.Flushes/o.siteTime.Hours(), 0), fixed(life/perYear, 0))
			}
			t.row(cells...)
		}
	}
	fmt.Println()
	return nil
}
