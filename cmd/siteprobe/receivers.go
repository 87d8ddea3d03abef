package main

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors/heartbeat"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/receive"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/syslog"
	"github.com/siteprobe/siteprobe/collectors/trap"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// receivers are those of traps and syslog that a site file asks for. Where only who may
// send and what things are called changes, they go on. Their sockets stay open while the
// one takes another's place, so that a reload loses nothing.
type receivers struct {
	dir   string
	clock *host.Clock
	buf   *buffer.Buffer
	log   *slog.Logger

	sockets *sockets
	engine  *trap.Engine    // once traps were asked for
	book    *heartbeat.Book // of the jobs that report by themselves
	running sync.WaitGroup

	mu      sync.Mutex
	made    receiving
	stop    context.CancelFunc // of those that run; nil: none do
	traps   *trap.Receiver
	syslog  *syslog.Receiver
	beats   *heartbeat.Server
	trouble []wire.Trouble
}

// receiving is all that receivers are made of.
type receiving struct {
	settings // where they stay the same, so do the receivers
	scope    scope.Config
	names    map[netip.Addr]string
	kinds    int // how often the profiles have changed
}

type settings struct {
	traps  trap.Config
	syslog syslog.Config
	beats  heartbeat.Config
}

func newReceivers(dir string, clock *host.Clock, buf *buffer.Buffer, log *slog.Logger) *receivers {
	return &receivers{dir: dir, clock: clock, buf: buf, log: log, sockets: newSockets(log)}
}

// apply starts what the site file asks for in place of what ran before. A port that
// cannot be had keeps nothing else from its work.
func (r *receivers) apply(site *config.Site, k *kinds) {
	r.mu.Lock()
	well := r.stop != nil && len(r.trouble) == 0
	r.mu.Unlock()
	want := receiving{settings{site.TrapSettings(), site.Syslog, site.Heartbeats}, site.Scope, addressesOf(site), k.count}
	if well && reflect.DeepEqual(want, r.made) {
		return
	}
	contract, err := scope.New(site.Scope, nil)
	if err != nil { // the site file was checked
		r.stopAll()
		r.fail("traps and syslog", err)
		return
	}
	from, words := &senders{contract, want.names}, trap.NamesWith(k.words)
	if well && reflect.DeepEqual(want.settings, r.made.settings) {
		r.update(want, from, words)
		return
	}
	r.stopAll()
	ctx, stop := context.WithCancel(context.Background())
	var traps *trap.Receiver
	var logs *syslog.Receiver
	r.mu.Lock()
	r.trouble = nil
	r.mu.Unlock()
	if want.traps.Listen != "" {
		if traps, err = r.startTraps(ctx, want.traps, from, words); err != nil {
			r.fail("traps", err)
		}
	} else {
		r.sockets.release("traps")
	}
	if want.syslog.Listen != "" {
		if logs, err = r.startSyslog(ctx, want.syslog, from); err != nil {
			r.fail("syslog", err)
		}
	} else {
		r.sockets.release("syslog")
	}
	beats, err := r.startHeartbeats(ctx, want.beats, from)
	if err != nil {
		r.fail("heartbeats", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made, r.stop, r.traps, r.syslog, r.beats = want, stop, traps, logs, beats
}

// update lets what runs go on with other senders and names: windows, bursts, counts and
// the informs that were taken stay.
func (r *receivers) update(want receiving, from receive.Sources, words trap.Names) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = want
	if r.traps != nil {
		r.traps.Update(from, words)
	}
	if r.syslog != nil {
		r.syslog.Update(from)
	}
	if r.beats != nil {
		r.beats.Update(from)
	}
}

func (r *receivers) startTraps(ctx context.Context, cfg trap.Config, from receive.Sources, names trap.Names) (*trap.Receiver, error) {
	s, err := r.sockets.datagrams("traps", cfg.Listen)
	if err != nil {
		return nil, err
	}
	if r.engine == nil {
		r.engine = trap.OpenEngine(r.dir, r.clock.Now, r.log)
	}
	t, err := trap.New(cfg, trap.Options{Socket: s, Engine: r.engine, Sources: from, Buffer: r.buf, Clock: r.clock, Names: names, Log: r.log})
	if err != nil {
		return nil, err
	}
	r.run("traps", cfg.Listen, func() error { return t.Run(ctx) })
	return t, nil
}

func (r *receivers) startSyslog(ctx context.Context, cfg syslog.Config, from receive.Sources) (*syslog.Receiver, error) {
	opt := syslog.Options{Sources: from, Buffer: r.buf, Clock: r.clock, Log: r.log}
	var err error
	if opt.Socket, err = r.sockets.datagrams("syslog", cfg.Listen); err != nil {
		return nil, err
	}
	if opt.Listener, err = r.sockets.stream("syslog", cfg.Listen); err != nil {
		return nil, err
	}
	s, err := syslog.New(cfg, opt)
	if err != nil {
		return nil, err
	}
	r.run("syslog", cfg.Listen, func() error { return s.Run(ctx) })
	return s, nil
}

// startHeartbeats opens the URL that jobs call. Unlike the sockets of the others its
// listener closes with it: a job calls again.
func (r *receivers) startHeartbeats(ctx context.Context, cfg heartbeat.Config, from receive.Sources) (*heartbeat.Server, error) {
	if cfg.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	s := heartbeat.NewServer(cfg, heartbeat.Options{Listener: l, Sources: from, Book: r.book, Clock: r.clock, Log: r.log})
	r.run("heartbeats", cfg.Listen, func() error { return s.Run(ctx) })
	return s, nil
}

func (r *receivers) run(what, listen string, run func() error) {
	r.log.Info("receiving", "what", what, "listen", listen)
	r.running.Go(func() {
		if err := run(); err != nil {
			r.fail(what, err)
		}
	})
}

// fail makes a receiver that cannot work known.
func (r *receivers) fail(what string, err error) {
	r.log.Error("it is not received", "what", what, "error", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = append(r.trouble, wire.Trouble{What: what + ": not received: " + err.Error(),
		Hint: "is the port taken by another program, or the socket unit not enabled? Then systemctl reload siteprobe"})
}

// stopAll stops what runs; what was received is in the buffer when it returns.
func (r *receivers) stopAll() {
	if r.stop != nil {
		r.stop()
	}
	r.running.Wait()
}

// close stops everything.
func (r *receivers) close() {
	r.stopAll()
	r.sockets.close()
}

// state is what the status shows, and what is wrong.
func (r *receivers) state() (out []wire.Receiver, trouble []wire.Trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add := func(name, listen string, s receive.Stats) {
		x := wire.Receiver{Name: name, Listen: listen, Messages: s.Messages, Events: s.Events}
		for _, n := range s.Dropped {
			x.Dropped += n
		}
		out = append(out, x)
	}
	if r.traps != nil {
		add("traps", r.made.traps.Listen, r.traps.Stats().Stats)
	}
	if r.syslog != nil {
		add("syslog", r.made.syslog.Listen, r.syslog.Stats().Stats)
	}
	if r.beats != nil {
		n := r.beats.Stats()
		x := wire.Receiver{Name: "heartbeats", Listen: r.made.beats.Listen, Messages: n.Reports}
		for _, refused := range n.Refused {
			x.Messages += refused
			x.Dropped += refused
		}
		out = append(out, x)
	}
	return out, slices.Clone(r.trouble)
}

// count gives the counters of siteprobe_trap_* and siteprobe_syslog_* to put.
func (r *receivers) count(put func(name, help string, v uint64, labels ...string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	each := func(name string, s receive.Stats) {
		put(name+"_messages_total", "Messages that came.", s.Messages)
		put(name+"_events_total", "Events committed.", s.Events)
		put(name+"_repeated_total", "Messages that were counted into the event of others like them.", s.Repeated)
		for why, n := range s.Dropped {
			put(name+"_dropped_total", "Messages that were not taken, by reason.", n, "reason", why)
		}
	}
	if r.traps != nil {
		s := r.traps.Stats()
		each("trap", s.Stats)
		put("trap_traps_total", "Traps that were believed.", s.Traps)
		put("trap_informs_total", "Informs that were believed; one that came again counts once.", s.Informs)
		put("trap_answers_total", "Answers to informs.", s.Answered)
		for why, n := range s.Refused {
			put("trap_refused_total", "Notifications that were not believed, by reason.", n, "reason", why)
		}
	}
	if r.beats != nil {
		s := r.beats.Stats()
		put("heartbeat_reports_total", "Reports of jobs that were taken.", s.Reports)
		for why, n := range s.Refused {
			put("heartbeat_refused_total", "Calls that were not taken, by reason.", n, "reason", why)
		}
	}
	if r.syslog != nil {
		s := r.syslog.Stats()
		each("syslog", s.Stats)
		for severity, n := range s.Severities {
			put("syslog_read_total", "Messages that were read, by severity.", n, "severity", severity)
		}
	}
}

// senders says who may send: the contract's managed addresses.
type senders struct {
	contract *scope.Dialer
	names    map[netip.Addr]string
}

func (s *senders) Sender(a netip.Addr) (device string, managed bool) {
	return s.names[a], s.contract.Managed(a)
}

// addressesOf gives the devices by their addresses. An address of several is nobody's;
// a device whose address is a name is not known by it.
func addressesOf(site *config.Site) map[netip.Addr]string {
	out, twice := map[netip.Addr]string{}, map[netip.Addr]bool{}
	for _, d := range site.Devices {
		a, err := netip.ParseAddr(d.Host())
		if err != nil {
			continue
		}
		a = a.Unmap()
		_, there := out[a]
		twice[a] = twice[a] || there
		out[a] = d.Name
	}
	maps.DeleteFunc(out, func(a netip.Addr, _ string) bool { return twice[a] })
	return out
}
