package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a program that the demo has started.
type process struct {
	name string
	log  string // its output since it was started
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended; then err is set
	err  error
}

// launch starts a program with its output in a log of its own. When it ends it is
// sent to died, which must have room.
func launch(name, log string, died chan<- *process, env []string, argv ...string) (*process, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer f.Close() // the program has its own
	p := &process{name: name, log: log, cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if env != nil {
		p.cmd.Env = env
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // a Ctrl-C is for the demo, which stops them in their order
		Pdeathsig: syscall.SIGTERM, // a demo that is killed leaves nothing behind
	}
	started := make(chan error)
	go func() { // ends with the program, which stop ends
		// To the kernel the parent is the thread that starts a program, not the
		// process: this one has to stay as long as the program does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.done)
		died <- p
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// startTime bounds how long a program may take until it answers. A probe with a
// full buffer is ready within seconds.
const startTime = 30 * time.Second

// until waits until the program is ready to do what it is for.
func (p *process) until(ctx context.Context, what string, ready func() bool) error {
	late := time.After(startTime)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return p.failure()
		case <-late:
			return fmt.Errorf("%s does not %s after %v%s", p.name, what, startTime, p.tail())
		case <-tick.C:
		}
	}
	return nil
}

// stop asks the program to stop, and kills it when it does not in time.
func (p *process) stop(within time.Duration) (killed bool) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
		return false
	case <-time.After(within):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return true
}

// failure says how a program ended that should not have.
func (p *process) failure() error {
	how := "it ended"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s stopped by itself (%s)%s", p.name, how, p.tail())
}

// tail is what the program said last.
func (p *process) tail() string {
	const lines = 12
	text, err := os.ReadFile(p.log)
	if err != nil || len(strings.TrimSpace(string(text))) == 0 {
		return "; it said nothing"
	}
	return "; the end of " + p.log + ":\n" + lastLines(string(text), lines)
}

// lastLines gives the end of a text, indented.
func lastLines(text string, n int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return "    " + strings.Join(all[max(len(all)-n, 0):], "\n    ")
}

// goRun is the process that compiled and started this one, or 0 when it was
// started otherwise. Go run does not pass SIGTERM on: it just goes, and what it
// started has to notice.
func goRun() int {
	ppid := os.Getppid()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", ppid))
	if err != nil || strings.TrimSpace(string(comm)) != "go" {
		return 0
	}
	return ppid
}

// lock keeps a second demo off the state of the first. The kernel unlocks it when
// the process ends, however it does.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the demo's folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := os.ReadFile(path) // for the message only
		f.Close()
		return nil, fmt.Errorf("a demo is running already (process %s); stop it first, or choose another folder with --state", strings.TrimSpace(string(pid)))
	}
	if err == nil {
		err = errors.Join(f.Truncate(0), writePID(f))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}
