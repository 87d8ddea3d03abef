package uplinktest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The packet types that rules ask for: the upper half of a packet's first byte.
const (
	Connect    = 1
	Connack    = 2
	Publish    = 3
	Puback     = 4
	Subscribe  = 8
	Suback     = 9
	Pingreq    = 12
	Pingresp   = 13
	Disconnect = 14
)

// Packet is one MQTT packet on its way through a [Proxy].
type Packet struct {
	FromClient bool
	Type       byte
	N          int    // the how-many-eth of its type and direction on this connection, from 1
	Raw        []byte // all of it; a rule may change it
}

// Verdict is what a rule says about a packet.
type Verdict int

// The verdicts.
const (
	Pass  Verdict = iota // hand it on
	Drop                 // swallow it
	Cut                  // close both sides before it
	Stall                // neither read nor write in this direction any more, and do not close
)

// Rule decides about a packet. It is called by several goroutines.
type Rule func(*Packet) Verdict

// Proxy is a TCP proxy in front of a broker that knows MQTT's packets. Without a
// rule it hands everything on.
type Proxy struct {
	Upstream string // host and port of the broker

	listener net.Listener
	rule     atomic.Pointer[Rule]
	delay    atomic.Int64 // nanoseconds, each way
	done     chan struct{}
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// NewProxy listens on a loopback port. It is closed with the test.
func NewProxy(t testing.TB, upstream string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Upstream: upstream, listener: l, done: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// URL is the server to dial: mqtt://127.0.0.1:port.
func (p *Proxy) URL() string { return "mqtt://" + p.Addr() }

// Addr returns the proxy's host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetRule sets the rule for packets from now on; nil hands everything on.
func (p *Proxy) SetRule(r Rule) {
	if r == nil {
		p.rule.Store(nil)
		return
	}
	p.rule.Store(&r)
}

// SetDelay delays every packet from now on by d, each way. It is a latency, not a
// throttle.
func (p *Proxy) SetDelay(d time.Duration) { p.delay.Store(int64(d)) }

// CutAll closes all connections as they are.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *Proxy) close() {
	close(p.done)
	p.listener.Close()
	p.CutAll()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", p.Upstream)
		if err != nil {
			client.Close()
			continue
		}
		if !p.add(client, broker) {
			return
		}
		p.wg.Go(func() {
			var both sync.WaitGroup
			both.Go(func() { p.pump(client, broker, true) })
			both.Go(func() { p.pump(broker, client, false) })
			both.Wait()
			p.remove(client, broker)
		})
	}
}

// add notes the connections; false when the proxy is being closed.
func (p *Proxy) add(cs ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		for _, c := range cs {
			c.Close()
		}
		return false
	default:
	}
	for _, c := range cs {
		p.conns[c] = true
	}
	return true
}

func (p *Proxy) remove(cs ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cs {
		delete(p.conns, c)
	}
}

// late is a packet with the time at which it is due.
type late struct {
	raw []byte
	at  time.Time
}

// pump carries one direction until either side closes or a rule cuts.
func (p *Proxy) pump(from, to net.Conn, fromClient bool) {
	defer from.Close()
	defer to.Close()
	line := make(chan late, 1<<14)
	var writer sync.WaitGroup
	defer writer.Wait()
	defer close(line)
	writer.Go(func() {
		failed := false
		for l := range line {
			if d := time.Until(l.at); d > 0 {
				select {
				case <-time.After(d):
				case <-p.done:
				}
			}
			if !failed {
				if _, err := to.Write(l.raw); err != nil {
					failed = true
					from.Close() // ends the reader
				}
			}
		}
	})
	r := bufio.NewReader(from)
	var seen [16]int
	for {
		raw, err := readPacket(r)
		if err != nil {
			return
		}
		pk := &Packet{FromClient: fromClient, Type: raw[0] >> 4, Raw: raw}
		seen[pk.Type]++
		pk.N = seen[pk.Type]
		verdict := Pass
		if rule := p.rule.Load(); rule != nil {
			verdict = (*rule)(pk)
		}
		switch verdict {
		case Pass:
			line <- late{pk.Raw, time.Now().Add(time.Duration(p.delay.Load()))}
		case Cut:
			return
		case Stall:
			p.stall(from)
			return
		}
	}
}

// stall reads no more, until the other direction or the test closes the
// connection, which the reader cannot see.
func (p *Proxy) stall(c net.Conn) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
			if c.SetReadDeadline(time.Time{}) != nil { // closed by this side
				return
			}
		}
	}
}

func readPacket(r *bufio.Reader) ([]byte, error) {
	head := make([]byte, 0, 5)
	size := 0
	for i := 0; ; i++ {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		head = append(head, b)
		if i == 0 {
			continue
		}
		size |= int(b&0x7F) << (7 * (i - 1))
		if b&0x80 == 0 {
			break
		}
		if i == 4 {
			return nil, errors.New("not MQTT")
		}
	}
	raw := append(head, make([]byte, size)...)
	_, err := io.ReadFull(r, raw[len(head):])
	return raw, err
}
