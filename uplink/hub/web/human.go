package web

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/siteprobe/siteprobe/collectors"
)

// narrow is a space at which no line breaks, between a number and its unit and
// between thousands.
const narrow = "\u202f"

// none stands for a reading that is missing.
const none = "–"

// plain makes text of a stranger fit to be shown in a line: at most n octets,
// without control characters and those that turn the direction of writing. It does
// not escape; the templates do.
func plain(s string, n int) string {
	cut := collectors.Clip(s, n)
	if len(cut) < len(s) {
		cut += "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return '\uFFFD'
		}
		return r
	}, cut)
}

// words is plain for a sentence or a label value.
func words(s string) string { return plain(s, collectors.MaxText) }

// scale is how a number of a unit is written: divided by div, and what follows it.
type scale struct {
	div    float64
	suffix string
}

// scaleOf chooses the scale for numbers of about the size of v.
func scaleOf(v float64, unit string) scale {
	v = math.Abs(v)
	switch unit {
	case "bits_per_second":
		return prefixed(v, 1000, 1, "bit/s", "", "k", "M", "G", "T")
	case "megabits_per_second":
		return prefixed(v, 1000, 1e-6, "bit/s", "", "k", "M", "G", "T")
	case "bytes":
		return prefixed(v, 1024, 1, "B", "", "Ki", "Mi", "Gi", "Ti", "Pi")
	case "bytes_per_second":
		return prefixed(v, 1024, 1, "B/s", "", "Ki", "Mi", "Gi", "Ti")
	case "seconds":
		return secondsScale(v, 1)
	case "centiseconds":
		return secondsScale(v/100, 100)
	case "celsius":
		return scale{1, "°C"}
	case "ratio":
		return scale{0.01, "%"}
	case "percent":
		return scale{1, "%"}
	case "", "per_second":
		suffix := map[string]string{"per_second": "/s"}[unit]
		if v < 1e6 {
			return scale{1, suffix}
		}
		return prefixed(v, 1000, 1, suffix, "", "k", "M", "G", "T")
	}
	if u, ok := strings.CutSuffix(unit, "_per_second"); ok {
		return scale{1, plain(strings.ReplaceAll(u, "_", " "), collectors.MaxName) + "/s"}
	}
	return scale{1, plain(strings.ReplaceAll(unit, "_", " "), collectors.MaxName)}
}

func prefixed(v, step, div float64, unit string, prefixes ...string) scale {
	i := 0
	for i+1 < len(prefixes) && v/div >= step*0.9995 {
		div *= step
		i++
	}
	return scale{div, prefixes[i] + unit}
}

func secondsScale(s, div float64) scale {
	switch {
	case s == 0:
		return scale{div, "s"}
	case s < 0.9995e-3:
		return scale{div * 1e-6, "µs"}
	case s < 0.9995:
		return scale{div * 1e-3, "ms"}
	case s < 120:
		return scale{div, "s"}
	case s < 2*3600:
		return scale{div * 60, "min"}
	case s < 2*86400:
		return scale{div * 3600, "h"}
	}
	return scale{div * 86400, "d"}
}

// quantity writes a number with its unit, to three digits: "12.3 Mbit/s".
func quantity(v float64, unit string) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+")
	}
	if s := map[string]float64{"seconds": 1, "centiseconds": 100}[unit]; s != 0 && math.Abs(v/s) >= 120 && math.Abs(v/s) < 1e9 {
		d := duration(time.Duration(math.Abs(v/s) * float64(time.Second)))
		if v < 0 {
			return "−" + d
		}
		return d
	}
	s := scaleOf(v, unit)
	if s.suffix == "" {
		return digits(v/s.div, 3)
	}
	return digits(v/s.div, 3) + narrow + s.suffix
}

// digits writes a number to n digits, an integer up to ten millions in full.
func digits(v float64, n int) string {
	if v == 0 {
		return "0"
	}
	if v == math.Trunc(v) && math.Abs(v) < 1e7 {
		return thousands(strconv.FormatInt(int64(v), 10))
	}
	if a := math.Abs(v); a < 1e-4 || a >= 1e7 {
		return strings.Replace(strconv.FormatFloat(v, 'g', n, 64), "e+", "e", 1)
	}
	p := max(0, n-1-int(math.Floor(math.Log10(math.Abs(v)))))
	s := strconv.FormatFloat(v, 'f', min(p, 7), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return thousands(s)
}

// thousands parts the thousands of a decimal number of five digits or more.
func thousands(s string) string {
	sign := ""
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		sign, s = "−", rest
	}
	whole, fraction, dot := strings.Cut(s, ".")
	if len(whole) > 4 {
		var b strings.Builder
		for i, c := range whole {
			if i > 0 && (len(whole)-i)%3 == 0 {
				b.WriteString(narrow)
			}
			b.WriteRune(c)
		}
		whole = b.String()
	}
	if dot {
		whole += "." + fraction
	}
	return sign + whole
}

func count[T int | int64 | uint64](n T) string {
	if n < 0 {
		return thousands(strconv.FormatInt(int64(n), 10))
	}
	return thousands(strconv.FormatUint(uint64(n), 10))
}

// duration writes a length of time by its two largest units: "3 d 4 h".
func duration(d time.Duration) string {
	type part struct {
		size time.Duration
		name string
	}
	parts := []part{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, p := range parts {
		if d < p.size {
			continue
		}
		out := count(int64(d/p.size)) + narrow + p.name
		if i+1 < len(parts) && d < 10*p.size {
			if rest := d % p.size / parts[i+1].size; rest > 0 {
				out += " " + count(int64(rest)) + narrow + parts[i+1].name
			}
		}
		return out
	}
	return "0" + narrow + "s"
}

// days writes a time ahead, in days.
func days(d float64) string {
	switch {
	case d < 1./24:
		return "less than an hour"
	case d < 100*365:
		return duration(time.Duration(math.Round(d*24)) * time.Hour)
	}
	return "100 years and more"
}
