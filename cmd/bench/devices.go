package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors"
)

// recordedDevices has the real probe poll recordings of real devices, whose
// counters move each at a steady rate, and tells what their readings take.
func recordedDevices(ctx context.Context, o options, dir string) error {
	if o.shared == "" {
		fmt.Println("Recorded devices: SITEPROBE_SHARED names no folder; the recordings and what replays them are not here.")
		return nil
	}
	recordings := filepath.Join(o.shared, "snmprec")
	if err := goBuild(ctx, ".", dir, "./cmd/siteprobe"); err != nil {
		return err
	}
	if err := goBuild(ctx, filepath.Join(o.shared, "tools", "snmprec-serve"), filepath.Join(dir, "replay"), "."); err != nil {
		return err
	}
	agent, err := start(ctx, filepath.Join(dir, "replay.log"), filepath.Join(dir, "replay"), "-dir", recordings, "-listen", "127.0.0.1:0", "-live", "-q")
	if err != nil {
		return err
	}
	defer agent.stop()
	var address string
	serving := regexp.MustCompile(`serving \d+ recordings on (\S+)`)
	err = until(ctx, 20*time.Second, func() bool {
		b, _ := os.ReadFile(agent.log.Name()) // it is there: start has made it
		m := serving.FindSubmatch(b)
		if m != nil {
			address = string(m[1])
		}
		return m != nil
	})
	if err != nil {
		return fmt.Errorf("the replay does not answer: %w", err)
	}
	db := filepath.Join(dir, "recorded", "buffer.db")
	site := filepath.Join(dir, "recorded.yaml")
	devices, err := writeRecordedSite(site, recordings, dir, db, address)
	if err != nil {
		return err
	}
	p, err := start(ctx, filepath.Join(dir, "recorded.log"), filepath.Join(dir, "siteprobe"), "run", "-c", site)
	if err != nil {
		return err
	}
	err = pause(ctx, time.Duration(o.polls)*interval+interval/2)
	p.stop()
	if err != nil {
		return err
	}
	return reportRecorded(db, devices, o.polls)
}

// reportRecorded reads what the probe has left.
func reportRecorded(path string, devices, polls int) error {
	cfg := buffer.DefaultConfig()
	cfg.Path = path
	b := &blocks{clock: &siteClock{now: collectors.Stamp(time.Now().UnixMilli() - siteOffset)}}
	var err error
	if b.buf, err = buffer.Open(cfg, buffer.Options{Probe: "bench/recorded", Clock: b.clock, Manual: true}); err != nil {
		return err
	}
	defer b.close()
	fresh, err := b.buf.Stats()
	if err != nil {
		return err
	}
	if _, err := b.maintain(true); err != nil {
		return err
	}
	compacted, err := b.buf.Stats()
	if err != nil {
		return err
	}
	n := float64(fresh.Pending.Readings)
	if n == 0 {
		return fmt.Errorf("no reading was kept")
	}
	fmt.Printf("Recordings of %d real devices with moving counters, polled %d times by the real probe every %v, commit 5 s:\n\n"+
		"  %s readings in %d blocks: %.2f octets per reading fresh, ", devices, polls, interval, thousands(int(n)), fresh.Pending.Blocks, float64(fresh.Pending.Bytes)/n)
	fmt.Printf("%.2f compacted (blocks only; %s octets are pages and schemas)\n\n", float64(compacted.Pending.Bytes)/n, thousands(int(compacted.Used-compacted.Pending.Bytes)))
	return nil
}

// writeRecordedSite writes a site of all recordings but those that are a VLAN's
// part of another, and tells how many that are.
func writeRecordedSite(path, recordings, dir, db, address string) (devices int, err error) {
	files, err := filepath.Glob(filepath.Join(recordings, "*.snmprec"))
	if err != nil {
		return 0, err
	}
	var credentials, list strings.Builder
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".snmprec")
		if strings.Contains(name, "@") {
			continue
		}
		secret := filepath.Join(dir, "community-"+name)
		if err := os.WriteFile(secret, []byte(name), 0o600); err != nil {
			return 0, err
		}
		fmt.Fprintf(&credentials, "  - {name: c%d, snmp: {version: 2c, community: {file: %q}}}\n", devices, secret)
		fmt.Fprintf(&list, "  - {name: %q, address: %q, credentials: [c%d]}\n", name, address, devices)
		devices++
	}
	return devices, os.WriteFile(path, fmt.Appendf(nil, `site: {id: recorded, tenant: bench}
diagnosis: {heartbeat: 0s}
scope: {managed: [127.0.0.0/8]}
credentials:
%sdefaults: {interval: %v, timeout: 3s, retries: 1}
buffer: {path: %q, commit: 5s}
devices:
%s`, credentials.String(), interval, db, list.String()), 0o600)
}
