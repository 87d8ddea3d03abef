package hub_test

import (
	"path/filepath"
	"testing"

	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// The will was written when the connection began: what came later stays known.
func TestWillDoesNotTurnTheStatusBack(t *testing.T) {
	h, err := hub.Open(hub.Options{Path: filepath.Join(t.TempDir(), "hub.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	site := wire.Site{Tenant: "t", Name: "s"}
	say := func(at string, online bool, answering int) {
		b, err := wire.EncodeStatus(&wire.Status{Site: "t/s", Time: at, Online: online, Devices: wire.Devices{Total: 3, Answering: answering}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Handle([]hub.Message{{Site: site, Kind: wire.State, Payload: b}}); err != nil {
			t.Fatal(err)
		}
	}
	say("2026-01-01T10:00:00Z", true, 0)
	say("2026-01-01T11:00:00Z", true, 3)
	say("2026-01-01T10:00:00Z", false, 0) // the will
	x, err := h.Site(site)
	if err != nil || x.Status == nil || x.Status.Online || x.Status.Devices.Answering != 3 || x.Status.Time != "2026-01-01T11:00:00Z" {
		t.Fatalf("%+v %v", x.Status, err)
	}
	say("2026-01-01T12:00:00Z", false, 2) // a goodbye is newer, and counts whole
	if x, _ = h.Site(site); x.Status.Devices.Answering != 2 {
		t.Fatalf("%+v", x.Status)
	}
}
