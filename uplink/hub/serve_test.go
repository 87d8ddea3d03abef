package hub_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// A hub that cannot store must end, so that it is started again with a database
// that is opened anew; it is not a matter of the connection.
func TestServeEndsWhenItCannotStore(t *testing.T) {
	h, err := hub.Open(hub.Options{Path: filepath.Join(t.TempDir(), "hub.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil { // as good as a disk that fails
		t.Fatal(err)
	}
	m := uplinktest.NewMemory()
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(t.Context(), m, "mqtt://memory", "hub") }()
	box, err := m.Dial(t.Context(), "mqtt://memory", uplink.Hello{ClientID: "t/s"})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close(true)
	account := wire.EncodeAccount(&buffer.Account{Probe: "t/s", Lines: []buffer.AccountLine{{Epoch: 1, Source: "x", Next: 1}}})[0]
	again := time.NewTicker(10 * time.Millisecond) // until the hub has subscribed
	defer again.Stop()
	late := time.After(10 * time.Second)
	for {
		box.Publish(uplink.Message{Topic: wire.Site{Tenant: "t", Name: "s"}.Topic(wire.Accounts), Payload: account})
		select {
		case err := <-ended:
			if err == nil {
				t.Fatal("it says that all was well")
			}
			return
		case <-late:
			t.Fatal("it goes on although nothing can be stored")
		case <-again.C:
		}
	}
}
