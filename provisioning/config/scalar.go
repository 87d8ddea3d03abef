package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/buffer"
)

// maxString bounds a text of the site file, in bytes.
const maxString = 1024

// parseString takes a scalar as text. A plain number is the text it is written
// as, so version: 3 is "3", unless YAML's readers disagree about its value.
func parseString(n *node) (string, error) {
	switch {
	case n.number && !decimal(n.text):
		return "", errors.New("is a number that can be read in two ways (010 is 8 to some); put it into quotes")
	case len(n.text) > maxString:
		return "", fmt.Errorf("is longer than %d bytes", maxString)
	case !utf8.ValidString(n.text) || strings.ContainsRune(n.text, 0):
		return "", errors.New("holds characters that are no text")
	}
	return n.text, nil
}

// decimal tells whether s is a whole number as everybody would write it.
func decimal(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 1 && digits[0] == '0' {
		return false
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func parseBool(n *node) (bool, error) {
	switch {
	case n.plain && n.text == "true":
		return true, nil
	case n.plain && n.text == "false":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func parseFloat(n *node) (float64, error) {
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil || !n.plain || f-f != 0 { // nor infinite
		return 0, errors.New("must be a number such as 90 or 0.5")
	}
	return f, nil
}

func parseInt(n *node) (int, error) {
	if !n.plain || !decimal(n.text) {
		return 0, errors.New("must be a whole number such as 10")
	}
	i, err := strconv.ParseInt(n.text, 10, 32)
	if err != nil {
		return 0, errors.New("is too large a number")
	}
	return int(i), nil
}

// parseDuration reads Go's durations and, before them, days.
func parseDuration(n *node) (time.Duration, error) {
	bad := errors.New("must be a duration such as 30s, 5m, 1h30m or 35d")
	if decimal(n.text) {
		return 0, fmt.Errorf("has no unit; write %ss if seconds are meant", clip(n.text))
	}
	text, days := n.text, 0.0
	if before, after, ok := strings.Cut(text, "d"); ok {
		var err error
		if days, err = number(before); err != nil || days > 36500 {
			return 0, bad
		}
		text = after
	}
	var rest time.Duration
	if text != "" {
		var err error
		if rest, err = time.ParseDuration(text); err != nil {
			return 0, bad
		}
	}
	switch {
	case n.text == "":
		return 0, bad
	case rest < 0 || strings.HasPrefix(text, "-"):
		return 0, errors.New("must not be negative")
	case rest > 36500*24*time.Hour:
		return 0, bad
	}
	return time.Duration(days*24*float64(time.Hour)) + rest, nil
}

// number reads digits with at most one point among them.
func number(s string) (float64, error) {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, errors.New("not a number")
	}
	return strconv.ParseFloat(s, 64)
}

// parseBytes reads a number and its unit, of 1024 (KiB) or of 1000 (kB).
func parseBytes(n *node) (buffer.Bytes, error) {
	bad := errors.New("must be a size such as 512MiB, 2GiB or 4GB")
	digits := strings.TrimRight(n.text, "kKMGTiB ")
	unit, ok := map[string]float64{
		"B":  1,
		"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[strings.TrimSpace(n.text[len(digits):])]
	f, err := number(digits)
	switch {
	case err == nil && digits == n.text:
		return 0, errors.New("has no unit; write a size such as 512MiB, 2GiB or 4GB")
	case !ok || err != nil || f*unit > math.MaxInt64/2:
		return 0, bad
	}
	return buffer.Bytes(f * unit), nil
}
