package format

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
)

// AppendReading appends one reading as a JSON object without a line end. batch
// gives the source; wallMs is Unix time in milliseconds. A reading that is missing
// has the value null.
func AppendReading(dst []byte, batch *collectors.Batch, series *collectors.Series, v collectors.Value, wallMs int64, quality []string) []byte {
	dst = append(dst, `{"device":`...)
	dst = appendString(dst, device(batch.Source, series.Labels))
	dst = append(dst, `,"metric":`...)
	dst = appendString(dst, series.Metric)
	dst = append(dst, `,"labels":`...)
	dst = appendLabels(dst, series.Labels, ofDevice(batch.Source))
	dst = append(dst, `,"value":`...)
	dst = appendValue(dst, series.Kind, v)
	dst = append(dst, `,"unit":`...)
	dst = appendString(dst, series.Unit)
	dst = append(dst, `,"kind":`...)
	dst = appendString(dst, series.Kind.String())
	dst = appendTime(dst, wallMs, quality)
	return append(dst, '}')
}

// AppendEvent appends one event as a JSON object {"event":{…}} without a line end.
func AppendEvent(dst []byte, batch *collectors.Batch, e *collectors.Event, wallMs int64, quality []string) []byte {
	dst = append(dst, `{"event":{"device":`...)
	dst = appendString(dst, device(batch.Source, e.Labels))
	dst = append(dst, `,"source":`...)
	dst = appendString(dst, batch.Source)
	dst = append(dst, `,"kind":`...)
	dst = appendString(dst, e.Kind)
	dst = append(dst, `,"severity":`...)
	dst = appendString(dst, e.Severity.String())
	dst = append(dst, `,"text":`...)
	dst = appendString(dst, e.Text)
	dst = append(dst, `,"labels":`...)
	dst = appendLabels(dst, e.Labels, ofDevice(batch.Source))
	dst = appendTime(dst, wallMs, quality)
	return append(dst, "}}"...)
}

// appendLabels leaves out the device, which has a key of its own, and of labels
// with the same name all but the first: an object with a key twice is read
// differently by different readers.
func appendLabels(dst []byte, labels []collectors.Label, hideDevice bool) []byte {
	dst = append(dst, '{')
	first := true
	for i := range labels {
		if (hideDevice && labels[i].Name == "device") || repeated(labels, i) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, labels[i].Name)
		dst = append(dst, ':')
		dst = appendString(dst, labels[i].Value)
	}
	return append(dst, '}')
}

// repeated tells whether a label before the i-th has its name.
func repeated(labels []collectors.Label, i int) bool {
	for j := range i {
		if labels[j].Name == labels[i].Name {
			return true
		}
	}
	return false
}

const timeLayout = "2006-01-02T15:04:05.000Z"

func appendTime(dst []byte, wallMs int64, quality []string) []byte {
	dst = append(dst, `,"time":"`...)
	dst = time.UnixMilli(wallMs).UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, `","quality":[`...)
	for i, q := range quality {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, q)
	}
	return append(dst, ']')
}

func appendValue(dst []byte, kind collectors.Kind, v collectors.Value) []byte {
	switch {
	case v.Missing():
		return append(dst, "null"...)
	case kind == collectors.Counter:
		return strconv.AppendUint(dst, v.Counter(), 10)
	case kind == collectors.State:
		return strconv.AppendInt(dst, v.State(), 10)
	case kind == collectors.Text:
		return appendString(dst, v.Text())
	}
	return appendNumber(dst, v.Gauge())
}

func appendNumber(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return appendFloat(dst, f)
}

// appendFloat writes the shortest decimal that reads back to f; only the very
// large and the very small get an exponent.
func appendFloat(dst []byte, f float64) []byte {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string; octets that are not UTF-8 become the
// replacement character.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}
