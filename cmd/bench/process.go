package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child; its output goes to a file.
type process struct {
	cmd *exec.Cmd
	log *os.File
}

func start(ctx context.Context, logPath, name string, args ...string) (*process, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = log, log
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 20 * time.Second
	if err := c.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(name), err)
	}
	return &process{c, log}, nil
}

func (p *process) wait() error {
	defer p.log.Close()
	if err := p.cmd.Wait(); err != nil {
		tail, _ := os.ReadFile(p.log.Name())
		return fmt.Errorf("%w: %s", err, tail[max(0, len(tail)-500):])
	}
	return nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = p.wait()
}

// cpu is the CPU time of a process that has ended, in seconds.
func (p *process) cpu() float64 {
	return (p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()).Seconds()
}

// cpuSoFar is the CPU time of a running process, in seconds.
func (p *process) cpuSoFar() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const user, system, ticks = 11, 12, 100 // fields 14 and 15 of proc(5); USER_HZ
	u, err := strconv.ParseFloat(f[user], 64)
	if err != nil {
		return 0, err
	}
	s, err := strconv.ParseFloat(f[system], 64)
	return (u + s) / ticks, err
}

// memory returns the resident memory of a process now and at its highest, in octets.
func memory(pid int) (now, peak float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); err == nil {
			now = kb * 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			peak = kb * 1024
		}
	}
	return now, peak, nil
}

// build makes the four programs of the whole way in dir.
func build(ctx context.Context, shared, dir string) error {
	fleet := filepath.Join(shared, "tools", "fleet")
	return errors.Join(
		goBuild(ctx, ".", dir, "./cmd/siteprobe", "./cmd/siteprobe-hub"),
		goBuild(ctx, fleet, filepath.Join(dir, "sim"), "./sim"),
		goBuild(ctx, fleet, filepath.Join(dir, "floor"), "./floor"),
	)
}

// goBuild makes programs out of packages of the module in folder from.
func goBuild(ctx context.Context, from, to string, packages ...string) error {
	args := append([]string{"build", "-C", from, "-o", to}, packages...)
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

const fleetControl = "http://127.0.0.1:9161"

// startFleet starts the simulated switches and writes the list of their
// addresses.
func startFleet(ctx context.Context, o options, dir string) (*process, error) {
	args := []string{"-n", strconv.Itoa(o.devices), "-k", strconv.Itoa(o.ports)}
	list, err := exec.CommandContext(ctx, filepath.Join(dir, "sim"), append(args, "-list")...).Output()
	if err != nil {
		return nil, fmt.Errorf("listing the fleet: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts"), list, 0o644); err != nil {
		return nil, err
	}
	p, err := start(ctx, filepath.Join(dir, "sim.log"), filepath.Join(dir, "sim"), args...)
	if err != nil {
		return nil, err
	}
	err = until(ctx, 20*time.Second, func() bool { _, err := fleetStats(ctx); return err == nil })
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the fleet does not answer: %w", err)
	}
	return p, nil
}

// until asks again and again whether something is so.
func until(ctx context.Context, most time.Duration, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(io.LimitReader(r.Body, 1<<20))
}

// fleetStats is what the fleet has served.
func fleetStats(ctx context.Context) (map[string]float64, error) {
	b, err := get(ctx, fleetControl+"/stats")
	if err != nil {
		return nil, err
	}
	var m map[string]float64
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("the fleet's figures: %w", err)
	}
	if _, ok := m["requests"]; !ok {
		m["requests"] = m["reqs"]
	}
	return m, nil
}
