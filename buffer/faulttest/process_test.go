package faulttest_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// patience bounds what takes some milliseconds unless something hangs.
const patience = 60 * time.Second

// process is a running worker.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	rests  chan struct{} // closed when it has done its job
	read   chan struct{} // closed when all its reports are read
}

// start starts a worker, which waits for its job. Its reports go to the ledger, in a
// goroutine that end waits for.
func start(t *testing.T, l *ledger) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self), rests: make(chan struct{}), read: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), workerEnv+"=1", "GOGC=400")
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	// A pipe of our own: what a worker wrote before it was killed is still in it.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go p.listen(r, l)
	return p
}

// listen brings the reports to the ledger. A report that was cut off by the kill is
// none.
func (p *process) listen(from *os.File, l *ledger) {
	defer close(p.read)
	defer from.Close()
	for d := gob.NewDecoder(from); ; {
		var r report
		if err := d.Decode(&r); err != nil {
			return
		}
		switch {
		case r.Contents != nil:
			l.check(r.Contents)
		case r.Fault != "":
			l.sum.faults = append(l.sum.faults, r.Fault)
		case r.Failed != "":
			l.sum.hands = append(l.sum.hands, "opening failed: "+r.Failed)
		case r.Done:
			close(p.rests)
		}
		l.committed(r.Committed)
		l.storing(r.Stored)
	}
}

// give gives the worker its job.
func (p *process) give(j job) {
	p.t.Helper()
	if err := json.NewEncoder(p.stdin).Encode(j); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits until the worker rests or is dead.
func (p *process) wait() {
	p.t.Helper()
	select {
	case <-p.rests:
	case <-p.read:
	case <-time.After(patience):
		p.kill()
		p.t.Fatalf("a worker hangs; it said:\n%s", p.stderr.String())
	}
}

// rested tells whether a worker whose reports are read has come to its job's end.
func (p *process) rested() bool {
	select {
	case <-p.rests:
		return true
	default:
		return false
	}
}

func (p *process) kill() { _ = p.cmd.Process.Kill() } // an error means that it is dead

// end kills the worker and waits for its last report.
func (p *process) end() {
	p.t.Helper()
	p.kill()
	<-p.read
	_ = p.cmd.Wait() // it was killed
	p.stdin.Close()
	if s := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGKILL {
		p.t.Fatalf("a worker ended by itself (%v):\n%s", p.cmd.ProcessState, p.stderr.String())
	}
}
