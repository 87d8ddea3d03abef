package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen prints lines, and on a terminal one line below them that is written over.
type screen struct {
	w        io.Writer
	terminal bool
	fd       int

	mu   sync.Mutex
	raw  bool   // the terminal does not move to the line's begin by itself
	live string // the line that is written over
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.terminal, s.fd = true, int(f.Fd())
	}
	return s
}

// line prints a line that stays.
func (s *screen) line(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(fmt.Sprintf(format, a...))
}

// item prints what has been started.
func (s *screen) item(name, format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = ""
	s.write(fmt.Sprintf("%-10s", name) + fmt.Sprintf(format, a...))
}

// progress says what takes a while: on a terminal until something else is said.
func (s *screen) progress(format string, a ...any) {
	if s.terminal {
		s.status(fmt.Sprintf(format, a...))
	} else {
		s.line(format, a...)
	}
}

// status sets the line that is written over; without a terminal there is none.
func (s *screen) status(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		s.live = text
		s.put("\r\x1b[K" + s.fit(text))
	}
}

// setRaw tells whether the terminal is in raw mode.
func (s *screen) setRaw(raw bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = raw
}

// write prints a line above the live one. The caller has locked.
func (s *screen) write(text string) {
	if s.terminal {
		s.put("\r\x1b[K" + text + "\n" + s.fit(s.live))
	} else {
		s.put(text + "\n")
	}
}

func (s *screen) put(text string) {
	if s.raw {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	_, _ = io.WriteString(s.w, text) // a terminal that is gone: SIGHUP stops the demo
}

// fit cuts a line that would not fit: what is wrapped cannot be written over.
func (s *screen) fit(text string) string {
	width, _, err := term.GetSize(s.fd)
	if r := []rune(text); err == nil && width > 1 && len(r) >= width {
		return string(r[:width-2]) + "…"
	}
	return text
}

// count writes a number as people read it: 1,240.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n int64) string {
	if n < 10<<10 {
		return count(n) + " octets"
	}
	return count(n>>10) + " KiB"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// brief writes a time without zeros at its end: 1m, not 1m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
