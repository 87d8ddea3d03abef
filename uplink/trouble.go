package uplink

import (
	"errors"
	"time"
)

// Trouble is how the latest attempts to keep a session went, for whoever finds out why.
type Trouble struct {
	Stage  Stage  // at which the last one ended; empty: none has yet
	Reason Reason // of its end
	InARow int    // attempts in a row that ended there for that reason
	Short  int    // sessions in a row that the broker ended within a minute
}

// short is how long a session lasts that counts as short.
const short = time.Minute

// after gives the trouble after one more session has ended.
func (t Trouble) after(lasted time.Duration, err error) Trouble {
	e, ok := errors.AsType[*LinkError](err)
	if !ok {
		e = &LinkError{Stage: StageSession}
	}
	next := Trouble{Stage: e.Stage, Reason: e.Reason, InARow: 1, Short: t.Short}
	if lasted < short && next.Stage == t.Stage && next.Reason == t.Reason {
		next.InARow = t.InARow + 1
	}
	switch {
	case lasted >= short:
		next.Short = 0
	case lasted > 0 && e.Stage == StageSession && e.Reason == ReasonNone:
		next.Short++
	}
	return next
}

// Trouble returns how the latest attempts went.
func (s *Sender) Trouble() Trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// ended notes how a session went and tells that there is none.
func (s *Sender) ended(lasted time.Duration, err error) {
	s.mu.Lock()
	s.trouble = s.trouble.after(lasted, err)
	s.mu.Unlock()
	if s.opt.Lost != nil {
		s.opt.Lost()
	}
}
