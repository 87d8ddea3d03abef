package uplink_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
)

// byServer is a memory broker behind several names, some of which lead nowhere.
type byServer struct {
	*uplinktest.Memory
	mu    sync.Mutex
	down  map[string]bool
	dials []string
}

func (b *byServer) Dial(ctx context.Context, server string, hello uplink.Hello) (uplink.Conn, error) {
	b.mu.Lock()
	b.dials = append(b.dials, server)
	down := b.down[server]
	b.mu.Unlock()
	if down {
		return nil, &uplink.LinkError{Stage: uplink.StageDial, Err: errors.New("connection refused"), Hint: "port closed"}
	}
	return b.Memory.Dial(ctx, server, hello)
}

func (b *byServer) set(server string, down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down[server] = down
}

func (b *byServer) seen() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.dials)
}

func (b *byServer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials = nil
}
