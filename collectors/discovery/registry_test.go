package discovery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	r := OpenRegistry(dir)
	if b, err := r.Read(); err != nil || len(b.Devices) > 0 {
		t.Fatalf("of nothing: %+v %v", b, err)
	}
	was := r.Stamp()
	err := r.Update(t.Context(), func(b *Book) error {
		b.Devices = append(b.Devices, Device{ID: "1", State: Candidate, Address: a1, Facts: Facts{SysName: "x\x1b[2J", Modules: make([]Module, 500)}},
			Device{ID: "1", Address: a2}, Device{ID: "bad id", Address: a2}, Device{ID: "3"}, Device{ID: "4", State: Adopted, Address: a2})
		b.tell(t0, collectors.Event{Kind: "device_new", Text: "x"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Stamp() == was {
		t.Error("the stamp is the same")
	}
	b, err := r.Read()
	if err != nil || len(b.Devices) != 1 || b.Devices[0].SysName != "x?[2J" || len(b.Devices[0].Modules) != MaxModules || len(b.Untold) != 1 {
		t.Fatalf("%+v %v", b, err)
	}
	failed := errors.New("no")
	if err := r.Update(t.Context(), func(b *Book) error { b.Devices = nil; return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if b, _ := r.Read(); len(b.Devices) != 1 {
		t.Error("a change that failed was kept")
	}
	info, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestRegistryDamaged(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"version":7}`, `{"version":1,"devices":[{"id":5}]}`, strings.Repeat("x", maxFile+1)} {
		dir := t.TempDir()
		path := filepath.Join(dir, FileName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := OpenRegistry(dir)
		if _, err := r.Read(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%.20q is read: %v", text, err)
		}
		if err := r.Update(t.Context(), func(*Book) error { return nil }); err != nil {
			t.Errorf("%.20q: %v", text, err)
		}
		b, err := r.Read()
		if err != nil || len(b.Untold) != 1 || b.Untold[0].Kind != "discovery_damaged" {
			t.Errorf("%.20q: %+v %v", text, b, err)
		}
		if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != text {
			t.Errorf("%.20q is not kept: %v", text, err)
		}
	}
}

// TestRegistryShared: what several change at once is all there.
func TestRegistryShared(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			r := OpenRegistry(dir)
			for range 5 {
				err := r.Update(t.Context(), func(b *Book) error {
					b.failed(string(rune('a'+n)), t0)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b, err := OpenRegistry(dir).Read()
	if err != nil || len(b.Tries) != 8 {
		t.Fatalf("%+v %v", b.Tries, err)
	}
	for k, try := range b.Tries {
		if try.Failed != 5 {
			t.Errorf("%s: %+v", k, try)
		}
	}
}

func TestRegistryLocked(t *testing.T) {
	dir := t.TempDir()
	r := OpenRegistry(dir)
	unlock, err := lock(t.Context(), r.path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Update(ctx, func(*Book) error { t.Error("changed under another's lock"); return nil }); err == nil || !strings.Contains(err.Error(), "another siteprobe") {
		t.Errorf("%v", err)
	}
	unlock()
	if err := r.Update(t.Context(), func(*Book) error { return nil }); err != nil {
		t.Error(err)
	}
}

// TestRegistryFollowsNoLink: root works in a folder that is the daemon's.
func TestRegistryFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := OpenRegistry(dir)
	if err := os.Symlink(precious, r.path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := r.Update(t.Context(), func(*Book) error { return nil }); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(precious); string(text) != "precious" {
		t.Errorf("it is %q now", text)
	}
	if err := os.Remove(r.path + ".lock"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, r.path+".lock"); err != nil {
		t.Fatal(err)
	}
	if err := r.Update(t.Context(), func(*Book) error { return nil }); err == nil {
		t.Error("a lock that is a link was taken")
	}
}

func TestRegistryWatch(t *testing.T) {
	r := OpenRegistry(t.TempDir())
	tick, changed := make(chan time.Time), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Watch(ctx, tick, changed) })
	tick <- t0
	if err := r.Update(t.Context(), func(*Book) error { return nil }); err != nil {
		t.Fatal(err)
	}
	tick <- t0
	<-changed
	tick <- t0
	cancel()
	wg.Wait()
}

func TestTries(t *testing.T) {
	var b Book
	for range 2 {
		b.failed("x", t0)
	}
	if n := b.left("x", 3, t0); n != 1 {
		t.Errorf("%d left", n)
	}
	if n := b.left("x", 3, t0.Add(24*time.Hour)); n != 3 {
		t.Errorf("%d left on the next day", n)
	}
	b.failed("x", t0.Add(24*time.Hour))
	if try := b.Tries["x"]; try.Failed != 1 || try.Next != 3 {
		t.Errorf("%+v", try)
	}
	b.Tries["bad"] = Try{Day: "yesterday"}
	b.tidy()
	if len(b.Tries) != 1 {
		t.Errorf("%+v", b.Tries)
	}
}

// FuzzRegistry: whatever the file holds, what is read of it keeps to the bounds, and
// merging does not fall over it.
func FuzzRegistry(f *testing.F) {
	f.Add([]byte(`{"version":1,"devices":[{"id":"1","state":"adopted","name":"x","address":"192.168.10.1","serial":"FOC1234X"},{"id":"2","state":"?","address":"::1"}],"sweep":{"sightings":[{"address":"10.0.0.1","snmp":true}]},"tries":{"x":{"day":"2026-03-01","failed":2}},"untold":[{"Kind":"x"}]}`))
	f.Add([]byte(`{"version":1,"devices":[{"id":"1","address":"","modules":[{}],"others":["10.0.0.1"]}]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		r := OpenRegistry(dir)
		if err := os.WriteFile(r.path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := r.Read()
		if err != nil {
			return
		}
		for _, d := range b.Devices {
			if len(d.Modules) > MaxModules || len(d.SysName) > collectors.MaxText || d.Polled() && !validName.MatchString(d.Name) {
				t.Errorf("%+v", d)
			}
		}
		for _, e := range b.Untold {
			if batch := batchOf(e); batch.Validate() != nil {
				t.Errorf("%+v: %v", e, batch.Validate())
			}
		}
		Merge(b.Devices, Seen{Sightings: []Sighting{sight(a1, Facts{Serial: "FOC1234X"})}}, t0)
	})
}
