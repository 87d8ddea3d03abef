package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// controlSocket is where the daemon answers the other commands; who may open the
// data folder may ask.
func controlSocket(dir string) string { return filepath.Join(dir, "control.sock") }

// serve answers on the control socket and, where the site file says so, serves
// metrics, until ctx is done. Neither keeps the daemon from its work: what cannot
// be opened is logged.
func (d *appliance) serve(ctx context.Context, site *config.Site) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(d.status()) // the client has gone
	})
	d.serveIncidents(mux)
	mux.HandleFunc("GET /diagnosis", d.line.serve)
	var wg sync.WaitGroup
	defer wg.Wait()
	path := controlSocket(dataDir(site))
	_ = os.Remove(path) // of a daemon that was killed; a live one holds the buffer's lock
	if l, err := net.Listen("unix", path); err != nil {
		d.log.Error("the control socket cannot be opened; siteprobe status will not work", "path", path, "error", err)
	} else {
		_ = os.Chmod(path, 0o660)
		wg.Go(func() { d.listen(ctx, l, mux) })
	}
	if addr := site.Metrics.Listen; addr != "" {
		if l, err := net.Listen("tcp", addr); err != nil {
			d.log.Error("metrics cannot be served", "listen", addr, "error", err)
		} else {
			reg := prometheus.NewRegistry()
			reg.MustRegister(&metrics{d})
			m := http.NewServeMux()
			m.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
			wg.Go(func() { d.listen(ctx, l, m) })
		}
	}
	<-ctx.Done()
}

func (d *appliance) listen(ctx context.Context, l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		d.log.Error("serving", "address", l.Addr().String(), "error", err)
	}
}

// status gathers the state that the command line, the status topic and the hub's
// page show.
func (d *appliance) status() *wire.Status {
	d.mu.Lock()
	sender := d.sender
	d.mu.Unlock()
	_, sure := d.clock.Offset()
	now := time.Now()
	s := &wire.Status{
		Site: d.name.Probe(), Version: version, Time: rfc3339(now), Started: rfc3339(d.started), Online: true,
		Devices: d.seen.devices(), Clock: wire.Clock{Sure: sure}, Incidents: d.openIncidents(), Trouble: []wire.Trouble{},
	}
	s.Devices.Found = int(d.jobs.found.Load())
	s.Verdict = d.line.verdict()
	if sender != nil {
		s.Uplink = sender.State()
	}
	st, err := d.buf.Stats()
	if err != nil && st.Trouble == "" {
		s.Trouble = append(s.Trouble, wire.Trouble{What: "the buffer cannot be read: " + err.Error(), Hint: "see the log; the daemon opens it again by itself"})
	}
	s.Buffer = wire.Buffer{
		PendingReadings: st.Pending.Readings, PendingBytes: st.Pending.Bytes, UsedBytes: st.Used, BudgetBytes: st.Budget, Dropped: st.Dropped,
	}
	if st.Pending.Oldest != 0 {
		t := rfc3339(time.UnixMilli(st.Pending.Oldest))
		s.Buffer.Oldest = &t
	}
	if l := st.Left; l != nil {
		s.Buffer.DaysLeft = &l.Hour
		s.Buffer.Left = &wire.Left{Raw: l.Raw, Quarter: l.Quarter, Hour: l.Hour}
	}
	if st.Trouble != "" {
		s.Trouble = append(s.Trouble, wire.Trouble{What: st.Trouble, Hint: st.Hint})
	}
	var trouble []wire.Trouble
	s.Receivers, trouble = d.receivers.state()
	s.Trouble = append(append(s.Trouble, trouble...), d.notices.state()...)
	if !sure {
		s.Trouble = append(s.Trouble, clockTrouble(d.clock.Doubted()))
	}
	return s
}

func clockTrouble(doubt string) wire.Trouble {
	if doubt != "" {
		return wire.Trouble{What: doubt, Hint: "set the clock right, or correct clock.ntp in the site file; times are corrected then"}
	}
	return wire.Trouble{What: "the clock is not synchronised",
		Hint: "check the NTP server in the network settings, or name one of this site under clock in the site file, where a time set by hand can be made to count too; times are corrected then"}
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// metrics shows the daemon's own state to Prometheus.
type metrics struct{ d *appliance }

// Describe sends nothing: the metrics are made at each scrape.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads the state of each stage.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	put := func(kind prometheus.ValueType, name, help string, v float64, labels ...string) {
		var names, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("siteprobe_"+name, help, names, nil), kind, v, values...)
	}
	count, gauge := prometheus.CounterValue, prometheus.GaugeValue
	put(gauge, "build_info", "A 1 labelled with the version.", 1, "version", version)
	st := m.d.sched.Stats()
	put(gauge, "collectors", "Sources that are collected.", float64(st.Jobs))
	put(gauge, "collectors_running", "Collections that run.", float64(st.Running))
	put(gauge, "collectors_stuck", "Collections that were given up and have not returned.", float64(st.Stuck))
	for result, n := range st.Collections {
		put(count, "collections_total", "Collections by result.", float64(n), "result", resultName(result))
	}
	for why, n := range st.Skipped {
		put(count, "slots_skipped_total", "Due slots that were not collected, by reason.", float64(n), "reason", string(why))
	}
	put(gauge, "collection_lag_seconds", "How long after its slot the latest collection began.", st.Lag.Seconds())
	b, err := m.d.buf.Stats()
	if err == nil {
		put(gauge, "buffer_pending_readings", "Readings that wait for an acknowledgement.", float64(b.Pending.Readings))
		put(gauge, "buffer_pending_bytes", "Bytes of blocks that wait for an acknowledgement.", float64(b.Pending.Bytes))
		put(gauge, "buffer_used_bytes", "Bytes in use in the database.", float64(b.Used))
		put(gauge, "buffer_budget_bytes", "Bytes that the database may take.", float64(b.Budget))
	}
	put(count, "buffer_readings_total", "Readings committed.", float64(b.Written))
	put(count, "buffer_block_bytes_total", "Bytes of the blocks committed.", float64(b.WrittenBytes))
	put(count, "buffer_dropped_readings_total", "Readings dropped for want of room, in the budget or in memory while the disk failed.", float64(b.Dropped))
	put(count, "buffer_commits_total", "Commits.", float64(b.Commits))
	put(gauge, "buffer_trouble", "1 while the buffer cannot write.", oneIf(b.Trouble != ""))
	m.d.mu.Lock()
	s := m.d.sender
	m.d.mu.Unlock()
	if s != nil {
		c := s.Counters()
		put(gauge, "uplink_connected", "1 while there is a session with a server.", oneIf(s.State().State == "connected"))
		put(count, "uplink_sessions_total", "Sessions.", float64(c.Sessions))
		put(count, "uplink_blocks_sent_total", "Blocks sent, repetitions included.", float64(c.BlocksSent))
		put(count, "uplink_blocks_acked_total", "Blocks acknowledged.", float64(c.BlocksAcked))
		put(count, "uplink_readings_acked_total", "Readings acknowledged.", float64(c.ReadingsAcked))
	}
	m.d.receivers.count(func(name, help string, v uint64, labels ...string) { put(count, name, help, float64(v), labels...) })
	_, sure := m.d.clock.Offset()
	put(gauge, "clock_sure", "1 while the clock is synchronised.", oneIf(sure))
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
