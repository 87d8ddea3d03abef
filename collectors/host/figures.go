package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// Bounds of what hardware may add to a batch: a box has a handful of either, and
// something with thousands is no box.
const (
	maxPorts   = 32
	maxSensors = 16
)

// figures are the series and values of one collection, in step.
type figures struct {
	series []collectors.Series
	values []collectors.Value
}

func (f *figures) add(metric, unit string, k collectors.Kind, v collectors.Value, labels ...collectors.Label) {
	f.series = append(f.series, collectors.Series{Metric: metric, Unit: unit, Labels: labels, Kind: k})
	f.values = append(f.values, v)
}

func (f *figures) gauge(metric, unit string, v float64, labels ...collectors.Label) {
	f.add(metric, unit, collectors.Gauge, collectors.GaugeValue(v), labels...)
}

func (f *figures) state(metric string, v int64, labels ...collectors.Label) {
	f.add(metric, "", collectors.State, collectors.StateValue(v), labels...)
}

// label makes a label of a name that the kernel or a device has given.
func label(name, value string) collectors.Label {
	return collectors.Label{Name: name, Value: collectors.Clip(value, collectors.MaxText)}
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func same(a, b []collectors.Series) bool {
	return slices.EqualFunc(a, b, func(x, y collectors.Series) bool {
		return x.Metric == y.Metric && x.Unit == y.Unit && x.Kind == y.Kind && slices.Equal(x.Labels, y.Labels)
	})
}

// roots are where procfs and sysfs are found.
type roots struct{ proc, sys string }

func (r roots) procFile(name ...string) (string, error) { return read(r.proc, name) }

// sysFile reads a file of sysfs; ok is false where there is none or the driver
// refuses, which sysfs does as a matter of course.
func (r roots) sysFile(name ...string) (s string, ok bool) {
	s, err := read(r.sys, name)
	return strings.TrimSpace(s), err == nil
}

// sysDir lists a folder of sysfs by name. None is an empty one.
func (r roots) sysDir(name ...string) []string {
	entries, _ := os.ReadDir(filepath.Join(r.sys, filepath.Join(name...)))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sysHas tells whether a file of sysfs exists.
func (r roots) sysHas(name ...string) bool {
	_, err := os.Stat(filepath.Join(r.sys, filepath.Join(name...)))
	return err == nil
}

func read(root string, name []string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, filepath.Join(name...)))
	return string(b), err
}
