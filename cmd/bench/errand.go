package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/collectors"
)

// errand is one measurement of a keeper. A process of its own does it, so that
// its memory and its CPU time are those of one keeper.
type errand struct {
	Keeper  string // of newKeeper
	Dir     string
	Loop    string // the device under Dir; empty: there is none
	Mix     loadtest.Mix
	Commit  time.Duration
	Warm    time.Duration // how long the site runs before it counts; of its own time
	Length  time.Duration // how long it counts
	Deliver bool          // each commit is sent and acknowledged at once; else nothing is until the end
}

// cost is what an errand found out.
type cost struct {
	Readings  float64
	Fresh     float64 // octets in use by the readings, as they were committed
	Compacted float64 // and after maintenance; 0: there is none
	Device    deviceStat
	Packing   deviceStat // what maintenance gave the device to do, where it was apart
	Ingest    float64    // CPU s
	Pack      float64    // CPU s of maintenance
	Drain     float64    // CPU s
	Drained   float64    // readings
	Peak      float64    // resident octets at their highest
}

// keeper is something that keeps readings.
type keeper interface {
	add(collectors.Batch)
	full() bool    // what was added should be committed before the timer says so
	commit() error // durably
	// drain reads some of what waits to be sent and marks it as sent; 0: there is nothing.
	drain() (readings int, err error)
	used() (int64, error) // octets
	// maintain does the maintenance that is due, or all that will ever be, as if
	// hours had passed; false: there is no such thing.
	maintain(all bool) (bool, error)
	close() error
}

// run has a child do the errand on a fresh disk.
func (e errand) run(ctx context.Context, dir string) (c cost, err error) {
	d, err := newDisk(ctx, dir)
	if err != nil {
		return c, err
	}
	defer d.close()
	e.Dir, e.Loop = d.mount, d.loop
	return c, child(ctx, "keep", e, &c)
}

// child runs this program again for one task and reads what it answers.
func child(ctx context.Context, task string, what, answer any) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b, err := json.Marshal(what)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-child", task, string(b))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("measuring in a process of its own: %w", err)
	}
	return json.Unmarshal(out, answer)
}

// serveChild does the task of a child and prints the answer.
func serveChild(task, what string) error {
	var answer any
	var err error
	switch task {
	case "dial":
		return dialAll(what)
	case "keep":
		answer, err = serve(what, errand.do)
	case "fill":
		answer, err = serve(what, reopening.fill)
	case "open":
		answer, err = serve(what, reopening.open)
	default:
		return fmt.Errorf("no task %q", task)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

func serve[W, A any](what string, do func(W) (A, error)) (a A, err error) {
	var w W
	if err := json.Unmarshal([]byte(what), &w); err != nil {
		return a, err
	}
	return do(w)
}

// do runs the site in its own time, which is as fast as the keeper is.
func (e errand) do() (c cost, err error) {
	site := loadtest.New(e.Mix)
	k, err := newKeeper(e.Keeper, filepath.Join(e.Dir, "readings.db"))
	if err != nil {
		return c, err
	}
	defer k.close()
	now := site.Now()
	counted := now.Add(e.Warm)
	if err := e.feed(site, k, now, counted, &cost{}); err != nil {
		return c, err
	}
	usedBefore, err := k.used()
	if err != nil {
		return c, err
	}
	before, err := e.device()
	if err != nil {
		return c, err
	}
	if err := e.feed(site, k, counted, counted.Add(e.Length), &c); err != nil {
		return c, err
	}
	after, err := e.device()
	if err != nil {
		return c, err
	}
	c.Device = deviceStat{after.Written - before.Written, after.Flushes - before.Flushes}
	usedAfter, err := k.used()
	if err != nil {
		return c, err
	}
	c.Fresh = float64(usedAfter - usedBefore)
	if !e.Deliver {
		if err := e.maintain(k, usedBefore, after, &c); err != nil {
			return c, err
		}
	}
	_, c.Peak, err = memory(os.Getpid())
	return c, errors.Join(err, e.drainAll(k, &c))
}

// maintain has everything packed that can be, and counts what that costs.
func (e errand) maintain(k keeper, usedBefore int64, before deviceStat, c *cost) error {
	start := cpu()
	ok, err := k.maintain(true)
	if err != nil || !ok {
		return err
	}
	c.Pack = (cpu() - start).Seconds()
	after, err := e.device()
	if err != nil {
		return err
	}
	c.Packing = deviceStat{after.Written - before.Written, after.Flushes - before.Flushes}
	used, err := k.used()
	c.Compacted = float64(used - usedBefore)
	return err
}

// feed has the site's batches of a time kept, with a commit on the timer and for
// each full block, and counts what that costs; making the batches is not in it. A
// site that is connected does its maintenance meanwhile.
func (e errand) feed(site *loadtest.Site, k keeper, from, to collectors.Stamp, c *cost) error {
	var batches []collectors.Batch
	for now := from; now < to; {
		now = min(now.Add(e.Commit), to)
		batches = batches[:0]
		for b := range site.Until(now) {
			batches = append(batches, b)
		}
		if len(batches) == 0 {
			continue
		}
		start := cpu()
		for _, b := range batches {
			k.add(b)
			c.Readings += float64(b.Readings())
			if k.full() {
				if err := k.commit(); err != nil {
					return err
				}
			}
		}
		if err := k.commit(); err != nil {
			return err
		}
		c.Ingest += (cpu() - start).Seconds()
		if e.Deliver {
			if err := e.drainAll(k, c); err != nil {
				return err
			}
			if _, err := k.maintain(false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e errand) drainAll(k keeper, c *cost) error {
	start := cpu()
	for {
		n, err := k.drain()
		if err != nil {
			return err
		}
		if n == 0 {
			c.Drain += (cpu() - start).Seconds()
			return nil
		}
		c.Drained += float64(n)
	}
}

// device is what the device has been given so far, with all that waits to be
// written.
func (e errand) device() (s deviceStat, err error) {
	f, err := os.Open(e.Dir)
	if err != nil {
		return s, err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return s, fmt.Errorf("flushing the file system: %w", err)
	}
	return (&disk{loop: e.Loop}).stat()
}

// cpu is what this process has used so far.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // it cannot fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
