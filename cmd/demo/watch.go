package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// watch tells what there is to see and goes on until it is asked to stop, or a
// program ends that should not.
func (d *demo) watch(ctx context.Context, in *os.File) error {
	keys, restore, err := openKeys(in, d.out)
	if err != nil {
		return err
	}
	defer restore()
	d.hints(keys != nil)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the outage too
	var end, cut <-chan time.Time
	if d.o.runFor > 0 {
		end = time.After(d.o.runFor)
	}
	if d.o.cutAfter > 0 {
		cut = time.After(d.o.cutAfter)
	}
	parent := goRun()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-end:
			return nil
		case p := <-d.died:
			return p.failure()
		case <-cut:
			d.cut(ctx)
		case k := <-keys:
			switch k {
			case 'c':
				d.cut(ctx)
			case 'h', '?':
				d.hints(true)
			case 'q', ctrlC:
				return nil
			}
		case <-tick.C:
			if parent != 0 && os.Getppid() != parent {
				return errors.New("go run, which started this, is gone")
			}
			last = d.show(ctx, last)
		}
	}
}

// ctrlC is what a terminal gives that makes no signals of keys.
const ctrlC = 3

// cut cuts the line for a while, or ends a cut that is under way.
func (d *demo) cut(ctx context.Context) {
	if d.cutting != nil {
		select {
		case <-d.cutting:
		default:
			d.endCut()
			return
		}
	}
	done := make(chan struct{})
	cut, end := context.WithTimeout(ctx, d.o.cutFor)
	d.cutting, d.endCut = done, end
	d.working.Go(func() {
		defer close(done)
		defer end()
		d.outage(ctx, cut)
	})
}

// hints says what to look at.
func (d *demo) hints(keys bool) {
	bin := filepath.Join(d.shown, "bin")
	probe := fmt.Sprintf("%s -c %s", filepath.Join(bin, "siteprobe"), filepath.Join(d.shown, "site.yaml"))
	d.out.line("")
	d.out.line("Look at the MSP's page:")
	d.out.line("  %s", d.page)
	d.out.line("at the probe, in another terminal:")
	d.out.line("  %s status", probe)
	d.out.line("  %s poll --device switch", probe)
	d.out.line("  %s history --metric ifHCInOctets --from 5m", probe)
	d.out.line("and at the hub's proof that nothing is missing:")
	d.out.line("  %s --data %s verify", filepath.Join(bin, "siteprobe-hub"), filepath.Join(d.shown, "hub"))
	d.out.line("")
	if keys {
		d.out.line("c cuts the line to the hub for %v (again: mends it), h shows this, q stops", brief(d.o.cutFor))
	} else {
		d.out.line("no terminal, hence no keys: --cut-after cuts the line; Ctrl-C, SIGTERM or --for stops")
	}
}

// show shows the probe's state: on a terminal each time, else when it has changed
// since last.
func (d *demo) show(ctx context.Context, last string) string {
	s, err := d.probe.status(ctx)
	if err != nil {
		d.out.status(fmt.Sprintf("the probe does not answer: %v", err))
		return ""
	}
	uplink := s.Uplink.State
	if uplink != "connected" {
		uplink = "uplink " + uplink
	}
	waits := "nothing waits"
	if n := s.Buffer.PendingReadings; n > 0 {
		waits = fmt.Sprintf("%s readings wait", count(n))
	}
	state := fmt.Sprintf("%s, %d of %d devices answer", uplink, s.Devices.Answering, s.Devices.Total)
	if bad := s.troubles(); len(bad) > 0 {
		state += ", trouble with " + strings.Join(bad, ", ")
	}
	d.out.status(fmt.Sprintf("%s  %s, %s", clock(), state, waits))
	if !d.out.terminal && state != last {
		d.out.line("%s  %s", clock(), state)
	}
	return state
}

func clock() string { return time.Now().Format("15:04:05") }
