package heartbeat

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/receive"
)

// Bounds of what callers can do. A report is a commit on flash, so a job has few.
const (
	maxConns    = 32
	maxHeader   = 8 << 10
	callTime    = 5 * time.Second
	maxMessage  = 200
	maxReferred = 512 // octets of a query
)

var (
	perCaller = receive.Rate{Burst: 30, PerSecond: 0.5}
	perJob    = receive.Rate{Burst: 10, PerSecond: 0.1}
	overall   = receive.Rate{Burst: 200, PerSecond: 10}
)

// Options are what a server needs beside its settings.
type Options struct {
	Listener net.Listener // of TCP; the server closes it
	Sources  receive.Sources
	Book     *Book
	Clock    Clock
	Log      *slog.Logger
}

// Stats count calls since the start.
type Stats struct {
	Reports uint64            // that were taken
	Refused map[string]uint64 // by reason
}

// Server takes the calls of jobs.
type Server struct {
	opt    Options
	tokens map[string][sha256.Size]byte // by job

	mu      sync.Mutex
	callers *receive.Caps
	jobs    map[string]*receive.Caps
	stats   Stats
}

// NewServer makes a server for the jobs of valid settings. It takes calls once it runs.
func NewServer(cfg Config, opt Options) *Server {
	s := &Server{opt: opt, tokens: map[string][sha256.Size]byte{}, callers: receive.NewCaps(perCaller, overall),
		jobs: map[string]*receive.Caps{}, stats: Stats{Refused: map[string]uint64{}}}
	for _, j := range cfg.Jobs {
		s.tokens[j.Name] = sha256.Sum256([]byte(j.Token.Reveal()))
		s.jobs[j.Name] = receive.NewCaps(perJob, perJob)
	}
	return s
}

// Update puts others in place of Options.Sources; rates and counts stay.
func (s *Server) Update(from receive.Sources) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opt.Sources = from
}

// Run takes calls until ctx is done, and returns when the last of them is answered.
func (s *Server) Run(ctx context.Context) error {
	h := &http.Server{
		Handler: http.HandlerFunc(s.serve), MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: callTime, ReadTimeout: callTime, WriteTimeout: callTime, IdleTimeout: callTime,
		ErrorLog: log.New(io.Discard, "", 0), // what strangers send is no message of ours
	}
	h.SetKeepAlivesEnabled(false)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
		defer cancel()
		if h.Shutdown(last) != nil {
			_ = h.Close() // those that are not done after all their time
		}
	}()
	err := h.Serve(netutil.LimitListener(s.opt.Listener, maxConns))
	if ctx.Err() == nil {
		return fmt.Errorf("take heartbeats: %w", err)
	}
	<-ended
	return nil
}

// Stats counts what was taken and what was not.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Reports: s.stats.Reports, Refused: map[string]uint64{}}
	for why, n := range s.stats.Refused {
		out.Refused[why] = n
	}
	return out
}

// Why a call is not taken.
var (
	errOutside  = errors.New("outside of scope.managed")
	errTooMany  = errors.New("too many calls")
	errWrong    = errors.New("no such job, or a wrong token")
	errReport   = errors.New("status is ok or fail")
	errMethod   = errors.New("call it by GET or POST")
	errNotSaved = errors.New("could not be kept")
)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	err := s.take(r)
	s.mu.Lock()
	if err == nil {
		s.stats.Reports++
	} else {
		s.stats.Refused[err.Error()]++
	}
	s.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	code := http.StatusNoContent
	switch err {
	case nil:
	case errOutside:
		code = http.StatusForbidden
	case errTooMany:
		code = http.StatusTooManyRequests
	case errWrong:
		code = http.StatusNotFound
	case errReport:
		code = http.StatusBadRequest
	case errMethod:
		code = http.StatusMethodNotAllowed
	default:
		code = http.StatusServiceUnavailable
	}
	if err != nil {
		http.Error(w, err.Error(), code)
		return
	}
	w.WriteHeader(code)
}

// take takes a call. Its errors are those above. Addresses are asked before anything is
// looked at, rates before tokens: nobody guesses those.
func (s *Server) take(r *http.Request) error {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return errOutside
	}
	caller := from.Addr().Unmap()
	s.mu.Lock()
	sources := s.opt.Sources
	s.mu.Unlock()
	if _, managed := sources.Sender(caller); !managed {
		return errOutside
	}
	now := s.opt.Clock.Now()
	s.mu.Lock()
	ok := s.callers.Take(now, caller)
	s.mu.Unlock()
	if !ok {
		return errTooMany
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return errMethod
	}
	job, err := s.job(r)
	if err != nil {
		return err
	}
	failed, message, err := report(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	ok = s.jobs[job].Take(now, netip.Addr{})
	s.mu.Unlock()
	if !ok {
		return errTooMany
	}
	if err := s.opt.Book.report(job, failed, message); err != nil {
		s.opt.Log.Error("a heartbeat", "job", job, "error", err)
		return errNotSaved
	}
	return nil
}

// job is the one that a call is for, if it knows the token.
func (s *Server) job(r *http.Request) (string, error) {
	name, ok := strings.CutPrefix(r.URL.Path, "/heartbeat/")
	if !ok {
		return "", errWrong
	}
	name, token, inPath := strings.Cut(name, "/")
	if !inPath {
		token, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			token = r.Header.Get("X-Token")
		}
	}
	want, known := s.tokens[name]
	got := sha256.Sum256([]byte(token)) // compared by their sums: then all are of one length
	if same := subtle.ConstantTimeCompare(got[:], want[:]) == 1; !known || !same {
		return "", errWrong
	}
	return name, nil
}

// report is what a call says.
func report(r *http.Request) (failed bool, message string, err error) {
	if len(r.URL.RawQuery) > maxReferred {
		return false, "", errReport
	}
	q := r.URL.Query()
	switch q.Get("status") {
	case "", "ok":
	case "fail":
		failed = true
	default:
		return false, "", errReport
	}
	return failed, strings.TrimSpace(collectors.Clip(collectors.Printable(q.Get("message")), maxMessage)), nil
}
