package incident

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Rule makes an incident of readings: of a value beyond a bound, or, among the rules of
// absence, of a reading that should come and does not.
type Rule struct {
	Name    string            `yaml:"name"`    // its word in incidents: letters, digits and _
	Metric  string            `yaml:"metric"`  // a name, or a regular expression that has to match the whole of one
	Of      string            `yaml:"of"`      // divide by this metric of the same labels: hrStorageUsed of hrStorageSize
	Minus   string            `yaml:"minus"`   // subtract this metric of the same labels, such as a device's own threshold
	Ends    bool              `yaml:"ends"`    // the value is a time; look at the seconds until then
	Device  string            `yaml:"device"`  // regular expression; host is the box itself, and devices that are clients count only where this is set
	Profile string            `yaml:"profile"` // likewise, of the profile that the site file names
	Class   string            `yaml:"class"`   // likewise, of the device's class: switch, ups, nas, ...
	Labels  map[string]string `yaml:"labels"`  // likewise
	Except  map[string]string `yaml:"except"`  // not where one of these labels matches

	Above *float64  `yaml:"above"`
	Below *float64  `yaml:"below"`
	Is    []float64 `yaml:"is"` // one of these, for states

	For      time.Duration `yaml:"for"`       // how long, at least
	Clear    *float64      `yaml:"clear"`     // it is over beyond this on the other side; nil: the bound itself
	ForClear time.Duration `yaml:"for_clear"` // how long, at least

	Severity string `yaml:"severity"` // info, warning (unless set) or error
	Owner    string `yaml:"owner"`    // customer, isp or msp; empty: the device's
	Summary  string `yaml:"summary"`  // with {device}, {value} and {LABEL}; empty: made of the others
}

// Config is the site file's incidents section.
type Config struct {
	Rules   []Rule `yaml:"rules"`
	Absence []Rule `yaml:"absence"`
	Builtin *bool  `yaml:"builtin"` // nil: the built-in rules hold too; a rule of the same name replaces one
	// Settle is how long all is well before an incident is over; 0: 3 minutes.
	Settle time.Duration `yaml:"settle"`
}

// Bounds of rules.
const (
	maxRules = 200
	maxFor   = 7 * 24 * time.Hour
)

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if c.Settle != 0 && (c.Settle < shortest || c.Settle > stable) {
		return errors.New("settle: must be between 10s and 30m")
	}
	if len(c.Rules) > maxRules || len(c.Absence) > maxRules {
		return fmt.Errorf("rules: there are more than %d", maxRules)
	}
	seen := map[string]bool{}
	for i, r := range slices.Concat(c.Rules, c.Absence) {
		if seen[r.Name] {
			return fmt.Errorf("rules: the name %q is used twice", collectors.Clip(r.Name, 64))
		}
		seen[r.Name] = true
		if i >= len(c.Rules) {
			if r.bounded() || r.Of != "" || r.Minus != "" || r.Ends || r.Clear != nil || r.ForClear != 0 {
				return fmt.Errorf("absence: %s: a reading that does not come has no value", r.Name)
			}
			if r.For <= 0 {
				return fmt.Errorf("absence: %s: for is missing", r.Name)
			}
		} else if !r.bounded() {
			return fmt.Errorf("rules: %s: needs above, below or is", r.Name)
		}
	}
	return nil
}

func (r *Rule) bounded() bool { return r.Above != nil || r.Below != nil || len(r.Is) > 0 }

// Validate reports the first setting of one rule that cannot work.
func (r Rule) Validate() error {
	switch {
	case !word.MatchString(r.Name):
		return errors.New("name: must be 1 to 64 of a-z, 0-9 and _, such as cpu_high")
	case r.Metric == "":
		return errors.New("metric: is missing")
	case r.Above != nil && r.Below != nil, len(r.Is) > 0 && (r.Above != nil || r.Below != nil):
		return errors.New("above: stands alone, as below and is do")
	case r.Clear != nil && len(r.Is) > 0:
		return errors.New("clear: has no use together with is")
	case r.Above != nil && r.Clear != nil && *r.Clear > *r.Above, r.Below != nil && r.Clear != nil && *r.Clear < *r.Below:
		return errors.New("clear: is on the wrong side of the bound")
	case r.Of != "" && r.Minus != "", r.Ends && r.Of+r.Minus != "":
		return errors.New("of: stands alone, as minus and ends do")
	case r.For < 0 || r.For > maxFor:
		return errors.New("for: must be between 0s and 7d")
	case r.ForClear < 0 || r.ForClear > maxFor:
		return errors.New("for_clear: must be between 0s and 7d")
	case len(r.Labels) > collectors.MaxLabels || len(r.Except) > collectors.MaxLabels || len(r.Is) > 64:
		return errors.New("labels: there are too many")
	}
	switch r.Severity {
	case "", "info", "warning", "error":
	default:
		return errors.New("severity: must be info, warning or error")
	}
	switch diagnosis.Owner(r.Owner) {
	case "", diagnosis.Customer, diagnosis.ISP, diagnosis.MSP:
	default:
		return errors.New("owner: must be customer, isp or msp")
	}
	_, err := r.compile()
	return err
}

var word = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// compiled is a rule that can be asked.
type compiled struct {
	Rule
	absence                        bool
	metric, device, profile, class *regexp.Regexp // nil: all
	labels, except                 map[string]*regexp.Regexp
}

func (r *Rule) compile() (*compiled, error) {
	c := &compiled{Rule: *r}
	for _, x := range []struct {
		key, text string
		to        **regexp.Regexp
	}{{"metric", r.Metric, &c.metric}, {"device", r.Device, &c.device}, {"profile", r.Profile, &c.profile}, {"class", r.Class, &c.class}} {
		if x.text == "" {
			continue
		}
		re, err := whole(x.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.key, err)
		}
		*x.to = re
	}
	for _, x := range []struct {
		key  string
		from map[string]string
		to   *map[string]*regexp.Regexp
	}{{"labels", r.Labels, &c.labels}, {"except", r.Except, &c.except}} {
		*x.to = map[string]*regexp.Regexp{}
		for _, name := range slices.Sorted(maps.Keys(x.from)) {
			re, err := whole(x.from[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", x.key, collectors.Clip(name, 40), err)
			}
			(*x.to)[name] = re
		}
	}
	return c, nil
}

func whole(s string) (*regexp.Regexp, error) {
	if len(s) > collectors.MaxText {
		return nil, errors.New("is too long")
	}
	re, err := regexp.Compile("^(?:" + s + ")$")
	if err != nil {
		return nil, errors.New("is not a regular expression")
	}
	return re, nil
}

// concerns tells whether a rule is about a source at all.
func (c *compiled) concerns(w *Watched, name string) bool {
	return (!w.Quiet || c.device != nil) && fits(c.device, name) && fits(c.profile, w.Profile) && fits(c.class, w.Class)
}

func fits(re *regexp.Regexp, s string) bool { return re == nil || re.MatchString(s) }

// matches tells whether a rule is about a series.
func (c *compiled) matches(s *collectors.Series) bool {
	if s.Kind == collectors.Text && !c.absence || !fits(c.metric, s.Metric) {
		return false
	}
	for name, re := range c.labels {
		if !re.MatchString(s.Label(name)) {
			return false
		}
	}
	for name, re := range c.except {
		if re.MatchString(s.Label(name)) {
			return false
		}
	}
	return true
}

// beyond tells whether a value is beyond the bound; clear whether it is well on the
// other side. In between it stays what it was.
func (c *compiled) beyond(v float64) (beyond, clear bool) {
	switch {
	case c.Above != nil:
		limit := *c.Above
		if c.Clear != nil {
			limit = *c.Clear
		}
		return v > *c.Above, v <= limit
	case c.Below != nil:
		limit := *c.Below
		if c.Clear != nil {
			limit = *c.Clear
		}
		return v < *c.Below, v >= limit
	}
	is := slices.Contains(c.Is, v)
	return is, !is
}

func (c *compiled) severity() collectors.Severity {
	switch c.Severity {
	case "info":
		return collectors.Info
	case "error":
		return collectors.Error
	}
	return collectors.Warning
}

// sentence says what is wrong, to a person.
func (c *compiled) sentence(device string, s *collectors.Series, v float64) string {
	value := strconv.FormatFloat(v, 'g', 4, 64)
	if c.Ends {
		value = strconv.FormatFloat(v/86400, 'f', 1, 64) + " days"
	}
	if c.Of != "" {
		value = strconv.FormatFloat(v*100, 'f', 1, 64) + " %"
	}
	if c.Summary == "" {
		return collectors.Clip(fmt.Sprintf("%s of %s is %s.", s.Metric, device, value), collectors.MaxText)
	}
	var pairs []string
	for _, l := range s.Labels {
		pairs = append(pairs, "{"+l.Name+"}", l.Value)
	}
	pairs = append(pairs, "{device}", device, "{value}", value) // a label of that name comes first
	return collectors.Clip(strings.TrimSpace(placeholders.ReplaceAllString(strings.NewReplacer(pairs...).Replace(c.Summary), "")), collectors.MaxText)
}

var placeholders = regexp.MustCompile(`\{[A-Za-z_]+\}`)
