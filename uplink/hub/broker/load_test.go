package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/hub/broker"
	"github.com/siteprobe/siteprobe/uplink/mqtt"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
)

// A hub that is slow slows the sites down; nothing that it could take is dropped.
func TestSlowHub(t *testing.T) {
	b, _ := start(t, broker.Config{MaxClients: 20})
	hub := mustDial(t, hubOptions(b), b.HubServer(), "hub")
	const sites, each = 4, 1500
	gate := make(chan struct{})
	all := make(chan struct{})
	n := 0
	if err := hub.Subscribe(t.Context(), []string{"sp/v1/+/+/d/b"}, func(uplink.Message) {
		if n++; n == 1 {
			<-gate
		}
		if n == sites*each {
			close(all)
		}
	}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for s := range sites {
		site := mustDial(t, mqtt.Options{}, "mqtt://"+b.Addr(), fmt.Sprintf("acme/s%d", s))
		wg.Go(func() {
			m := uplink.Message{Topic: fmt.Sprintf("sp/v1/acme/s%d/d/b", s), Payload: make([]byte, 1000)}
			for range each {
				site.Publish(m)
			}
		})
	}
	for b.Stats().Waited == 0 { // until the broker holds them back
		select {
		case <-all:
			t.Fatal("a hub that does not move has got everything")
		case <-t.Context().Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
	close(gate)
	uplinktest.Await(t, all, "all blocks")
	wg.Wait()
	if s := b.Stats(); s.Dropped != 0 || s.Overrun != 0 {
		t.Errorf("%+v", s)
	}
}

// Messages of 4 KB a second from one site through the broker to the hub, by the
// number in flight end to end.
func BenchmarkThrough(b *testing.B) {
	for _, window := range []int{100, 1000} {
		b.Run(fmt.Sprint("window=", window), func(b *testing.B) {
			br, _ := start(b, broker.Config{})
			hub := mustDial(b, hubOptions(br), br.HubServer(), "hub")
			slots := make(chan struct{}, window)
			if err := hub.Subscribe(context.Background(), []string{"sp/v1/+/+/d/l"}, func(uplink.Message) { <-slots }); err != nil {
				b.Fatal(err)
			}
			site := mustDial(b, mqtt.Options{}, "mqtt://"+br.Addr(), "acme/berlin")
			m := uplink.Message{Topic: "sp/v1/acme/berlin/d/l", Payload: make([]byte, 4096)}
			b.ReportAllocs()
			for b.Loop() {
				slots <- struct{}{}
				site.Publish(m)
			}
			for range window {
				slots <- struct{}{}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			if s := br.Stats(); s.Dropped != 0 {
				b.Errorf("%+v", s)
			}
		})
	}
}
