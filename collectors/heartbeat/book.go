package heartbeat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// Clock is the box's, as host.Clock is one.
type Clock interface {
	Now() collectors.Stamp
	Boot() string                  // names this boot
	Offset() (ms int64, sure bool) // from a stamp to the wall clock
}

// moment is an instant that outlives the boot it is of.
type moment struct {
	Boot  string           `json:"boot"`
	Stamp collectors.Stamp `json:"stamp"`
	Wall  int64            `json:"wall"` // ms since 1970, as the clock showed then
}

// entry is what is known of a job.
type entry struct {
	Since   moment  `json:"since"` // when it was first heard of
	Last    *moment `json:"last,omitempty"`
	Failed  bool    `json:"failed,omitempty"`
	Message string  `json:"message,omitempty"`
	Calls   uint64  `json:"calls,omitempty"`
}

// maxBook bounds the file.
const maxBook = 1 << 20

// Book knows when each job reported last. It may be used concurrently.
type Book struct {
	path  string
	clock Clock

	mu   sync.Mutex
	jobs map[string]*entry
}

// OpenBook reads the book of a file, or begins one. It is usable also with an error:
// then nothing is known, and jobs get their time anew.
func OpenBook(path string, clock Clock) (*Book, error) {
	b := &Book{path: path, clock: clock, jobs: map[string]*entry{}}
	data, err := statefile.Read(path, maxBook)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b, nil
	case err != nil:
		return b, fmt.Errorf("read the heartbeats: %w", err)
	}
	var jobs map[string]*entry
	if err := json.Unmarshal(data, &jobs); err != nil {
		return b, fmt.Errorf("read the heartbeats of %s: %w", path, err)
	}
	maps.DeleteFunc(jobs, func(_ string, e *entry) bool { return e == nil })
	if len(jobs) <= maxJobs && jobs != nil {
		b.jobs = jobs
	}
	return b, nil
}

// Keep forgets all other jobs, and begins to wait for those that are new.
func (b *Book) Keep(jobs []Job) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := map[string]bool{}
	changed := false
	for _, j := range jobs {
		names[j.Name] = true
		if b.jobs[j.Name] == nil {
			b.jobs[j.Name], changed = &entry{Since: b.now()}, true
		}
	}
	before := len(b.jobs)
	maps.DeleteFunc(b.jobs, func(name string, _ *entry) bool { return !names[name] })
	if !changed && len(b.jobs) == before {
		return nil
	}
	return b.save()
}

// report notes that a job has reported. The file holds it when it returns nil.
func (b *Book) report(name string, failed bool, message string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.jobs[name]
	if e == nil {
		return errors.New("no such job")
	}
	now := b.now()
	e.Last, e.Failed, e.Message = &now, failed, message
	e.Calls++
	return b.save()
}

func (b *Book) save() error {
	data, err := json.Marshal(b.jobs)
	if err == nil {
		err = statefile.Replace(b.path, data)
	}
	if err != nil {
		return fmt.Errorf("keep the heartbeats: %w", err)
	}
	return nil
}

func (b *Book) now() moment {
	now := b.clock.Now()
	offset, _ := b.clock.Offset()
	return moment{Boot: b.clock.Boot(), Stamp: now, Wall: int64(now) + offset}
}

// age is how long ago a moment was, and whether that is certain: across a restart of the
// box it is only once the clock is.
func (b *Book) age(m moment) (age time.Duration, sure bool) {
	now := b.clock.Now()
	if m.Boot == b.clock.Boot() && m.Boot != "" {
		return time.Duration(now-m.Stamp) * time.Millisecond, true
	}
	offset, sure := b.clock.Offset()
	return max(0, time.Duration(int64(now)+offset-m.Wall)*time.Millisecond), sure
}

// state is what is known of a job now.
type state struct {
	known, reported, failed bool
	age                     time.Duration // since the last report or, without one, since it is waited for
	sure                    bool
	message                 string
	calls                   uint64
}

func (b *Book) state(name string) state {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.jobs[name]
	if e == nil {
		return state{}
	}
	s := state{known: true, reported: e.Last != nil, failed: e.Failed, message: e.Message, calls: e.Calls}
	from := e.Since
	if e.Last != nil {
		from = *e.Last
	}
	s.age, s.sure = b.age(from)
	return s
}
