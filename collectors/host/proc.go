package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// userHZ is how many units of time in /proc make a second. It is the same on every
// architecture that Go runs on, whatever HZ the kernel was built with.
const userHZ = 100

// cpu reads /proc/stat: the time spent in each mode, and when the box booted.
func (c *Collector) cpu(f *figures) error {
	text, err := c.roots.procFile("stat")
	if err != nil {
		return fmt.Errorf("reading CPU times: %w", err)
	}
	modes := []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"}
	found := 0
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > len(modes) && fields[0] == "cpu":
			for i, mode := range modes {
				n, err := strconv.ParseUint(fields[i+1], 10, 64)
				if err != nil {
					return fmt.Errorf("reading CPU times: %w", err)
				}
				f.gauge("node_cpu_seconds_total", "seconds", float64(n)/userHZ, label("mode", mode))
			}
			found++
		case len(fields) == 2 && fields[0] == "btime":
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return fmt.Errorf("reading the boot time: %w", err)
			}
			f.gauge("node_boot_time_seconds", "seconds", float64(n))
			found++
		}
	}
	if found != 2 {
		return errors.New("reading CPU times: the kernel's statistics lack the line cpu or btime")
	}
	return nil
}

// load reads /proc/loadavg.
func (c *Collector) load(f *figures) error {
	text, err := c.roots.procFile("loadavg")
	if err != nil {
		return fmt.Errorf("reading the load: %w", err)
	}
	first, _, _ := strings.Cut(text, " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return fmt.Errorf("reading the load: %w", err)
	}
	f.gauge("node_load1", "", v)
	return nil
}

// memory reads /proc/meminfo.
func (c *Collector) memory(f *figures) error {
	text, err := c.roots.procFile("meminfo")
	if err != nil {
		return fmt.Errorf("reading memory: %w", err)
	}
	for _, name := range []string{"MemTotal", "MemAvailable"} {
		_, rest, ok := strings.Cut("\n"+text, "\n"+name+":")
		fields := strings.Fields(rest)
		if !ok || len(fields) == 0 {
			return fmt.Errorf("reading memory: there is no %s", name)
		}
		kib, err := strconv.ParseUint(fields[0], 10, 54)
		if err != nil {
			return fmt.Errorf("reading memory: %s: %w", name, err)
		}
		f.gauge("node_memory_"+name+"_bytes", "bytes", float64(kib<<10))
	}
	return nil
}

// process reads what this process takes.
func (c *Collector) process(f *figures) error {
	text, err := c.roots.procFile("self", "stat")
	if err != nil {
		return fmt.Errorf("reading this process: %w", err)
	}
	// The second field is the command in parentheses and may hold anything.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const utime, stime, rss = 14 - 3, 15 - 3, 24 - 3 // numbered as in proc(5), less the two in front and one for counting from 0
	if len(fields) <= rss {
		return fmt.Errorf("reading this process: %d fields are too few", len(fields))
	}
	var n [3]uint64
	for i, at := range []int{utime, stime, rss} {
		if n[i], err = strconv.ParseUint(fields[at], 10, 64); err != nil {
			return fmt.Errorf("reading this process: %w", err)
		}
	}
	f.gauge("process_cpu_seconds_total", "seconds", float64(n[0]+n[1])/userHZ)
	f.gauge("process_resident_memory_bytes", "bytes", float64(n[2])*float64(os.Getpagesize()))

	open, err := os.ReadDir(filepath.Join(c.roots.proc, "self", "fd"))
	fds := collectors.Value{}
	if err == nil {
		fds = collectors.GaugeValue(float64(len(open)))
	}
	f.add("process_open_fds", "", collectors.Gauge, fds)
	return nil
}
