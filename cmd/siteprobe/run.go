package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/heartbeat"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/schedule"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/topology"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/mqtt"
	"github.com/siteprobe/siteprobe/uplink/wire"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

func runCommand(path *string) *cobra.Command {
	var level string
	c := &cobra.Command{
		Use: "run", Short: "Run the daemon", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := newLog(level)
			if err != nil {
				return &exit{usage, err}
			}
			return run(c.Context(), *path, log)
		},
	}
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}

// run is the daemon: config -> collectors -> buffer -> uplink. It starts them from
// the end of the flow, so that nothing has to wait for what comes after it, and
// stops them from its beginning, so that nothing is lost: no new readings, then
// the last commit, then the goodbye.
func run(ctx context.Context, path string, log *slog.Logger) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // first of all: before this a reload would end the daemon
	defer signal.Stop(hup)
	site, err := load(config.Loader{}, path)
	if err != nil {
		return err
	}
	for _, w := range site.Warnings {
		log.Warn("the site file", "at", w.String())
	}
	clock := host.NewClock(host.Config{DataDir: dataDir(site), Trust: site.Clock})
	name := wire.Site{Tenant: site.Info.Tenant, Name: site.Info.ID}
	cut := powerCut(site, clock.Now(), time.Now())

	buf, err := buffer.Open(site.Buffer, buffer.Options{Probe: name.Probe(), Clock: boxClock{clock}, Log: log, Committed: committedLog(log)})
	if err != nil {
		return &exit{unknown, err}
	}
	if offset, ok := buf.KnownOffset(); ok {
		clock.Recall(offset)
	}
	wires, told := &wiring{}, newNotices(clock, log)
	engine := incident.NewEngine(incident.Options{Clock: clock, Dir: dataDir(site), Zone: site.Info.Location(), Blame: blame, Wiring: wires.read, Add: buf.Add, Sink: told.hear, Log: log})
	seen := newTracker(func(b collectors.Batch) {
		engine.Observe(b)
		buf.Add(b)
	})
	sched := schedule.New(site.Limits, clock.Now, seen.add, log)
	d := &appliance{path: path, log: log, site: site, name: name, clock: clock, buf: buf, sched: sched, seen: seen, jobs: newJobs(clock, log), started: time.Now(),
		engine: engine, wiring: wires, receivers: newReceivers(dataDir(site), clock, buf, log), notices: told}
	if d.jobs.memory, err = snmp.OpenMemory(filepath.Join(dataDir(site), "devices.json")); err != nil {
		log.Warn("what was learned of devices", "error", err)
	}
	d.line = newLineWatch(d, site, cut)
	d.jobs.book, d.jobs.sweeps = discovery.OpenRegistry(dataDir(site)), true
	if d.jobs.topology, err = topology.OpenStore(topologyFile(site)); err != nil {
		log.Warn("what was known of neighbours", "error", err)
	}
	if d.jobs.beats, err = heartbeat.OpenBook(filepath.Join(dataDir(site), "heartbeats.json"), clock); err != nil {
		log.Warn("what was known of heartbeats", "error", err)
	}
	d.receivers.book = d.jobs.beats
	wires.store = d.jobs.topology
	if err := d.schedule(site); err != nil {
		return errors.Join(&exit{usage, err}, buf.Close())
	}

	var senders, others, collecting, incidents sync.WaitGroup
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	others.Go(func() { d.serve(serving, site) })
	others.Go(func() { d.watchdog(serving) })
	incidents.Go(func() { _ = engine.Run(watching) }) // it has no error
	incidents.Go(func() { d.watchSelf(watching) })
	incidents.Go(func() { d.line.watchCarrier(watching) })
	others.Go(func() { clock.AskServers(serving, site.Clock.NTP, log) })
	others.Go(func() { d.jobs.memory.Run(serving, log) })
	stopSending, err := d.startSender(&senders, site.Uplink)
	if err != nil {
		stopServing()
		stopWatching()
		others.Wait()
		incidents.Wait()
		return errors.Join(&exit{usage, err}, buf.Close())
	}
	var schedErr error
	collecting.Go(func() { schedErr = sched.Run(ctx) })
	d.receivers.apply(d.jobs.withAdopted(site), &d.jobs.kinds)
	d.notices.apply(site)
	d.line.apply(site)
	adopted := make(chan struct{})
	others.Go(func() { d.jobs.watchBook(serving, adopted) })

	log.Info("siteprobe runs", "version", version, "site", name.Probe(), "devices", len(site.Devices), "checks", len(site.Checks))
	sdNotify(log, daemon.SdNotifyReady)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-hup:
			stopSending = d.reload(&senders, stopSending)
		case <-adopted:
			d.readopt()
		}
	}

	sdNotify(log, daemon.SdNotifyStopping)
	log.Info("siteprobe stops")
	collecting.Wait()
	d.line.stop()
	socketsErr := d.jobs.close()
	d.receivers.close()
	stopWatching()
	incidents.Wait()
	engineErr := engine.Close()
	d.notices.close()
	flushErr := buf.Flush()
	d.lastWord()
	stopSending()
	senders.Wait()
	stopServing()
	others.Wait()
	return errors.Join(schedErr, socketsErr, engineErr, flushErr, buf.Close())
}

// lastWords is how long a stop waits for what was committed last to be stored.
const lastWords = 2 * time.Second

// lastWord lets the sender hand over what was committed last, where there is a line and
// little waits: so the hub knows that the box was stopped, and did not vanish.
func (d *appliance) lastWord() {
	d.mu.Lock()
	s := d.sender
	d.mu.Unlock()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(lastWords); s != nil && s.State().State == uplink.StateConnected && time.Now().Before(until); <-tick.C {
		if st, err := d.buf.Stats(); err != nil || st.Pending.Bytes == 0 {
			return
		}
	}
}

// appliance is what a running daemon is made of.
type appliance struct {
	path    string
	log     *slog.Logger
	name    wire.Site
	clock   *host.Clock
	buf     *buffer.Buffer
	sched   *schedule.Scheduler
	seen    *tracker
	jobs    *jobs
	started time.Time
	engine  *incident.Engine
	wiring  *wiring

	receivers *receivers
	notices   *notices
	line      *lineWatch

	mu     sync.Mutex
	site   *config.Site
	sender *uplink.Sender
}

// schedule puts a site's jobs in the place of those before. On an error these stay.
func (d *appliance) schedule(site *config.Site) error {
	js, err := d.jobs.of(site)
	if err == nil {
		err = d.sched.Replace(js)
	}
	if err != nil {
		return err
	}
	d.jobs.retire()
	d.seen.expect(js)
	if err := d.jobs.beats.Keep(site.Heartbeats.Jobs); err != nil {
		d.log.Warn("which heartbeats are waited for", "error", err)
	}
	d.watch(site)
	return nil
}

// startSender starts a sender; the function it returns asks it to stop.
func (d *appliance) startSender(wg *sync.WaitGroup, cfg uplink.Config) (context.CancelFunc, error) {
	opt := uplink.Options{Site: d.name, Buffer: d.buf, Transport: mqtt.New(mqtt.FromConfig(cfg)), Status: d.status, Log: d.log, Lost: d.line.trigger}
	if f := cfg.Format; f != uplink.FormatBlock {
		codec, err := block.NewCodec()
		if err != nil {
			return nil, err
		}
		if opt.Converter, err = format.New(f, codec, d.buf.Schema, d.buf.Correct); err != nil {
			return nil, err
		}
	}
	s, err := uplink.New(cfg, opt)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.sender = s
	d.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() { _ = s.Run(ctx) }) // it has no error
	return cancel, nil
}

// reload takes over a changed site file: it is read and checked whole before
// anything changes, and on any mistake everything stays as it was.
func (d *appliance) reload(wg *sync.WaitGroup, stopSending context.CancelFunc) context.CancelFunc {
	sdNotify(d.log, daemon.SdNotifyReloading)
	defer sdNotify(d.log, daemon.SdNotifyReady)
	site, err := load(config.Loader{}, d.path)
	if err != nil {
		d.log.Error("the site file has mistakes; the one before stays in force", "error", err)
		return stopSending
	}
	if site.Info.ID != d.site.Info.ID || site.Info.Tenant != d.site.Info.Tenant || !reflect.DeepEqual(site.Buffer, d.site.Buffer) || !reflect.DeepEqual(site.Clock, d.site.Clock) ||
		!reflect.DeepEqual(site.Metrics, d.site.Metrics) || site.Info.Timezone != d.site.Info.Timezone || !reflect.DeepEqual(site.Limits, d.site.Limits) {
		d.log.Error("site.id, site.tenant, site.timezone, clock, buffer, metrics and limits change with a restart only; the site file before stays in force")
		return stopSending
	}
	if err := d.schedule(site); err != nil {
		d.log.Error("the site file cannot be put in force; the one before stays", "error", err)
		return stopSending
	}
	was := d.site.Uplink
	changed := !reflect.DeepEqual(site.Uplink, was)
	d.mu.Lock()
	d.site = site
	d.mu.Unlock()
	d.receivers.apply(d.jobs.withAdopted(site), &d.jobs.kinds)
	d.notices.apply(site)
	if changed {
		stopSending()
		wg.Wait()
		next, err := d.startSender(wg, site.Uplink)
		if err != nil {
			d.log.Error("the uplink cannot be started with the new settings; the ones before stay", "error", err)
			site.Uplink = was
			next, err = d.startSender(wg, was)
		}
		if err != nil {
			d.log.Error("nor with the ones before", "error", err)
			return stopSending
		}
		stopSending = next
	}
	d.line.apply(site)
	d.log.Info("the site file is in force", "devices", len(site.Devices), "checks", len(site.Checks))
	return stopSending
}

// stages are those of the flow whose beats are watched.
var stages = [3]string{"collectors", "buffer", "uplink"}

// watchdog tells systemd that the daemon lives, but only while every stage of the
// flow advances.
func (d *appliance) watchdog(ctx context.Context) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(every / 3)
	defer tick.Stop()
	var last [3]uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := d.beats()
		stuck := ""
		for i, stage := range stages {
			if now[i] == last[i] {
				stuck = stage
			}
		}
		last = now
		if stuck != "" {
			d.log.Error("a stage stands still; the watchdog is not told that all is well", "stage", stuck)
			continue
		}
		sdNotify(d.log, daemon.SdNotifyWatchdog)
	}
}

func (d *appliance) beats() [3]uint64 {
	d.mu.Lock()
	s := d.sender
	d.mu.Unlock()
	out := [3]uint64{d.sched.Beat(), uint64(d.buf.Beat())}
	if s != nil {
		out[2] = uint64(s.Beat())
	}
	return out
}

func sdNotify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Debug("telling systemd", "error", err)
	}
}

// committedLog logs each committed block at debug level, with its cover.
func committedLog(log *slog.Logger) func(*block.Block) {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	return func(b *block.Block) {
		var cover strings.Builder
		for _, c := range b.Cover {
			fmt.Fprintf(&cover, " %s:%d+%d", c.Source, c.First, c.Count)
		}
		log.Debug("committed", "block", b.ID.String(), "epoch", fmt.Sprintf("%016x", b.Epoch), "readings", b.Readings, "cover", cover.String())
	}
}

// dataDir is where everything lies that the box keeps.
func dataDir(site *config.Site) string { return filepath.Dir(site.Buffer.Path) }

// boxClock is the box's clock as the buffer wants it.
type boxClock struct{ *host.Clock }

// Boot turns the kernel's UUID into its 16 octets.
func (c boxClock) Boot() (id [16]byte) {
	b, err := hex.DecodeString(strings.ReplaceAll(c.Clock.Boot(), "-", ""))
	if err == nil && len(b) == 16 {
		copy(id[:], b)
	}
	return id
}
