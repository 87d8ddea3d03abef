package schedule

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Config is the site file's limits section.
type Config struct {
	Workers      int           `yaml:"workers"`       // collections that may run at a time
	PerGroup     int           `yaml:"per_device"`    // of these, how many of one device
	BackoffAfter int           `yaml:"backoff_after"` // failures in a row before a source is tried less often; 0: never
	BackoffMax   time.Duration `yaml:"backoff_max"`   // the longest pause between two tries of a source that backs off
	Spread       time.Duration `yaml:"spread"`        // a job's first slot lies at most this, and at most an interval, after start
	Grace        time.Duration `yaml:"grace"`         // what a collection gets to return after its deadline, or when stopping
}

// DefaultConfig is what applies where the site file says nothing.
func DefaultConfig() Config {
	return Config{
		Workers:      64,
		PerGroup:     2,
		BackoffAfter: 3,
		BackoffMax:   5 * time.Minute,
		Spread:       30 * time.Second,
		Grace:        2 * time.Second,
	}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Workers < 1 || c.Workers > 4096:
		return errors.New("workers: must be between 1 and 4096")
	case c.PerGroup < 1:
		return errors.New("per_device: must be at least 1")
	case c.BackoffAfter < 0:
		return errors.New("backoff_after: must not be negative")
	case c.BackoffMax < 0 || c.BackoffMax > 24*time.Hour:
		return errors.New("backoff_max: must be between 0s and 24h")
	case c.Spread < 0 || c.Spread > time.Hour:
		return errors.New("spread: must be between 0s and 1h")
	case c.Grace < 10*time.Millisecond || c.Grace > time.Minute:
		return errors.New("grace: must be between 10ms and 1m")
	}
	return nil
}

// MinInterval is the shortest interval of a job.
const MinInterval = 10 * time.Millisecond

// never is the interval of a job that runs once.
const never = 100 * 365 * 24 * time.Hour

// Job is one source and what is to be done about it. Sources are unique among
// the jobs of a scheduler.
type Job struct {
	Source    string
	Group     string        // jobs of one group share its limit, as those of one device; empty: the source itself
	Interval  time.Duration // counted in whole milliseconds
	Timeout   time.Duration // of one collection; may be longer than Interval, which then costs slots
	Collector collectors.Collector
}

func (j *Job) groupKey() string {
	if j.Group == "" {
		return j.Source
	}
	return j.Group
}

// step is the interval in the unit of stamps.
func (j *Job) step() collectors.Stamp { return collectors.Stamp(j.Interval.Milliseconds()) }

func (j *Job) validate() error {
	switch {
	case j.Source == "" || len(j.Source) > collectors.MaxName:
		return fmt.Errorf("its source's name has %d bytes (1 to %d)", len(j.Source), collectors.MaxName)
	case j.Interval < MinInterval || j.Interval > never:
		return fmt.Errorf("interval %v is out of bounds (at least %v)", j.Interval, MinInterval)
	case j.Timeout <= 0:
		return fmt.Errorf("timeout %v is not positive", j.Timeout)
	case j.Collector == nil:
		return errors.New("it has no collector")
	}
	return nil
}

func validateJobs(jobs []Job) error {
	seen := make(map[string]bool, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		if err := j.validate(); err != nil {
			return fmt.Errorf("job %d (%s): %w", i, collectors.Clip(j.Source, 64), err)
		}
		if seen[j.Source] {
			return fmt.Errorf("job %d: there is another job for source %s", i, j.Source)
		}
		seen[j.Source] = true
	}
	return nil
}

// identical tells whether a and b are the same collector. Those that cannot be
// compared, such as a CollectorFunc, are never the same.
func identical(a, b collectors.Collector) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
