package trap

import (
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
)

// timeWindow is by how many seconds an engine's time may differ (RFC 3414, 2.2.3).
const timeWindow = 150

// maxEngines bounds of how many senders' engines boots and time are known.
const maxEngines = 1024

// peers are the senders of traps, by engine ID. What is known of them outlives the
// receivers, or a trap that was recorded could be sent again after each reload.
type peers struct {
	mu sync.Mutex
	of map[string]*peer
}

// peer is a sender of traps, which is authoritative for them: what is known of its
// clock, only ever out of messages that were authentic.
type peer struct {
	boots  uint32
	latest uint32           // the highest time of these boots
	at     collectors.Stamp // when that came
}

// timely tells whether an authentic message of an engine is of now, and learns of it
// (RFC 3414, 3.2, step 7b).
func (s *peers) timely(engine string, boots, time uint32, now collectors.Stamp) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.of[engine]
	if p == nil {
		s.makeRoom()
		s.of[engine] = &peer{boots: boots, latest: time, at: now}
		return true
	}
	if boots > p.boots || boots == p.boots && time > p.latest {
		p.boots, p.latest, p.at = boots, time, now
		return true
	}
	reckoned := int64(p.latest) + int64(now-p.at)/1000
	return boots == p.boots && int64(time) >= reckoned-timeWindow
}

// makeRoom forgets one of too many: who was silent for the longest time.
func (s *peers) makeRoom() {
	if s.of == nil {
		s.of = map[string]*peer{}
	}
	if len(s.of) < maxEngines {
		return
	}
	oldest := ""
	for id, p := range s.of {
		if oldest == "" || p.at < s.of[oldest].at {
			oldest = id
		}
	}
	delete(s.of, oldest)
}
