package buffer

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Bytes is a size in octets; the site file writes it with a unit ("2GiB").
type Bytes int64

// Config is the site file's buffer section.
type Config struct {
	Path    string        `yaml:"path"`    // the database file; its folder holds the epoch files too
	Budget  Bytes         `yaml:"budget"`  // what the database may take on disk; 0: the smaller of 2 GiB and half of what is free
	Commit  time.Duration `yaml:"commit"`  // bounds what a power cut can take, and the lag of live data
	History time.Duration `yaml:"history"` // how long delivered readings stay for local look-ups as they are
	Rollups time.Duration `yaml:"rollups"` // and how long as rollups of a quarter of an hour, or an hour
}

// DefaultConfig is what applies where the site file says nothing.
func DefaultConfig() Config {
	return Config{
		Path:    "/var/lib/siteprobe/buffer.db",
		Commit:  5 * time.Second,
		History: 35 * 24 * time.Hour,
		Rollups: 396 * 24 * time.Hour, // 13 months: this month a year ago
	}
}

// MinBudget is the smallest budget with which the buffer can work.
const MinBudget Bytes = 1 << 20

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case !filepath.IsAbs(c.Path):
		return errors.New("path: must be an absolute path")
	case c.Budget != 0 && c.Budget < MinBudget:
		return fmt.Errorf("budget: must be at least %d MiB", MinBudget>>20)
	case c.Commit < 50*time.Millisecond || c.Commit > 10*time.Minute:
		return errors.New("commit: must be between 50ms and 10m")
	case c.History < 0:
		return errors.New("history: must not be negative")
	case c.Rollups < c.History:
		return errors.New("rollups: must not be shorter than history, which they go on from")
	}
	return nil
}
