package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program under test that may be started and killed several times.
// It is killed at the end of the test, which shows the end of its log if it failed.
type process struct {
	t      testing.TB
	path   string
	args   []string
	dir    string            // where it runs; empty: where the test does
	onLine func(line string) // called with every line of its log, in order

	cmd   *exec.Cmd
	read  chan struct{} // closed when the log of this run has been read to its end
	begin int           // the first line of this run

	mu    sync.Mutex
	lines []line
	more  chan struct{} // closed and made anew with every line
}

// line is one line of a log and when it was read.
type line struct {
	text string
	at   time.Time
}

func newProcess(t testing.TB, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, path: program(t, name), args: args, more: make(chan struct{})}
	t.Cleanup(func() {
		p.kill9()
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", name, p.tail(40))
		}
	})
	return p
}

// start runs the program. Its log goes through a pipe and not through a copying
// goroutine of os/exec: what it had written before it was killed is still in the
// pipe, and is read.
func (p *process) start() {
	p.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Stderr, cmd.Dir = w, p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that dies leaves nothing behind
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		p.t.Fatalf("starting %s: %v", p.path, err)
	}
	p.cmd, p.read, p.begin = cmd, make(chan struct{}), p.mark()
	go p.follow(r, p.read)
}

// follow reads one run's log. A line that was cut off by the kill is no line.
func (p *process) follow(r *os.File, done chan struct{}) {
	defer close(done)
	defer r.Close()
	for b := bufio.NewReaderSize(r, 64<<10); ; {
		text, err := b.ReadString('\n')
		if err != nil {
			return
		}
		text = strings.TrimSuffix(text, "\n")
		if p.onLine != nil {
			p.onLine(text)
		}
		p.mu.Lock()
		p.lines = append(p.lines, line{text, time.Now()})
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

// kill9 kills the program as a power cut would, and waits until it is gone and its
// log read. It may be dead already.
func (p *process) kill9() { p.signal(syscall.SIGKILL); p.wait() }

// signal sends a signal to a program that runs.
func (p *process) signal(s os.Signal) {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // an error means that it is gone
	}
}

// wait waits for the program's end and returns its exit code, -1 for a signal.
func (p *process) wait() int {
	if p.cmd == nil {
		return -1
	}
	_ = p.cmd.Wait() // the code tells
	<-p.read
	code := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	return code
}

// ended tells whether the program has ended without being asked to.
func (p *process) ended() bool {
	select {
	case <-p.read:
		return p.cmd != nil
	default:
		return false
	}
}

// terminate asks the program to end and returns its exit code.
func (p *process) terminate() int {
	if p.cmd == nil {
		return -1
	}
	p.signal(syscall.SIGTERM)
	running := p.cmd.Process
	hung := time.AfterFunc(patience, func() { _ = running.Kill() }) // an error means that it is gone
	defer hung.Stop()
	return p.wait()
}

// stop asks the program to end, which it must do in good order.
func (p *process) stop() {
	p.t.Helper()
	if code := p.terminate(); code != 0 {
		p.t.Errorf("%s ended with %d after SIGTERM (-1: it had to be killed)", filepath.Base(p.path), code)
	}
}

// mark is the number of lines so far, for await.
func (p *process) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// find waits for a line that matches, from a mark on; ok is false when none came
// in time or the program's log ended.
func (p *process) find(match func(string) bool, from int, within time.Duration) (i int, ok bool) {
	deadline := time.After(within)
	ended := p.read
	for over := false; ; {
		p.mu.Lock()
		lines, more := p.lines, p.more
		p.mu.Unlock()
		for ; from < len(lines); from++ {
			if match(lines[from].text) {
				return from, true
			}
		}
		if over {
			return 0, false
		}
		select {
		case <-more:
		case <-ended:
			over = true // one more look: nothing comes after this
		case <-deadline:
			return 0, false
		}
	}
}

// await waits for a line that holds text; see find.
func (p *process) await(text string, from int, within time.Duration) (l line, ok bool) {
	i, ok := p.find(func(s string) bool { return strings.Contains(s, text) }, from, within)
	if !ok {
		return l, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[i], true
}

// mustAwait is await for what must come.
func (p *process) mustAwait(text string, from int) line {
	p.t.Helper()
	l, ok := p.await(text, from, patience)
	if !ok {
		p.t.Fatalf("%s has not logged %q", filepath.Base(p.path), text)
	}
	return l
}

func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.lines[max(0, len(p.lines)-n):] {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

// run runs a program to its end and returns what it printed and its exit code.
func run(t testing.TB, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program(t, name), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", name, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
