package snmp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Sockets are the UDP sockets that SNMPv2c is spoken through: one for IPv4 and one
// for IPv6, however many devices there are. Who is asked is in no socket but in
// each request, and an answer counts only where it comes from the address that was
// asked, or from one within the scope where the device is known to answer from
// another, and bears the request's number, which is random.
//
// A socket is opened when the first device needs it. Only while a poll runs is
// there a goroutine that receives. Sockets may be used concurrently.
type Sockets struct {
	mu     sync.Mutex
	v4, v6 *socket
	closed bool
}

// NewSockets opens nothing yet. The caller must Close the Sockets after all
// collectors that were made with them.
func NewSockets() *Sockets { return &Sockets{} }

// WithSockets has the collector ask through sockets that it shares with others.
// Without it, it has its own.
func WithSockets(s *Sockets) Option { return func(c *Collector) { c.sockets = s } }

// SocketStats counts datagrams since the Sockets were made.
type SocketStats struct {
	Answers   uint64 // to a request that waited for one
	Late      uint64 // to none that waits: late, twice, or with a wrong number
	Garbled   uint64 // in which not even a number can be found
	Strangers uint64 // to a request that waits, from an address that was not asked
}

// Stats are the counts so far.
func (s *Sockets) Stats() (sum SocketStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range []*socket{s.v4, s.v6} {
		if k != nil {
			n := k.counts()
			sum.Answers += n.Answers
			sum.Late += n.Late
			sum.Garbled += n.Garbled
			sum.Strangers += n.Strangers
		}
	}
	return sum
}

// Close closes the sockets and waits for the goroutines. Requests that wait fail.
func (s *Sockets) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, k := range []*socket{s.v4, s.v6} {
		if k != nil {
			errs = append(errs, k.close())
		}
	}
	return errors.Join(errs...)
}

// of gives the socket that an address is asked through.
func (s *Sockets) of(a netip.Addr) (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrSend
	}
	family, network := &s.v4, "udp4"
	if a.Is6() {
		family, network = &s.v6, "udp6"
	}
	if k := *family; k != nil && k.works() {
		return k, nil
	}
	k, err := openSocket(network)
	if err != nil {
		return nil, err
	}
	if old := *family; old != nil {
		k.stats = old.counts()
	}
	*family = k
	return k, nil
}

// receiveBuffer is what the kernel is asked to keep of answers that nobody has
// read yet: those of some hundred requests. It gives no more than
// net.core.rmem_max.
const receiveBuffer = 4 << 20

func openSocket(network string) (*socket, error) {
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, errNoSocket
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		err = askForErrors(raw, network == "udp6")
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("opening a socket that hears of closed ports: %w", errNoSocket)
	}
	_ = conn.SetReadBuffer(receiveBuffer) // a smaller one loses more when many answer at once, and that is all
	return &socket{conn: conn, raw: raw, network: network, waiting: map[int32]*exchange{}}, nil
}
