package discovery

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// reply is what came back of an engine probe.
type reply struct {
	engine  string // in hexadecimal; empty: no answer of use
	refused bool   // the host says that nothing listens at the port
}

// engineProbe asks for the SNMPv3 engine of one address with one datagram, in which
// there is no secret.
func engineProbe(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), to netip.AddrPort, patience time.Duration) (r reply, err error) {
	conn, err := dial(ctx, "udp", to.String())
	if err != nil {
		return r, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return r, err
	}
	id := rand.Int32()
	if _, err := conn.Write(pdu.AppendEngineProbe(nil, id)); err != nil {
		return r, nil // as unanswered
	}
	buf := make([]byte, 2048)
	for range 4 { // it is another's answer at most a few times
		n, err := conn.Read(buf)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return reply{refused: true}, nil
		}
		if err != nil {
			return r, ctx.Err()
		}
		if got, engine, err := pdu.ReadEngine(buf[:n]); err == nil && got == id {
			return reply{engine: hex.EncodeToString(engine)}, nil
		}
	}
	return r, nil
}

// engines probes each address, each when wait lets it.
func (l *lan) engines(ctx context.Context, to []netip.Addr, wait func(context.Context) error) (map[netip.Addr]reply, error) {
	var mu sync.Mutex
	out := map[netip.Addr]reply{}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, a := range to {
		if err := wait(ctx); err != nil {
			return nil, err
		}
		wg.Go(func() {
			r, err := engineProbe(ctx, l.scope.DialContext, netip.AddrPortFrom(a, l.port), probePatience)
			if err != nil {
				return // outside the contract, or the sweep stops
			}
			mu.Lock()
			defer mu.Unlock()
			out[a] = r
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

const (
	pingPatience  = time.Second
	probePatience = 2 * time.Second
)

func (l *lan) at(a netip.Addr) string {
	return net.JoinHostPort(a.String(), strconv.Itoa(int(l.port)))
}
