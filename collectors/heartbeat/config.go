package heartbeat

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/receive"
)

// Config is the site file's heartbeats section.
type Config struct {
	Listen string `yaml:"listen"` // :port or address:port; empty: nowhere, and no job can report
	Jobs   []Job  `yaml:"jobs"`
}

// Job is one that reports by itself.
type Job struct {
	Name   string            `yaml:"name"`
	Device string            `yaml:"device"` // the device that it runs on, if any
	Every  time.Duration     `yaml:"every"`  // how often it reports
	Grace  time.Duration     `yaml:"grace"`  // how late it may be
	Token  collectors.Secret `yaml:"token"`  // that it has to know
}

// Bounds.
const (
	maxJobs  = 200
	maxEvery = 400 * 24 * time.Hour
	minToken = 8
)

var (
	jobName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	tokens  = regexp.MustCompile(`^[ -~]+$`)
)

// Validate reports the first setting that cannot work. That the devices exist is
// checked with the whole site file.
func (c Config) Validate() error {
	if c.Listen == receive.Systemd {
		return errors.New("listen: systemd hands over no such socket; write :port or address:port")
	}
	if err := receive.ValidListen(c.Listen); err != nil {
		return err
	}
	switch {
	case len(c.Jobs) > maxJobs:
		return fmt.Errorf("jobs: at most %d", maxJobs)
	case len(c.Jobs) > 0 && c.Listen == "":
		return errors.New("listen: is missing; where do the jobs report, such as :9180?")
	}
	return nil
}

// Validate reports the first setting that cannot work.
func (j Job) Validate() error {
	token := j.Token.Reveal()
	switch {
	case !jobName.MatchString(j.Name):
		return errors.New("name: must be 1 to 64 letters, digits, dots, - and _")
	case j.Every < time.Minute || j.Every > maxEvery:
		return errors.New("every: must be between 1m and 400d")
	case j.Grace < 0 || j.Grace > maxEvery:
		return errors.New("grace: must be between 0s and 400d")
	case len(token) < minToken:
		return fmt.Errorf("token: is missing or shorter than %d characters", minToken)
	case !tokens.MatchString(token):
		return errors.New("token: must be printable ASCII; letters and digits stand in a URL as they are")
	}
	return nil
}

// Source is the name of a job's batches.
func (j Job) Source() string { return "heartbeat/" + j.Name }
