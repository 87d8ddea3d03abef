package snmptest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what an agent serves.
type Config struct {
	MIB       *MIB    // nil: an empty one
	Community string  // empty: "public"; another is not answered, as by a real agent
	Manners   Manners // the zero value: good ones
}

// Manners are the ways in which an agent misbehaves. The zero value behaves.
type Manners struct {
	MaxMessage     int           // octets of the longest answer; GetBulk is cut to fit. 0: 65000
	TooBig         int           // tooBig without variables where an answer, GetBulk's too, would be longer than this
	NoBulk         bool          // GetBulk is answered with genErr
	GenErrAt       string        // a Get or GetNext that reaches this variable is answered with genErr
	MaxRepetitions int           // no more GetBulk repetitions than this, whatever is asked
	LoopAt         string        // what follows this variable is this variable again
	DropEvery      int           // each n-th request is not answered
	WrongRequestID bool          // the answer bears the number of another request
	Truncate       int           // so many octets are cut off the end of each answer
	ReplyFrom      netip.Addr    // answers come from this other address of the machine
	Delay          time.Duration // each answer comes this much later; with MaxRepetitions: 1 a device that drips
	// Rewrite gives the octets that are sent in place of the right answer. An
	// empty result is no answer.
	Rewrite func(request, answer []byte) []byte
}

// An Agent serves a [MIB] on one UDP socket.
type Agent struct {
	conn      *net.UDPConn
	community string
	mib       *MIB
	requests  atomic.Uint64
	bulks     atomic.Uint64
	manners   atomic.Pointer[Manners]

	done    chan struct{}
	working sync.WaitGroup

	mu    sync.Mutex
	other *net.UDPConn // what ReplyFrom answers from
}

// Listen serves on a UDP address, or on 127.0.0.1 and a free port where it is
// empty. Close ends it.
func Listen(address string, c Config) (*Agent, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, fmt.Errorf("agent's address: %w", err)
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		return nil, fmt.Errorf("serving the agent: %w", err)
	}
	if c.Community == "" {
		c.Community = "public"
	}
	if c.MIB == nil {
		c.MIB = &MIB{}
	}
	a := &Agent{conn: conn, community: c.Community, mib: c.MIB, done: make(chan struct{})}
	a.manners.Store(&c.Manners)
	a.working.Go(a.serve)
	return a, nil
}

// Addr is where the agent listens.
func (a *Agent) Addr() netip.AddrPort {
	at := a.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// MIB is what the agent serves.
func (a *Agent) MIB() *MIB { return a.mib }

// SetManners changes how the agent behaves from the next request on.
func (a *Agent) SetManners(m Manners) { a.manners.Store(&m) }

// Requests counts what has been asked, answered or not; bulk how many of them
// were GetBulk.
func (a *Agent) Requests() (all, bulk uint64) { return a.requests.Load(), a.bulks.Load() }

// Close stops the agent and waits for its goroutines. Answers that are delayed
// are dropped.
func (a *Agent) Close() error {
	select {
	case <-a.done:
		return nil
	default:
	}
	close(a.done)
	err := a.conn.Close()
	a.mu.Lock()
	if a.other != nil {
		err = errors.Join(err, a.other.Close())
	}
	a.mu.Unlock()
	a.working.Wait()
	return err
}

func (a *Agent) serve() {
	buf := make([]byte, 65535)
	var w worker
	for {
		n, from, err := a.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			select {
			case <-a.done:
				return
			default:
				continue // what an earlier answer met: an asker that has gone
			}
		}
		m := a.manners.Load()
		number := a.requests.Add(1)
		if m.DropEvery > 0 && number%uint64(m.DropEvery) == 0 {
			continue
		}
		out := w.answer(buf[:n], a, m)
		if m.Rewrite != nil && out != nil {
			out = m.Rewrite(buf[:n], out)
		}
		if m.Truncate > 0 && m.Truncate < len(out) {
			out = out[:len(out)-m.Truncate]
		}
		if len(out) == 0 {
			continue
		}
		if m.Delay <= 0 {
			a.send(out, from, m)
			continue
		}
		later := append([]byte(nil), out...)
		a.working.Go(func() {
			t := time.NewTimer(m.Delay)
			defer t.Stop()
			select {
			case <-t.C:
				a.send(later, from, m)
			case <-a.done:
			}
		})
	}
}

// send answers. An answer that cannot be sent is a lost one, as on any network.
func (a *Agent) send(out []byte, to netip.AddrPort, m *Manners) {
	conn := a.conn
	if m.ReplyFrom.IsValid() {
		if conn = a.from(m.ReplyFrom); conn == nil {
			return
		}
	}
	_, _ = conn.WriteToUDPAddrPort(out, to)
}

func (a *Agent) from(addr netip.Addr) *net.UDPConn {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.other == nil {
		at := netip.AddrPortFrom(addr, a.Addr().Port())
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return nil
		}
		a.other = conn
	}
	return a.other
}
