package mqtt

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A peer that reads 16 KB in less than the write timeout is slow, however long the
// whole takes; one that reads nothing is dead after it.
func TestSlowIsNotDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		l := newLink(near, near, 10*time.Second)
		const size = 64 << 10
		start := time.Now()
		for range 3 {
			if n, err := l.Write(make([]byte, size)); n != size || err != nil {
				t.Fatal(n, err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Write took %v, it must only queue", d)
		}
		chunk := make([]byte, writeChunk)
		for range 3 * size / writeChunk {
			<-time.After(9 * time.Second) // fake time
			if _, err := io.ReadFull(far, chunk); err != nil {
				t.Fatalf("a slow line was cut after %v: %v", time.Since(start), l.reason())
			}
		}
		if !l.waitRoom() {
			t.Fatal(l.reason())
		}

		start = time.Now()
		l.Write(make([]byte, 2*fullQueue))
		if l.waitRoom() {
			t.Error("there is room on a line that nobody reads")
		}
		if d := time.Since(start); d != 10*time.Second || !errors.Is(l.reason(), errNotReading) {
			t.Errorf("ended after %v: %v", d, l.reason())
		}
		if _, err := l.Write([]byte{0x40, 2, 0, 1}); err != errEnded {
			t.Errorf("writing after the end: %v", err)
		}
		l.writer.Wait()
	})
}

// Acknowledgements do not wait, but they do not fill the memory either.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		l := newLink(near, near, time.Hour)
		n := 0
		for ; l.reason() == nil; n++ {
			l.Write(make([]byte, 1000))
		}
		if want := maxQueue / 1000; n < want || n > want+100 || !errors.Is(l.reason(), errNotReading) {
			t.Errorf("ended after %d KB: %v", n, l.reason())
		}
		l.writer.Wait()
	})
}

// A DISCONNECT is written before Write returns, which also waits for the broker to
// close the connection, but not for ever.
func TestGoodbyeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		l := newLink(near, near, 10*time.Second)
		got := make(chan []byte, 1)
		go func() {
			b := make([]byte, 6)
			io.ReadFull(far, b)
			got <- b
		}()
		start := time.Now()
		l.Write([]byte{0x40, 2, 0, 1})
		l.Write([]byte{typeDisconnect << 4, 0})
		if d := time.Since(start); d != goodbyeWait {
			t.Errorf("waited %v for a broker that does not close", d)
		}
		if b := <-got; b[4] != typeDisconnect<<4 {
			t.Errorf("written: % x", b)
		}
		l.fail(errClosed)
		l.writer.Wait()
	})
}
