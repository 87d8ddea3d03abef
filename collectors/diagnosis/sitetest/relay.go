package sitetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Line is how bad the provider's line is. The zero Line is as good as none.
type Line struct {
	Delay  time.Duration // each way
	Jitter time.Duration // on top, evenly from 0 to this; the order stays
	Loss   float64       // share of packets lost, each way: 0 to 1
	Rate   int           // octets a second each way; 0: no limit. What would wait longer than a second is dropped.
}

// Slow makes the line between gateway and provider a worse one. What is in force last
// counts.
func (s *Site) Slow(l Line) (undo func()) {
	return s.breaks("Slow",
		func() error { return s.changeLine(func() { s.lines = append(s.lines, &l) }) },
		func() error {
			return s.changeLine(func() {
				for i, x := range s.lines {
					if x == &l {
						s.lines = append(s.lines[:i], s.lines[i+1:]...)
						return
					}
				}
			})
		})
}

// changeLine puts the relay in place of the bridge, with the newest line, or the bridge in
// place of the relay.
func (s *Site) changeLine(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	sw := s.ns[nsSwitches]
	if s.relay != nil {
		s.relay.close()
		s.relay = nil
	}
	if len(s.lines) == 0 {
		return sw.ip("link set w-gw master wan", "link set w-isp master wan")
	}
	if err := sw.ip("link set w-gw nomaster", "link set w-isp nomaster"); err != nil {
		return err
	}
	return sw.do(func() (err error) {
		s.relay, err = newRelay("w-gw", "w-isp", *s.lines[len(s.lines)-1])
		return err
	})
}

// relay carries frames between two interfaces, as its line lets it.
type relay struct {
	ports   [2]*os.File
	done    chan struct{}
	working sync.WaitGroup
}

// frame is one on its way, with the header in which the kernel says what is left to do on
// it (checksums, segments): see PACKET_VNET_HDR in packet(7).
type frame struct {
	b   []byte
	due time.Time
}

func newRelay(a, b string, l Line) (*relay, error) {
	r := &relay{done: make(chan struct{})}
	for i, dev := range []string{a, b} {
		f, err := openPort(dev)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("opening the line at %s: %w", dev, err)
		}
		r.ports[i] = f
	}
	for i := range r.ports {
		queue := make(chan frame, 1000)
		r.working.Go(func() { r.read(r.ports[i], queue, l) })
		r.working.Go(func() { r.write(r.ports[1-i], queue) })
	}
	return r, nil
}

func openPort(dev string) (*os.File, error) {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: i.Index}))
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), dev), nil
}

// read decides about what comes in, until the port is closed.
func (r *relay) read(from *os.File, queue chan<- frame, l Line) {
	defer close(queue)
	buf := make([]byte, 1<<17)
	var last, free time.Time // when the one before is due; when the line has sent all
	for {
		n, err := from.Read(buf)
		if errors.Is(err, unix.ENETDOWN) { // the port is down for now; that is told once
			continue
		}
		if err != nil {
			return
		}
		now := time.Now()
		due := now.Add(l.Delay)
		if l.Jitter > 0 {
			due = due.Add(rand.N(l.Jitter))
		}
		if l.Rate > 0 {
			if free.Before(now) {
				free = now
			}
			if free.Sub(now) > time.Second {
				continue
			}
			free = free.Add(time.Duration(n) * time.Second / time.Duration(l.Rate))
			due = due.Add(free.Sub(now))
		}
		if due.Before(last) {
			due = last
		}
		if rand.Float64() < l.Loss {
			continue
		}
		last = due
		select {
		case queue <- frame{append([]byte(nil), buf[:n]...), due}:
		default: // the line's buffer is full
		}
	}
}

// write sends each frame when it is due. One that cannot be sent is lost.
func (r *relay) write(to *os.File, queue <-chan frame) {
	for f := range queue {
		if d := time.Until(f.due); d > 0 {
			timer := time.NewTimer(d)
			select {
			case <-timer.C:
			case <-r.done:
				timer.Stop()
			}
		}
		_, _ = to.Write(f.b)
	}
}

func (r *relay) close() {
	close(r.done)
	for _, f := range r.ports {
		if f != nil {
			_ = f.Close()
		}
	}
	r.working.Wait()
}
