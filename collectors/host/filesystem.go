package host

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/collectors"
)

// usage is what a file system holds, in bytes. avail is what is left for those who
// are not root.
type usage struct{ size, avail uint64 }

// statfs asks the kernel for a file system's usage.
func statfs(path string) (usage, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return usage{}, fmt.Errorf("statfs: %w", err)
	}
	return usage{size: s.Blocks * uint64(s.Bsize), avail: s.Bavail * uint64(s.Bsize)}, nil
}

// fileSystems shows the root's file system and that of the data directory, once
// if they are the same. A flash that wears out turns read-only: that is shown too.
func (c *Collector) fileSystems(f *figures) error {
	text, err := c.roots.procFile("self", "mountinfo")
	if err != nil {
		return fmt.Errorf("reading mounts: %w", err)
	}
	mounts := parseMounts(text)
	paths := []string{"/"}
	if c.dataDir != "" {
		dir := c.dataDir
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		paths = append(paths, dir)
	}
	var shown []string
	var errs []error
	for _, p := range paths {
		m, ok := holder(mounts, p)
		if !ok {
			errs = append(errs, fmt.Errorf("reading mounts: none holds %s", collectors.Clip(p, 100)))
			continue
		}
		if slices.Contains(shown, m.id) {
			continue // a sandbox mounts the data directory once more where it is
		}
		shown = append(shown, m.id)
		if err := c.showMount(f, m); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Collector) showMount(f *figures, m mount) error {
	labels := []collectors.Label{label("device", m.device), label("fstype", m.fstype), label("mountpoint", m.point)}
	var size, avail collectors.Value
	u, err := c.statfs(m.point)
	if err == nil {
		size, avail = collectors.GaugeValue(float64(u.size)), collectors.GaugeValue(float64(u.avail))
	} else {
		err = fmt.Errorf("file system of %s: %w", collectors.Clip(m.point, 100), err)
	}
	f.add("node_filesystem_size_bytes", "bytes", collectors.Gauge, size, labels...)
	f.add("node_filesystem_avail_bytes", "bytes", collectors.Gauge, avail, labels...)
	f.state("node_filesystem_readonly", truth(m.readonly), labels...)
	return err
}

// mount is a line of mountinfo.
type mount struct {
	id, point, fstype, device string
	readonly                  bool // the file system, not just this mount of it
}

// parseMounts reads /proc/self/mountinfo as proc(5) describes it:
// id parent major:minor root POINT OPTIONS [optional...] - FSTYPE DEVICE SUPEROPTIONS.
// Lines that are otherwise are skipped.
func parseMounts(text string) []mount {
	var ms []mount
	for line := range strings.Lines(text) {
		front, back, ok := strings.Cut(line, " - ")
		f, b := strings.Fields(front), strings.Fields(back)
		if !ok || len(f) < 6 || len(b) < 3 {
			continue
		}
		ms = append(ms, mount{
			id: f[2], point: unescape(f[4]), fstype: b[0], device: unescape(b[1]),
			// The mount's own options are those of this process's sandbox.
			readonly: slices.Contains(strings.Split(b[2], ","), "ro"),
		})
	}
	return ms
}

// unescape undoes the kernel's octal escapes of blanks and backslashes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// holder returns the mount that holds a path: the one with the longest point above
// it, of several at one point the last, which covers the others.
func holder(mounts []mount, path string) (mount, bool) {
	best, found := mount{}, false
	for _, m := range mounts {
		above := m.point == "/" || path == m.point || strings.HasPrefix(path, m.point+"/")
		if above && (!found || len(m.point) >= len(best.point)) {
			best, found = m, true
		}
	}
	return best, found
}
