package trap

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/receive"
)

// An inform that is not answered in time comes again, with the same request number and
// content. It is one event all the same, and every one of them is answered once that is
// on the disk.

// Bounds of the informs that are known.
const (
	maxInforms = 1024
	keepInform = 120_000 // milliseconds: nobody sends one again for longer
)

// informKey is what an inform has in common with itself when it comes again.
type informKey struct {
	from      netip.AddrPort
	version   int64
	requestID int64
	content   uint64
}

// inform is one that was taken.
type inform struct {
	at        collectors.Stamp
	committed bool
	to        receive.Datagram // of the latest one
	answer    func() []byte    // to that
}

// informs are those that were taken of late.
type informs struct {
	seed maphash.Seed

	mu sync.Mutex
	of map[informKey]*inform
}

func newInforms() *informs {
	return &informs{seed: maphash.MakeSeed(), of: map[informKey]*inform{}}
}

func (s *informs) key(from netip.AddrPort, n *notification) informKey {
	return informKey{from, n.version, n.requestID, maphash.Bytes(s.seed, n.varbinds)}
}

// again notes that an inform has come. known tells that it has come before, and
// committed that it is to be answered at once. taken is false where there is no room.
func (s *informs) again(now collectors.Stamp, k informKey, to receive.Datagram, answer func() []byte) (known, committed, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.of[k]; x != nil && now-x.at < keepInform {
		x.to, x.answer = to, answer
		return true, x.committed, true
	}
	if len(s.of) >= maxInforms {
		for k, x := range s.of {
			if x.committed && now-x.at > keepInform/8 || now-x.at >= keepInform {
				delete(s.of, k)
			}
		}
	}
	if len(s.of) >= maxInforms {
		return false, false, false
	}
	s.of[k] = &inform{at: now, to: to, answer: answer}
	return false, false, true
}

// forget lets an inform come as if it had not come before: its event was not taken.
func (s *informs) forget(k informKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, k)
}

// commit notes that an inform's event is on the disk.
func (s *informs) commit(k informKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.of[k]; x != nil {
		x.committed = true
	}
}

// get returns a copy of what is known of an inform; ok is false where nothing is any
// more.
func (s *informs) get(k informKey) (x inform, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.of[k]; p != nil {
		return *p, true
	}
	return x, false
}
