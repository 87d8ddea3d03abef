package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/heartbeat"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/notify"
	"github.com/siteprobe/siteprobe/collectors/runbook"
	"github.com/siteprobe/siteprobe/collectors/schedule"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/sla"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/syslog"
	"github.com/siteprobe/siteprobe/collectors/topology"
	"github.com/siteprobe/siteprobe/collectors/trap"
	"github.com/siteprobe/siteprobe/uplink"
)

// Site is a whole site file, valid, with its defaults and secrets filled in.
type Site struct {
	Info        Info                   `yaml:"site"`
	Scope       scope.Config           `yaml:"scope"`
	Credentials []Credential           `yaml:"credentials"`
	Defaults    Defaults               `yaml:"defaults"`
	Devices     []Device               `yaml:"devices"`
	Profiles    string                 `yaml:"profiles"` // the folder of the user's device profiles, absolute
	Discovery   discovery.Config       `yaml:"discovery"`
	Checks      []check.Config         `yaml:"checks"`
	Agreements  []sla.Config           `yaml:"agreements"` // service levels
	Topology    topology.Config        `yaml:"topology"`
	Diagnosis   diagnosis.Config       `yaml:"diagnosis"`
	Clock       host.ClockConfig       `yaml:"clock"`
	Notices     []notify.Config        `yaml:"notices"`
	Runbooks    string                 `yaml:"runbooks"` // the folder of the MSP's runbook cards, absolute
	Buffer      buffer.Config          `yaml:"buffer"`
	Uplink      uplink.Config          `yaml:"uplink"`
	Metrics     Metrics                `yaml:"metrics"`
	Traps       trap.Config            `yaml:"traps"`
	Syslog      syslog.Config          `yaml:"syslog"`
	Heartbeats  heartbeat.Config       `yaml:"heartbeats"`
	Incidents   incident.Config        `yaml:"incidents"`
	Maintenance []incident.Maintenance `yaml:"maintenance"`
	Limits      schedule.Config        `yaml:"limits"`

	// Warnings are what is worth a look but does not keep the site file from
	// being used.
	Warnings []Problem `yaml:"-"`

	hash string
}

// Hash names the configuration: 64 hexadecimal digits that are equal for files
// that say the same, whatever their comments, style and division into conf.d.
// Secrets are in it by their reference only, so it can be shown; a secret that
// changes in its place leaves it as it is.
func (s *Site) Hash() string { return s.hash }

// DefaultProfiles is the folder of a user's device profiles, unless the site file
// names another.
const DefaultProfiles = "/etc/siteprobe/profiles.d"

// DefaultRunbooks is the folder of the MSP's runbook cards, unless the site file names
// another.
const DefaultRunbooks = "/etc/siteprobe/runbooks.d"

// defaults is what applies where the site file says nothing.
func defaults() Site {
	return Site{
		Info:      Info{Timezone: "UTC", Language: "en", Internet: InternetFull},
		Profiles:  DefaultProfiles,
		Runbooks:  DefaultRunbooks,
		Defaults:  Defaults{Interval: time.Minute, Timeout: 3 * time.Second, Retries: 1},
		Topology:  topology.DefaultConfig(),
		Diagnosis: diagnosis.DefaultConfig(),
		Buffer:    buffer.DefaultConfig(),
		Uplink:    uplink.DefaultConfig(),
		Limits:    schedule.DefaultConfig(),
	}
}

// What line to the outside a site has.
const (
	InternetFull    = "full"
	InternetLimited = "limited" // metered or slow
	InternetNone    = "none"    // never: an air-gapped site
)

// Info says which site this is and whom to call there.
type Info struct {
	ID       string    `yaml:"id"`       // a level of the MQTT topic: a-z, 0-9 and -
	Tenant   string    `yaml:"tenant"`   // likewise
	Timezone string    `yaml:"timezone"` // of the IANA database; UTC unless set
	Language string    `yaml:"language"` // that people at the site read, such as de; en unless set
	Internet string    `yaml:"internet"` // InternetFull (unless set), InternetLimited or InternetNone
	WAN      WAN       `yaml:"wan"`
	Contacts []Contact `yaml:"contacts"`
	Support  Contact   `yaml:"support"` // whom people at the site call at the MSP
}

// WAN is whom to call about the line, and with what reference.
type WAN struct {
	ISP     string `yaml:"isp"`
	Circuit string `yaml:"circuit"`
	Hotline string `yaml:"hotline"`
}

// Contact is somebody at the site.
type Contact struct {
	Name  string `yaml:"name"`
	Phone string `yaml:"phone"`
	Email string `yaml:"email"`
}

// Validate reports the first setting that cannot work.
func (i Info) Validate() error {
	const level = "must be 1 to 63 of a-z, 0-9 and -, not - first (it is a level of the MQTT topic)"
	switch {
	case !topic.MatchString(i.ID):
		return errors.New("id: " + level)
	case !topic.MatchString(i.Tenant):
		return errors.New("tenant: " + level)
	}
	if _, err := time.LoadLocation(i.Timezone); err != nil || i.Timezone == "" || i.Timezone == "Local" {
		return fmt.Errorf("timezone: %q is no time zone such as Europe/Berlin", clip(i.Timezone))
	}
	if !runbook.ValidLang(i.Language) {
		return fmt.Errorf("language: %q is no language such as en or de", clip(i.Language))
	}
	if i.Support != (Contact{}) {
		if err := i.Support.Validate(); err != nil {
			return fmt.Errorf("support: %w", err)
		}
	}
	switch i.Internet {
	case InternetFull, InternetLimited, InternetNone:
	default:
		return fmt.Errorf("internet: %q is none of %s, %s, %s", clip(i.Internet), InternetFull, InternetLimited, InternetNone)
	}
	return nil
}

// Validate reports the first setting that cannot work.
func (c Contact) Validate() error {
	switch {
	case c.Name == "":
		return errors.New("name: is missing")
	case c.Phone == "" && c.Email == "":
		return errors.New("needs a phone or an email")
	}
	return nil
}

// Location is the site's time zone.
func (i Info) Location() *time.Location {
	loc, err := time.LoadLocation(i.Timezone)
	if err != nil { // the time zone database was there when the site file was read
		return time.UTC
	}
	return loc
}

// Credential is a way to authenticate at devices, by its name.
type Credential struct {
	Name string     `yaml:"name"`
	SNMP *snmp.Auth `yaml:"snmp"`
}

// Defaults apply to every device and check that says nothing else.
type Defaults struct {
	Interval    time.Duration `yaml:"interval"` // between two collections of a source
	Timeout     time.Duration `yaml:"timeout"`  // of one request
	Retries     int           `yaml:"retries"`  // requests after the first that was not answered
	Credentials []string      `yaml:"credentials"`
}

// Device is one device that is polled.
type Device struct {
	Name        string            `yaml:"name"`
	Address     string            `yaml:"address"` // host or host:port; the port is SNMP's
	Owner       string            `yaml:"owner"`   // whose it is, such as isp; empty: the customer's
	Parent      string            `yaml:"parent"`  // the device behind which it stands: when that is down, this cannot answer
	Profile     Profile           `yaml:"profile"` // what it is asked for; without one: chosen by what the device says that it is
	Watch       []string          `yaml:"watch"`   // what of it matters: wan, uplinks, or interfaces by name
	Ping        bool              `yaml:"ping"`    // ping it; without credentials of its own it is only pinged
	Credentials []string          `yaml:"credentials"`
	Interval    time.Duration     `yaml:"interval"` // 0: the default
	Timeout     time.Duration     `yaml:"timeout"`  // 0: the default
	Retries     *int              `yaml:"retries"`  // nil: the default
	Labels      map[string]string `yaml:"labels"`
}

// Profile names what a device is asked for: a profile, or a module of an snmp.yml.
// In the site file a name may stand alone.
type Profile struct {
	Name         string `yaml:"name"`          // of a built-in or a user's profile
	SNMPExporter string `yaml:"snmp_exporter"` // the file, absolute
	Module       string `yaml:"module"`        // in that file
}

// Validate reports the first setting that cannot work. Whether there is such a
// profile is not known here: the files are the appliance's to read.
func (p Profile) Validate() error {
	switch {
	case p == Profile{}:
		return nil
	case p.Name != "" && (p.SNMPExporter != "" || p.Module != ""):
		return errors.New("is either a name or a module of an snmp.yml")
	case p.Name != "":
		if !name.MatchString(p.Name) {
			return errors.New("must be the name of a profile: letters, digits, dots, - and _")
		}
	case p.SNMPExporter == "":
		return errors.New("snmp_exporter: is missing; the file that the module is in")
	case !filepath.IsAbs(p.SNMPExporter):
		return errors.New("snmp_exporter: must be an absolute path")
	case p.Module == "":
		return errors.New("module: is missing; which module of the file is meant?")
	}
	return nil
}

// Bounds of an interval, a timeout and retries.
const (
	MinInterval = time.Second
	MaxInterval = 24 * time.Hour
	MinTimeout  = 100 * time.Millisecond
	MaxTimeout  = time.Minute
	MaxRetries  = 10
)

func validTimes(interval, timeout time.Duration, retries int) error {
	switch {
	case interval < MinInterval || interval > MaxInterval:
		return fmt.Errorf("interval: must be between %v and 24h", MinInterval)
	case timeout < MinTimeout || timeout > MaxTimeout:
		return fmt.Errorf("timeout: must be between %v and 1m", MinTimeout)
	case timeout > interval:
		return errors.New("timeout: must not be longer than the interval")
	case retries < 0 || retries > MaxRetries:
		return fmt.Errorf("retries: must be between 0 and %d", MaxRetries)
	}
	return nil
}

// Validate reports the first setting that cannot work. That the credentials exist
// is checked with the whole site file.
func (d Defaults) Validate() error { return validTimes(d.Interval, d.Timeout, d.Retries) }

// Metrics is where the probe serves its own metrics to Prometheus.
type Metrics struct {
	Listen string `yaml:"listen"` // host:port, such as 127.0.0.1:9273; empty: nowhere
}

// Validate reports the first setting that cannot work.
func (m Metrics) Validate() error {
	if m.Listen == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(m.Listen)
	if err != nil {
		return errors.New("listen: must be host:port, such as 127.0.0.1:9273")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("listen: its port must be a number up to 65535")
	}
	return nil
}
