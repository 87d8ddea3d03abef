package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// A collector that no job has any more is closed, and no other is.
func TestCollectorsThatLeave(t *testing.T) {
	j := newJobs(host.NewClock(host.Config{}), slog.New(slog.DiscardHandler))
	site := func(devices ...string) *config.Site {
		s := &config.Site{
			Scope:       scope.Config{Managed: []string{"127.0.0.0/8"}},
			Credentials: []config.Credential{{Name: "lan", SNMP: &snmp.Auth{Version: "2c", Community: "public"}}},
			Buffer:      buffer.Config{Path: filepath.Join(t.TempDir(), "buffer.db")},
		}
		s.Defaults.Interval, s.Defaults.Timeout = time.Minute, time.Second
		for _, d := range devices {
			s.Devices = append(s.Devices, config.Device{Name: d, Address: "127.0.0.1:1", Credentials: []string{"lan"}})
		}
		return s
	}
	collectorsOf := func(s *config.Site) map[string]collectors.Collector {
		t.Helper()
		js, err := j.of(s)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]collectors.Collector{}
		for _, x := range js {
			out[x.Source] = x.Collector
		}
		return out
	}
	closed := func(c collectors.Collector) bool {
		t.Helper()
		err := c.Collect(t.Context(), func(collectors.Batch) {})
		if err == nil {
			t.Fatal("nobody is there, and answers")
		}
		return err.Error() == "the collector is closed"
	}
	before := collectorsOf(site("a", "b"))
	after := collectorsOf(site("b"))
	if closed(before["device/a"]) {
		t.Error("closed while the scheduler may still have it")
	}
	j.retire()
	j.closing.Wait()
	if !closed(before["device/a"]) || closed(after["device/b"]) || after["device/b"] != before["device/b"] {
		t.Error("one that has left is open, or one that stays was closed or made anew")
	}
	if err := j.close(); err != nil {
		t.Error(err)
	}
}
