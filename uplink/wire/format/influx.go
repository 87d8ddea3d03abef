package format

import (
	"math"
	"strconv"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// AppendInflux appends one reading in line protocol without a line end. What the
// protocol cannot carry, a missing reading and a gauge that is no finite number,
// appends nothing.
func AppendInflux(dst []byte, batch *collectors.Batch, series *collectors.Series, v collectors.Value, wallMs int64, quality []string) []byte {
	if !finite(series.Kind, v) {
		return dst
	}
	dst = appendMeasurement(dst, series.Metric)
	dst = appendTags(dst, batch.Source, series.Labels)
	dst = append(dst, " value="...)
	return appendEnd(appendInfluxValue(dst, series.Kind, v), wallMs, quality)
}

// finite tells whether the protocol can carry a reading.
func finite(kind collectors.Kind, v collectors.Value) bool {
	f := v.Gauge()
	return !v.Missing() && (kind != collectors.Gauge || !math.IsNaN(f) && !math.IsInf(f, 0))
}

func appendInfluxValue(dst []byte, kind collectors.Kind, v collectors.Value) []byte {
	switch kind {
	case collectors.Counter:
		return appendUint(dst, v.Counter())
	case collectors.State:
		return append(strconv.AppendInt(dst, v.State(), 10), 'i')
	case collectors.Text:
		return appendField(dst, v.Text())
	}
	return appendFloat(dst, v.Gauge())
}

func appendUint(dst []byte, n uint64) []byte {
	if n > math.MaxInt64 {
		return appendFloat(dst, float64(n))
	}
	return append(strconv.AppendUint(dst, n, 10), 'i')
}

// AppendInfluxEvent appends one event in line protocol without a line end.
func AppendInfluxEvent(dst []byte, batch *collectors.Batch, e *collectors.Event, wallMs int64, quality []string) []byte {
	dst = appendEventHead(dst, batch, e, "")
	if count, first := store.Told(e); count > 1 {
		dst = append(dst, ",count="...)
		dst = append(strconv.AppendInt(dst, count, 10), "i,first_ms="...)
		dst = append(strconv.AppendInt(dst, first, 10), 'i')
	}
	return appendEnd(dst, wallMs, quality)
}

// appendEventHead appends an event up to its text. How many it stands for is a field:
// each number as a tag would be a series of its own.
func appendEventHead(dst []byte, batch *collectors.Batch, e *collectors.Event, rollup string) []byte {
	count, _ := store.Told(e)
	dst = append(dst, "siteprobe_event"...)
	dst = appendTag(dst, "kind", e.Kind)
	dst = appendTag(dst, "severity", e.Severity.String())
	dst = appendTag(dst, "source", batch.Source)
	dst = appendTag(dst, "rollup", rollup)
	for i := range e.Labels {
		switch name := e.Labels[i].Name; {
		case name == "kind", name == "severity", name == "source", name == "device", repeated(e.Labels, i):
		case count > 1 && (name == store.LabelCount || name == store.LabelFirst):
		default:
			dst = appendTag(dst, name, e.Labels[i].Value)
		}
	}
	dst = appendTag(dst, "device", device(batch.Source, e.Labels))
	dst = append(dst, " text="...)
	return appendField(dst, e.Text)
}

func appendTags(dst []byte, source string, labels []collectors.Label) []byte {
	hasDevice := false
	for i := range labels {
		if !repeated(labels, i) {
			dst = appendTag(dst, labels[i].Name, labels[i].Value)
		}
		hasDevice = hasDevice || labels[i].Name == "device"
	}
	if !hasDevice {
		dst = appendTag(dst, "device", device(source, nil))
	}
	return dst
}

func appendEnd(dst []byte, wallMs int64, quality []string) []byte {
	if len(quality) > 0 {
		dst = append(dst, `,quality="`...)
		for i, q := range quality {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, q...) // our own words
		}
		dst = append(dst, '"')
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, wallMs, 10)
	return append(dst, "000000"...)
}

// appendMeasurement keeps a name from being read as a comment.
func appendMeasurement(dst []byte, name string) []byte {
	if name != "" && name[0] == '#' {
		dst, name = append(dst, '_'), name[1:]
	}
	return appendEscaped(dst, name, false)
}

// appendTag appends ,name=value; a tag without a value is against the protocol.
func appendTag(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',')
	dst = appendEscaped(dst, name, true)
	dst = append(dst, '=')
	return appendEscaped(dst, value, true)
}

func appendEscaped(dst []byte, s string, tag bool) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ' || c == ',' || c == '=' && tag:
			dst = append(dst, '\\', c)
		case c == '\\':
			dst = append(dst, '/')
		case c < ' ' || c == 0x7F:
			dst = append(dst, '\\', ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendField appends a string field. A line end within it is allowed by the
// protocol, but would cut the line for whoever reads line by line.
func appendField(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7F:
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
