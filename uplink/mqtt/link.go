package mqtt

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of a link.
const (
	maxPacket   = 1 << 20   // an incoming packet: far over a message, so that one too long can be acknowledged and dropped
	fullQueue   = 128 << 10 // bytes waiting to be written from which on Publish waits
	maxQueue    = 4 << 20   // the same with acknowledgements, which do not wait
	writeChunk  = 16 << 10  // what must be written within the write timeout
	goodbyeWait = time.Second
)

// Packet types, as the upper half of a packet's first byte.
const (
	typeConnack    = 2
	typeSuback     = 9
	typeDisconnect = 14
)

var errPacket = errors.New("malformed packet")

// link is the net.Conn that paho reads and writes.
//
// Write queues and returns. A goroutine writes the queue, each chunk with a
// deadline of its own, so that a slow line is told from a dead one. Read hands
// paho whole packets that it can stomach. Whatever goes wrong first is the cause.
type link struct {
	raw     net.Conn // the TCP connection
	conn    net.Conn // what speaks MQTT: raw, TLS or a WebSocket
	timeout time.Duration
	in      *bufio.Reader

	mu      sync.Mutex
	changed sync.Cond // the queue has become shorter, or the link has ended
	queue   []byte
	writing int   // bytes taken from the queue and not written yet
	cause   error // why the link has ended

	kick    chan struct{} // capacity 1: the queue is not empty
	dead    chan struct{} // closed when cause is set
	readEnd chan struct{} // closed when Read has met the end
	endOnce sync.Once
	writer  sync.WaitGroup
	closing atomic.Bool // paho has called Close

	head    []byte       // what Read still has to hand over: the packet's head,
	body    int          // and this many bytes of its body
	headBuf [5]byte      // holds head
	connack atomic.Int32 // the CONNACK's code; -1 before it
	subacks atomic.Int32 // how many codes the next SUBACK must have
}

func newLink(raw, conn net.Conn, timeout time.Duration) *link {
	l := &link{
		raw: raw, conn: conn, timeout: timeout, in: bufio.NewReaderSize(conn, 16<<10),
		kick: make(chan struct{}, 1), dead: make(chan struct{}), readEnd: make(chan struct{}),
	}
	l.changed.L = &l.mu
	l.connack.Store(-1)
	l.writer.Go(l.writeQueue)
	return l
}

// fail ends the link for the reason err, unless it has ended.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return
	}
	l.cause = err
	close(l.dead)
	l.changed.Broadcast()
	l.raw.Close() // not conn: TLS would write a goodbye first
}

// reason returns why the link has ended, nil while it has not.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// waitRoom waits until the queue is short; false means that the link has ended.
func (l *link) waitRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.cause == nil && len(l.queue)+l.writing >= fullQueue {
		l.changed.Wait()
	}
	return l.cause == nil
}

// Write queues one packet. It waits only with a DISCONNECT: until all is written
// and the broker has closed the connection, which proves that it has read the
// goodbye and keeps the will to itself.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return 0, errEnded
	}
	if len(p) == 0 {
		return 0, nil
	}
	l.queue = append(l.queue, p...)
	select {
	case l.kick <- struct{}{}:
	default:
	}
	if len(l.queue)+l.writing > maxQueue { // only acknowledgements come this far
		l.mu.Unlock()
		l.fail(errNotReading)
		l.mu.Lock()
		return 0, errEnded
	}
	if p[0]>>4 != typeDisconnect {
		return len(p), nil
	}
	for l.cause == nil && len(l.queue)+l.writing > 0 {
		l.changed.Wait()
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	t := time.NewTimer(goodbyeWait)
	defer t.Stop()
	select {
	case <-l.readEnd:
	case <-l.dead:
	case <-t.C:
	}
	return len(p), nil
}

// writeQueue writes what Write has queued, until the link ends.
func (l *link) writeQueue() {
	var buf []byte
	for {
		select {
		case <-l.kick:
		case <-l.dead:
			return
		}
		for {
			l.mu.Lock()
			buf, l.queue = l.queue, buf[:0]
			l.writing = len(buf)
			l.mu.Unlock()
			if len(buf) == 0 {
				break
			}
			if err := l.writeAll(buf); err != nil {
				l.writeFailed(err)
				return
			}
			if cap(buf) > 2*fullQueue {
				buf = nil // a burst of acknowledgements is no reason to keep its memory
			}
		}
	}
}

func (l *link) writeAll(buf []byte) error {
	for len(buf) > 0 {
		n := min(len(buf), writeChunk)
		if err := l.conn.SetWriteDeadline(time.Now().Add(l.timeout)); err != nil {
			return err
		}
		if _, err := l.conn.Write(buf[:n]); err != nil {
			return err
		}
		buf = buf[n:]
		l.mu.Lock()
		l.writing = len(buf)
		l.changed.Broadcast()
		l.mu.Unlock()
	}
	return nil
}

// writeFailed ends the link. When the peer has closed it, the reader is about to
// find out why, for instance by a TLS alert: that is the better reason.
func (l *link) writeFailed(err error) {
	switch {
	case l.closing.Load():
		<-l.dead // whoever has closed it says why
	case isTimeout(err):
		l.fail(fmt.Errorf("%w: %w", errNotReading, err))
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		t := time.NewTimer(200 * time.Millisecond)
		defer t.Stop()
		select {
		case <-l.dead:
		case <-t.C:
			l.fail(err)
		}
	default:
		l.fail(err)
	}
}

// Read hands over what has come in. Its error is always errEnded: paho takes some
// of the errors of package net for a wish of its own and then tells nobody.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.read(p)
	if err == nil {
		return n, nil
	}
	if !l.closing.Load() {
		l.fail(err)
	}
	l.endOnce.Do(func() { close(l.readEnd) })
	return n, errEnded
}

func (l *link) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(l.head) == 0 && l.body == 0 {
		if err := l.nextPacket(); err != nil {
			return 0, err
		}
	}
	if len(l.head) > 0 {
		n := copy(p, l.head)
		l.head = l.head[n:]
		return n, nil
	}
	n, err := l.in.Read(p[:min(len(p), l.body)])
	l.body -= n
	return n, err
}

// nextPacket reads the head of the next packet and refuses what would hurt paho.
func (l *link) nextPacket() error {
	head := l.headBuf[:0]
	size := 0
	for i := 0; ; i++ {
		b, err := l.in.ReadByte()
		if err != nil {
			return err
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
			return fmt.Errorf("%w: length", errPacket)
		}
	}
	if size > maxPacket {
		return fmt.Errorf("%w: %d bytes (at most %d)", errPacket, size, maxPacket)
	}
	kind := head[0] >> 4
	if l.connack.Load() < 0 && kind != typeConnack {
		return fmt.Errorf("%w: no CONNACK", errPacket)
	}
	switch kind {
	case typeConnack:
		if size != 2 {
			return fmt.Errorf("%w: CONNACK of %d bytes", errPacket, size)
		}
		b, err := l.in.Peek(2)
		if err != nil {
			return err
		}
		l.connack.Store(int32(b[1]))
		if b[1] > 5 { // paho would take it for success
			return fmt.Errorf("%w: CONNACK code %d", errPacket, b[1])
		}
	case typeSuback:
		if want := int(l.subacks.Load()); size != 2+want {
			return fmt.Errorf("%w: SUBACK of %d bytes for %d topics", errPacket, size, want)
		}
	}
	l.head, l.body = head, size
	return nil
}

// Close is what paho calls. Why it does so it tells afterwards, or has been told.
func (l *link) Close() error {
	l.closing.Store(true)
	return l.raw.Close()
}

func (l *link) LocalAddr() net.Addr  { return l.raw.LocalAddr() }
func (l *link) RemoteAddr() net.Addr { return l.raw.RemoteAddr() }

// The deadlines that paho sets are the CONNACK's, for reading; those for writing
// are the link's own.
func (l *link) SetDeadline(t time.Time) error      { return l.conn.SetReadDeadline(t) }
func (l *link) SetReadDeadline(t time.Time) error  { return l.conn.SetReadDeadline(t) }
func (l *link) SetWriteDeadline(t time.Time) error { return nil }
