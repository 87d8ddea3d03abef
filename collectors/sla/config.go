package sla

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// Bounds of an agreement.
const (
	MaxServices = 64
	MaxNeeds    = 64
)

// Config is one agreement, an item of the section agreements of the site file.
type Config struct {
	Name     string    `yaml:"name"`
	Title    string    `yaml:"title"` // for the report; empty: the name
	Services []Service `yaml:"services"`
	Hours    Hours     `yaml:"hours"`    // empty: 24x7
	Timezone string    `yaml:"timezone"` // of the IANA database; empty: the site's
	Holidays []string  `yaml:"holidays"` // 2026-12-24, or 12-25 for every year
	Target   string    `yaml:"target"`   // percent, at most four decimals; empty: none
	Counts   []string  `yaml:"counts"`   // owners whose downtime counts; empty: all but the customer
	Period   string    `yaml:"period"`   // Month (unless set), Quarter or Year
}

// Service is what is agreed to be there, in terms of what is measured: device/NAME,
// check/NAME, line.
type Service struct {
	Name   string   `yaml:"name"`
	Needs  []string `yaml:"needs"`  // all of these
	Any    []string `yaml:"any"`    // and one of these
	Target string   `yaml:"target"` // if it is another than the agreement's
}

// Sources are all that the service is made of, each once.
func (s *Service) Sources() []string {
	all := slices.Concat(s.Needs, s.Any)
	slices.Sort(all)
	return slices.Compact(all)
}

// Line is the source of the line to the MSP and the internet.
const Line = incident.Line

// ParseSource tells what a source is: "device" or "check" and its name, or "line".
func ParseSource(s string) (kind, name string, err error) {
	kind, name, _ = strings.Cut(s, "/")
	if s != Line && (kind != "device" && kind != "check" || name == "") {
		return "", "", fmt.Errorf("%q: is neither device/NAME, check/NAME nor line", collectors.Printable(collectors.Clip(s, 64)))
	}
	return kind, name, nil
}

// Validate reports the first setting that cannot work. Whether there are such devices
// and checks is not known here.
func (c Config) Validate() error {
	_, err := c.compile(time.UTC)
	return err
}

// Agreement is a Config that was understood.
type Agreement struct {
	Config
	calendar
	target int64 // millionths; 0: none
	rank   map[diagnosis.Owner]int
	counts map[diagnosis.Owner]bool
}

// New makes an agreement of its settings; site is the zone where they name none.
func New(c Config, site *time.Location) (*Agreement, error) {
	a, err := c.compile(site)
	if err != nil {
		return nil, fmt.Errorf("agreement %s: %w", c.Name, err)
	}
	return a, nil
}

// Location is the zone that hours and dates are in.
func (a *Agreement) Location() *time.Location { return a.loc }

// Counted tells whether an owner's downtime counts against the agreement.
func (a *Agreement) Counted(o diagnosis.Owner) bool { return a.counts[o] }

// Owners are all there are, in the order in which they are to blame and to be shown.
func Owners() []diagnosis.Owner {
	return []diagnosis.Owner{diagnosis.ISP, diagnosis.MSP, diagnosis.Nobody, diagnosis.Customer}
}

func (c Config) compile(site *time.Location) (*Agreement, error) {
	a := &Agreement{Config: c, calendar: calendar{loc: site}}
	if a.Title == "" {
		a.Title = c.Name
	}
	if a.Period == "" {
		a.Period = Month
	}
	var err error
	if c.Timezone != "" {
		a.loc, err = time.LoadLocation(c.Timezone)
		if err != nil || c.Timezone == "Local" {
			return nil, fmt.Errorf("timezone: %q is no time zone such as Europe/Berlin", collectors.Printable(collectors.Clip(c.Timezone, 64)))
		}
	}
	if a.week, err = c.Hours.parse(); err != nil {
		return nil, fmt.Errorf("hours: %w", err)
	}
	if a.free, err = parseHolidays(c.Holidays); err != nil {
		return nil, fmt.Errorf("holidays: %w", err)
	}
	if a.target, err = parseTarget(c.Target); err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if err := a.blame(); err != nil {
		return nil, fmt.Errorf("counts: %w", err)
	}
	if a.Period != Month && a.Period != Quarter && a.Period != Year {
		return nil, fmt.Errorf("period: is none of %s, %s, %s", Month, Quarter, Year)
	}
	if err := validServices(c.Services); err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	return a, nil
}

// blame works out who counts, and who is to blame first.
func (a *Agreement) blame() error {
	if len(a.Config.Counts) == 0 {
		a.Config.Counts = []string{string(diagnosis.ISP), string(diagnosis.MSP), string(diagnosis.Nobody)}
	}
	a.rank, a.counts = map[diagnosis.Owner]int{}, map[diagnosis.Owner]bool{}
	for _, s := range a.Config.Counts {
		o := diagnosis.Owner(s)
		if !slices.Contains(Owners(), o) {
			return fmt.Errorf("%q: is none of isp, msp, undetermined, customer", collectors.Printable(collectors.Clip(s, 64)))
		}
		if a.counts[o] {
			return fmt.Errorf("%q: is named twice", s)
		}
		a.counts[o], a.rank[o] = true, len(a.rank)
	}
	for _, o := range Owners() {
		if !a.counts[o] {
			a.rank[o] = len(a.rank)
		}
	}
	return nil
}

func validServices(ss []Service) error {
	switch {
	case len(ss) == 0:
		return errors.New("is missing; an agreement is about at least one service")
	case len(ss) > MaxServices:
		return fmt.Errorf("has more than %d", MaxServices)
	}
	seen := map[string]bool{}
	for _, s := range ss {
		where := "service " + collectors.Printable(collectors.Clip(s.Name, 64))
		switch {
		case s.Name == "" || len(s.Name) > 64:
			return errors.New("each needs a name of at most 64 bytes")
		case seen[s.Name]:
			return fmt.Errorf("%s is there twice", where)
		case len(s.Needs)+len(s.Any) == 0:
			return fmt.Errorf("%s is made of nothing; it needs device/NAME, check/NAME or line under needs (all of them) or any (one of them)", where)
		case len(s.Needs)+len(s.Any) > MaxNeeds:
			return fmt.Errorf("%s is made of more than %d", where, MaxNeeds)
		}
		seen[s.Name] = true
		for _, x := range s.Sources() {
			if _, _, err := ParseSource(x); err != nil {
				return fmt.Errorf("%s: %w", where, err)
			}
		}
		if _, err := parseTarget(s.Target); err != nil {
			return fmt.Errorf("%s: its target %w", where, err)
		}
	}
	return nil
}

// parseTarget reads percent, such as 99.95, as millionths.
func parseTarget(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	wrong := errors.New("must be percent, more than 0 and up to 100, with at most four decimals, such as 99.5")
	whole, decimals, _ := strings.Cut(strings.TrimSuffix(s, "%"), ".")
	if len(decimals) > 4 || len(whole) > 3 {
		return 0, wrong
	}
	n, err := strconv.ParseUint(whole+decimals+strings.Repeat("0", 4-len(decimals)), 10, 32)
	if err != nil || n == 0 || n > 1_000_000 {
		return 0, wrong
	}
	return int64(n), nil
}
