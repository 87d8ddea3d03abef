package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// figures are what is read at the beginning and at the end of the measurement.
type figures struct {
	cpu, hubCPU    float64 // s
	acked, written float64 // readings
	blocks         float64 // octets of the blocks committed
	requests       float64
	device         float64 // octets written to the block device
	database       float64
}

// whole runs probe and hub and prints what a reading costs on its way.
func whole(ctx context.Context, o options, dir string) error {
	d, err := newDisk(ctx, dir)
	if err != nil {
		return err
	}
	defer d.close()
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	site := filepath.Join(dir, "site.yaml")
	if err := writeSite(site, o, dir, d.mount, ports[0], ports[1]); err != nil {
		return err
	}
	hubDir, err := os.MkdirTemp(dir, "hub-")
	if err != nil {
		return err
	}
	h, err := start(ctx, filepath.Join(dir, "hub.log"), filepath.Join(dir, "siteprobe-hub"), "run", "--data", hubDir,
		"--listen", "127.0.0.1:"+ports[0], "--http", "127.0.0.1:"+ports[2], "--log-level", "warn")
	if err != nil {
		return err
	}
	defer h.stop()
	p, err := start(ctx, filepath.Join(dir, "probe.log"), filepath.Join(dir, "siteprobe"), "run", "-c", site)
	if err != nil {
		return err
	}
	defer p.stop()
	read := func() (f figures, err error) { return readFigures(ctx, p, h, d, ports[1]) }
	if err := until(ctx, 20*time.Second, func() bool { _, err := read(); return err == nil }); err != nil {
		return fmt.Errorf("the probe's metrics: %w", err)
	}
	if err := pause(ctx, o.warm+o.commit); err != nil {
		return err
	}
	a, err := afterCommit(ctx, read)
	if err != nil {
		return err
	}
	if err := pause(ctx, max(o.length, 2*o.commit)-o.commit/2); err != nil {
		return err
	}
	b, err := afterCommit(ctx, read)
	if err != nil {
		return err
	}
	rss, peak, err := memory(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	n := b.acked - a.acked
	if n <= 0 {
		return errors.New("nothing was acknowledged")
	}
	const million = 1e6
	fmt.Printf("siteprobe, commit %-4v            %6.2f CPU s per million readings   %5.1f requests per 1,000   (%.0f readings acknowledged; hub and broker: %.2f)\n",
		o.commit, (b.cpu-a.cpu)/n*million, (b.requests-a.requests)/n*1e3, n, (b.hubCPU-a.hubCPU)/n*million)
	// The reference counts ifName and ifAlias as readings, which are labels here.
	polls := n / float64(9*o.ports+3)
	fmt.Printf("  by the reference's count        %6.2f\n", (b.cpu-a.cpu)/(polls*float64(referenceOfPort*o.ports+1))*million)
	fmt.Printf("  block octets per reading        %6.2f\n", (b.blocks-a.blocks)/(b.written-a.written))
	fmt.Printf("  database octets per reading     %6.2f  (file, all that was ever written into it)\n", b.database/b.written)
	if d.loop != "" {
		fmt.Printf("  device octets per reading       %6.2f\n", (b.device-a.device)/(b.written-a.written))
	} else {
		fmt.Printf("  device octets per reading            -  (needs root and a loop device: %v)\n", d.why)
	}
	fmt.Printf("  resident memory                 %6.1f MB, at its highest %.1f MB\n\n", rss/1e6, peak/1e6)
	return nil
}

// afterCommit reads the figures when a commit has just been acknowledged, so that
// between two readings there are whole commits.
func afterCommit(ctx context.Context, read func() (figures, error)) (f figures, err error) {
	before, err := read()
	if err != nil {
		return f, err
	}
	err = until(ctx, 2*time.Minute, func() bool {
		f, err = read()
		return err != nil || f.acked > before.acked
	})
	if err == nil {
		err = pause(ctx, time.Second) // the rest of the commit
	}
	if err != nil {
		return f, err
	}
	return read()
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func readFigures(ctx context.Context, p, h *process, d *disk, metricsPort string) (f figures, err error) {
	b, err := get(ctx, "http://127.0.0.1:"+metricsPort+"/metrics")
	if err != nil {
		return f, err
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch name {
		case "siteprobe_uplink_readings_acked_total":
			f.acked = v
		case "siteprobe_buffer_readings_total":
			f.written = v
		case "siteprobe_buffer_block_bytes_total":
			f.blocks = v
		}
	}
	if f.cpu, err = p.cpuSoFar(); err != nil {
		return f, err
	}
	if f.hubCPU, err = h.cpuSoFar(); err != nil {
		return f, err
	}
	s, err := fleetStats(ctx)
	if err != nil {
		return f, err
	}
	f.requests = s["requests"]
	if fi, err := os.Stat(filepath.Join(d.mount, "buffer.db")); err == nil {
		f.database = float64(fi.Size())
	}
	device, err := d.stat()
	f.device = device.Written
	return f, err
}

func freePorts(n int) (out []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		out = append(out, port)
	}
	return out, nil
}

func writeSite(path string, o options, dir, data, broker, metrics string) error {
	community := filepath.Join(dir, "community")
	if err := os.WriteFile(community, []byte("public"), 0o600); err != nil {
		return err
	}
	hosts, err := os.ReadFile(filepath.Join(dir, "hosts"))
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `site: {id: fleet, tenant: bench}
diagnosis: {heartbeat: 0s}
scope: {managed: [127.0.0.0/8]}
credentials: [{name: lan, snmp: {version: 2c, community: {file: %s}}}]
defaults: {interval: %v, timeout: 2s, retries: 1, credentials: [lan]}
buffer: {path: %s/buffer.db, commit: %v}
uplink: {servers: ["mqtt://127.0.0.1:%s"]}
metrics: {listen: "127.0.0.1:%s"}
devices:
`, community, interval, data, o.commit, broker, metrics)
	for i, host := range strings.Fields(string(hosts)) {
		fmt.Fprintf(&b, "  - {name: sw%03d, address: \"%s:1161\"}\n", i+1, host)
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}
