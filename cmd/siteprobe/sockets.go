package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/siteprobe/siteprobe/collectors/receive"
)

// sockets are what receivers read from: systemd's, or such as are opened here.
type sockets struct {
	given []*os.File         // by systemd, with the names of FileDescriptorName
	open  map[string]*opened // by what for
}

// opened is a socket and at which address it was asked for.
type opened struct {
	listen   string
	conn     *net.UDPConn
	socket   *receive.Socket
	listener *net.TCPListener
}

func newSockets(log *slog.Logger) *sockets {
	s := &sockets{given: activation.Files(true), open: map[string]*opened{}}
	for _, f := range s.given {
		log.Info("a socket from systemd", "name", f.Name())
	}
	return s
}

// at gives what is open for a use and address, after closing what was for another one.
func (s *sockets) at(what, listen string) *opened {
	if o := s.open[what]; o != nil {
		if o.listen == listen {
			return o
		}
		s.release(what)
	}
	o := &opened{listen: listen}
	s.open[what] = o
	return o
}

// datagrams gives the UDP socket for a use.
func (s *sockets) datagrams(what, listen string) (*receive.Socket, error) {
	o := s.at(what, listen)
	if o.socket != nil {
		return o.socket, nil
	}
	conn, err := func() (net.PacketConn, error) {
		if listen != receive.Systemd {
			return net.ListenPacket("udp", listen)
		}
		return find(s.given, what, net.FilePacketConn)
	}()
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(errors.New("the socket is not one of UDP"), conn.Close())
	}
	socket, err := receive.NewSocket(udp)
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	o.conn, o.socket = udp, socket
	return socket, nil
}

// stream gives the TCP socket for a use. Systemd may have handed over none.
func (s *sockets) stream(what, listen string) (*net.TCPListener, error) {
	o := s.at(what, listen)
	if o.listener != nil {
		return o.listener, nil
	}
	l, err := func() (net.Listener, error) {
		if listen != receive.Systemd {
			return net.Listen("tcp", listen)
		}
		return find(s.given, what, net.FileListener)
	}()
	if errors.Is(err, errNotGiven) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(errors.New("the socket is not one of TCP"), l.Close())
	}
	o.listener = tcp
	return tcp, nil
}

var errNotGiven = errors.New("systemd has handed over no socket of that name")

// find makes a connection of systemd's socket of a name and of the kind that open
// takes. It is a copy: systemd's own stays open for the next time.
func find[T any](given []*os.File, name string, open func(*os.File) (T, error)) (c T, err error) {
	for _, f := range given {
		if f.Name() != name {
			continue
		}
		if c, err := open(f); err == nil {
			return c, nil
		}
	}
	return c, fmt.Errorf("%w: %s (it has %s)", errNotGiven, name, strings.Join(names(given), ", "))
}

func names(fs []*os.File) (out []string) {
	for _, f := range fs {
		out = append(out, f.Name())
	}
	return append(out, "no other")
}

// release closes what is open for a use.
func (s *sockets) release(what string) {
	o := s.open[what]
	delete(s.open, what)
	if o != nil && o.conn != nil {
		_ = o.conn.Close() // nobody reads from it any more
	}
	if o != nil && o.listener != nil {
		_ = o.listener.Close() // likewise
	}
}

func (s *sockets) close() {
	for _, what := range slices.Collect(maps.Keys(s.open)) {
		s.release(what)
	}
	for _, f := range s.given {
		_ = f.Close() // it was not written to
	}
}
