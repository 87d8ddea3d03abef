package topology

import (
	"errors"
	"time"
)

// Config is the topology section of the site file.
type Config struct {
	Interval time.Duration `yaml:"interval"` // between two rounds; 0: never
}

// Bounds of the interval.
const (
	minInterval = time.Minute
	maxInterval = 24 * time.Hour
)

// DefaultConfig is what applies where the site file says nothing.
func DefaultConfig() Config { return Config{Interval: 15 * time.Minute} }

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if c.Interval != 0 && (c.Interval < minInterval || c.Interval > maxInterval) {
		return errors.New("interval: must be between 1m and 24h, or 0s for never")
	}
	return nil
}
