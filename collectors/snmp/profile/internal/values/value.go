package values

import (
	"cmp"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// Bounds of single values.
const (
	maxText   = 512  // bytes of a text
	MaxRegexp = 1024 // bytes of a regular expression
	maxEnum   = 1024 // words of an enumeration
	MaxList   = 1024 // items of a list that holds no metrics
)

type node = yamlfile.Node

// Keys are what a mapping may hold. Where the function is nil the key is known and
// means nothing here.
type Keys map[string]func(*node)

// Keys gives each value of n to the function of its key. A key that is not known is
// a warning that names the nearest one. It is false where anything was wrong: what n
// describes is then not what somebody meant.
func (r *Report) Keys(n *node, what string, known Keys) bool {
	if n.Kind != yamlfile.Mapping {
		r.Errorf(n.At, "%s must be keys with values, not %s", what, n.Kind)
		return false
	}
	before := r.Errors
	seen := make(map[string]yamlfile.Place, len(n.Entries))
	for _, e := range n.Entries {
		take, ok := known[e.Key]
		first, twice := seen[e.Key]
		switch {
		case twice:
			r.Errorf(e.At, "%q is set twice, first in line %d", Clip(e.Key), first.Line)
			continue
		case !ok:
			r.unknown(e, known)
		case take != nil && e.Value.Kind != yamlfile.Empty:
			take(e.Value)
		}
		seen[e.Key] = e.At
	}
	return r.Errors == before
}

func (r *Report) unknown(e yamlfile.Entry, known Keys) {
	names := slices.Sorted(maps.Keys(known))
	if near := yamlfile.Nearest(e.Key, names); near != "" {
		r.Warnf(e.At, "unknown key %q, did you mean %q?", Clip(e.Key), near)
		return
	}
	r.Warnf(e.At, "unknown key %q is left out; known here: %s", Clip(e.Key), strings.Join(names, ", "))
}

// Clip shortens what a message repeats of the file.
func Clip(s string) string { return collectors.Clip(s, 64) }

// Items gives each item of a list to take. One value alone counts as a list of it.
func (r *Report) Items(n *node, limit int, take func(*node)) {
	switch n.Kind {
	case yamlfile.Empty:
	case yamlfile.List:
		for i, item := range n.Items {
			if i == limit {
				r.Errorf(item.At, "the list has more than %d items; the rest is left out", limit)
				return
			}
			take(item)
		}
	default:
		take(n)
	}
}

// Text takes a single value as it is written.
func (r *Report) Text(n *node, what string) (string, bool) {
	switch {
	case n.Kind != yamlfile.Scalar:
		r.Errorf(n.At, "%s must be a single value, not %s", what, n.Kind)
	case len(n.Text) > maxText:
		r.Errorf(n.At, "%s is longer than %d bytes", what, maxText)
	case strings.ContainsFunc(n.Text, func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }):
		r.Errorf(n.At, "%s holds characters that are no text", what)
	default:
		return strings.TrimSpace(n.Text), true
	}
	return "", false
}

// SetText makes a function for a key that fills one variable.
func (r *Report) SetText(to *string, what string) func(*node) {
	return func(n *node) {
		if s, ok := r.Text(n, what); ok {
			*to = s
		}
	}
}

// SetBool likewise takes true or false.
func (r *Report) SetBool(to *bool, what string) func(*node) {
	return func(n *node) {
		switch {
		case n.Kind == yamlfile.Scalar && n.Plain && strings.EqualFold(n.Text, "true"):
			*to = true
		case n.Kind == yamlfile.Scalar && n.Plain && strings.EqualFold(n.Text, "false"):
			*to = false
		default:
			r.Errorf(n.At, "%s must be true or false", what)
		}
	}
}

// Word takes one of the given words.
func Word[T any](r *Report, to *T, what string, words map[string]T) func(*node) {
	return func(n *node) {
		s, ok := r.Text(n, what)
		if !ok {
			return
		}
		v, known := words[s]
		if !known {
			names := slices.Sorted(maps.Keys(words))
			hint := "one of " + strings.Join(names, ", ")
			if near := yamlfile.Nearest(s, names); near != "" {
				hint = "did you mean " + strconv.Quote(near) + "?"
			}
			r.Errorf(n.At, "%s cannot be %q; %s", what, Clip(s), hint)
			return
		}
		*to = v
	}
}

// Integer takes a whole number within bounds.
func (r *Report) Integer(n *node, what string, low, high int64) (int64, bool) {
	s, ok := r.Text(n, what)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil || i < low || i > high {
		if low == math.MinInt64 {
			r.Errorf(n.At, "%s must be a whole number, not %q", what, Clip(s))
		} else {
			r.Errorf(n.At, "%s must be a whole number from %d to %d, not %q", what, low, high, Clip(s))
		}
		return 0, false
	}
	return i, true
}

// SetInt likewise fills one variable.
func (r *Report) SetInt(to *int, what string, low, high int64) func(*node) {
	return func(n *node) {
		if i, ok := r.Integer(n, what, low, high); ok {
			*to = int(i)
		}
	}
}

// SetNumber takes a number, or two with a stroke between them: 5/9.
func (r *Report) SetNumber(to *float64, what string) func(*node) {
	return func(n *node) {
		s, ok := r.Text(n, what)
		if !ok {
			return
		}
		over, under, fraction := strings.Cut(s, "/")
		f, err := strconv.ParseFloat(strings.TrimSpace(over), 64)
		if fraction && err == nil {
			var d float64
			d, err = strconv.ParseFloat(strings.TrimSpace(under), 64)
			f /= d
		}
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			r.Errorf(n.At, "%s must be a number such as 0.1 or 5/9, not %q", what, Clip(s))
			return
		}
		*to = f
	}
}

// SetInterval takes a duration; without a unit it is seconds.
func (r *Report) SetInterval(to *time.Duration) func(*node) {
	return func(n *node) {
		s, ok := r.Text(n, "interval")
		if !ok {
			return
		}
		if _, err := strconv.Atoi(s); err == nil {
			s += "s"
		}
		d, err := time.ParseDuration(s)
		if err != nil || d < time.Second || d > 7*24*time.Hour {
			r.Errorf(n.At, "interval must be a duration such as 30s, 5m or 24h, up to 168h, not %q", Clip(s))
			return
		}
		*to = d
	}
}

// OID takes a dotted identifier.
func (r *Report) OID(n *node) ([]byte, bool) {
	s, ok := r.Text(n, "OID")
	if !ok {
		return nil, false
	}
	b, ok := pdu.AppendOID(nil, s)
	if !ok {
		r.Errorf(n.At, "%q is no OID in numbers, such as 1.3.6.1.2.1.1.3.0", Clip(s))
	}
	return b, ok
}

// SetOID takes an identifier, alone or as {OID: ..., name: ...}.
func (r *Report) SetOID(to *[]byte) func(*node) {
	return func(n *node) {
		if n.Kind == yamlfile.Mapping {
			r.Keys(n, "a symbol", Keys{"OID": r.SetOID(to), "name": nil})
			return
		}
		*to, _ = r.OID(n)
	}
}

// Regexp takes a regular expression.
func (r *Report) Regexp(n *node, what string) (*regexp.Regexp, bool) {
	switch {
	case n.Kind != yamlfile.Scalar:
		r.Errorf(n.At, "%s must be a regular expression, not %s", what, n.Kind)
		return nil, false
	case len(n.Text) > MaxRegexp:
		r.Errorf(n.At, "%s is longer than %d bytes", what, MaxRegexp)
		return nil, false
	}
	re, err := regexp.Compile(strings.TrimRight(n.Text, "\n"))
	if err != nil {
		r.Errorf(n.At, "%s is no regular expression (RE2): %s", what, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil, false
	}
	return re, true
}

// group finds what stands for a group in a template: \1, $1 and ${1}.
var group = regexp.MustCompile(`\\(\d+)|\$(\d+)|\$\{(\d+)\}`)

// Template takes text that puts groups of re together and writes it as package
// regexp wants it.
func (r *Report) Template(n *node, what string, re *regexp.Regexp) (string, bool) {
	s, ok := r.Text(n, what)
	if !ok {
		return "", false
	}
	for _, m := range group.FindAllStringSubmatch(s, -1) {
		if i, err := strconv.Atoi(cmp.Or(m[1], m[2], m[3])); err != nil || i > re.NumSubexp() {
			r.Errorf(n.At, "%s asks for group %s, but the expression has %d", what, Clip(cmp.Or(m[1], m[2], m[3])), re.NumSubexp())
			return "", false
		}
	}
	return group.ReplaceAllString(s, "$${$1$2$3}"), true
}

// SetEnum takes words for numbers. The other way round ({up: 1}) is understood, too.
func (r *Report) SetEnum(to *map[int64]string) func(*node) {
	return func(n *node) {
		if n.Kind != yamlfile.Mapping {
			r.Errorf(n.At, "must be numbers with their words, such as {1: up, 2: down}, not %s", n.Kind)
			return
		}
		out := make(map[int64]string, len(n.Entries))
		for i, e := range n.Entries {
			if i == maxEnum {
				r.Errorf(e.At, "there are more than %d words; the rest is left out", maxEnum)
				break
			}
			value, ok := r.Text(e.Value, "a word")
			if !ok {
				continue
			}
			k, err := strconv.ParseInt(e.Key, 10, 64)
			if v, errV := strconv.ParseInt(value, 10, 64); err != nil && errV == nil {
				k, value, err = v, e.Key, nil
			}
			if err != nil {
				r.Warnf(e.At, "%q is no whole number; only numbers have words here", Clip(e.Key))
				continue
			}
			if _, twice := out[k]; !twice {
				out[k] = value
			}
		}
		*to = out
	}
}

// SetWords takes numbers for words.
func (r *Report) SetWords(to *map[string]float64) func(*node) {
	return func(n *node) {
		if n.Kind != yamlfile.Mapping {
			r.Errorf(n.At, "words must be texts with their numbers, such as {OK: 0, FAIL: 1}, not %s", n.Kind)
			return
		}
		out := make(map[string]float64, len(n.Entries))
		for i, e := range n.Entries {
			if i == maxEnum {
				r.Errorf(e.At, "there are more than %d words; the rest is left out", maxEnum)
				break
			}
			f := math.NaN()
			if r.SetNumber(&f, "the number of a word")(e.Value); !math.IsNaN(f) {
				out[Clip(e.Key)] = f
			}
		}
		*to = out
	}
}

// MetricName makes a name that dashboards can use of one that may be anybody's:
// what is no letter, digit, _ or : becomes _.
func MetricName(s string) string { return cleanName(s, true) }

// LabelName likewise, without the colon.
func LabelName(s string) string { return cleanName(s, false) }

func cleanName(s string, colon bool) string {
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		s = "_" + s
	}
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == ':' && colon:
			return c
		}
		return '_'
	}, s)
	return s[:min(len(s), collectors.MaxName)]
}
