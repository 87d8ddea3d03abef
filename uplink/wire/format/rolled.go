package format

import (
	"math"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// rolled is one series in one bucket of a rollup.
type rolled struct {
	*block.Cell
	Tier  block.Tier
	Start int64 // of the bucket, Unix ms
	At    int64 // of its last reading, Unix ms
}

// value is what the line of a rollup gives as its value.
func (r *rolled) value(kind collectors.Kind) collectors.Value {
	if kind == collectors.Gauge {
		return collectors.GaugeValue(r.Sum / float64(r.Count))
	}
	return r.Last
}

// polls is how collections in one bucket went that did not go well.
type polls struct {
	tier  block.Tier
	start int64 // of the bucket, Unix ms
	at    int64 // of its last collection, Unix ms
	count uint32
	why   string // of the last
}

// singles are the readings of a line that stand for themselves: of a counter the
// one that its rise is counted from, and those beside a fall.
func singles(l *block.Line, kind collectors.Kind) []block.Reading {
	if kind != collectors.Counter || l.First.Missing() {
		return nil
	}
	out := l.Fallen
	if len(out) == 0 || out[0].At > l.FirstAt {
		out = append([]block.Reading{{At: l.FirstAt, V: l.First}}, out...)
	}
	return out
}

// tierName is the width of a tier's buckets as the tag rollup has it.
func tierName(t block.Tier) string {
	if t == block.Hour {
		return "1h"
	}
	return "15m"
}

// rolledQuality is Quality for a rollup: it is partial where one of its collections
// was.
func rolledQuality(b *block.Bucket, sure bool) []string {
	q := []string{QualityRollup}
	if b.Polls[collectors.Partial] > 0 {
		q = append(q, QualityPartial)
	}
	if !sure {
		q = append(q, QualityClockUnsure)
	}
	return q
}

// rollup writes down all that a rollup has.
func (p *payloads) rollup(r *block.Rollup, head *block.Head) {
	quality := make([][]string, len(r.Buckets))
	for i := range r.Buckets {
		quality[i] = rolledQuality(&r.Buckets[i], head.Sure)
	}
	for i := range r.Lines {
		l, series := &r.Lines[i], &r.Schema.Series[i]
		single := singles(l, series.Kind)
		upTo := func(at collectors.Stamp) {
			for len(single) > 0 && single[0].At <= at {
				if x := single[0]; x.At < at { // else the rollup of one reading says it
					p.line(p.reading(p.open, &collectors.Batch{Source: r.Source}, series, x.V, head.Wall(x.At), Quality(&collectors.Batch{}, head.Sure)))
				}
				single = single[1:]
			}
		}
		for j := range l.Cells {
			c := &l.Cells[j]
			if c.Count == 0 {
				continue
			}
			upTo(c.LastAt)
			p.line(p.rolled(p.open, r.Source, series, &rolled{c, head.Tier, r.Buckets[j].Start + p.shift, head.Wall(c.LastAt)}, quality[j]))
		}
		upTo(math.MaxInt64)
	}
	for i := range r.Buckets {
		b := &r.Buckets[i]
		for result, n := range b.Polls {
			if n > 0 && collectors.Result(result) != collectors.OK {
				p.line(p.polls(p.open, r.Source, collectors.Result(result),
					&polls{head.Tier, b.Start + p.shift, head.Wall(b.Last), n, b.Why}, quality[i]))
			}
		}
	}
}

// appendRolled appends one line of a rollup as JSON.
func appendRolled(dst []byte, source string, series *collectors.Series, r *rolled, quality []string) []byte {
	dst = AppendReading(dst, &collectors.Batch{Source: source}, series, r.value(series.Kind), r.At, quality)
	dst = appendBucket(dst[:len(dst)-1], r.Tier, r.Start, r.Count)
	switch series.Kind {
	case collectors.Counter:
		dst = append(dst, `,"rise":`...)
		dst = strconv.AppendUint(dst, r.Rise, 10)
	case collectors.Gauge, collectors.State:
		dst = append(dst, `,"min":`...)
		dst = appendNumber(dst, r.Min)
		dst = append(dst, `,"max":`...)
		dst = appendNumber(dst, r.Max)
		dst = append(dst, `,"sum":`...)
		dst = appendNumber(dst, r.Sum)
	}
	return append(dst, '}')
}

// appendPolls appends as JSON how collections went.
func appendPolls(dst []byte, source string, result collectors.Result, p *polls, quality []string) []byte {
	b := collectors.Batch{Source: source, Outcome: collectors.Outcome{Result: result, Why: p.why}}
	dst = AppendEvent(dst, &b, OutcomeEvent(&b), p.at, quality)
	dst = appendBucket(dst[:len(dst)-2], p.tier, p.start, p.count)
	return append(dst, "}}"...)
}

func appendBucket(dst []byte, tier block.Tier, start int64, count uint32) []byte {
	dst = append(dst, `,"start":"`...)
	dst = time.UnixMilli(start).UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, `","width_s":`...)
	dst = strconv.AppendInt(dst, int64(tier.Width()/time.Second), 10)
	dst = append(dst, `,"count":`...)
	return strconv.AppendUint(dst, uint64(count), 10)
}

// appendInfluxRolled appends one line of a rollup in line protocol.
func appendInfluxRolled(dst []byte, source string, series *collectors.Series, r *rolled, quality []string) []byte {
	dst = appendMeasurement(dst, series.Metric)
	dst = appendTags(dst, source, series.Labels)
	if series.Label("rollup") == "" {
		dst = appendTag(dst, "rollup", tierName(r.Tier))
	}
	dst = append(dst, ' ')
	if v := r.value(series.Kind); finite(series.Kind, v) {
		dst = append(dst, "value="...)
		dst = append(appendInfluxValue(dst, series.Kind, v), ',')
	}
	dst = append(dst, "count="...)
	dst = append(strconv.AppendUint(dst, uint64(r.Count), 10), 'i')
	switch series.Kind {
	case collectors.Counter:
		dst = append(dst, ",rise="...)
		dst = appendUint(dst, r.Rise)
	case collectors.Gauge, collectors.State:
		dst = appendNumberField(dst, ",min=", r.Min)
		dst = appendNumberField(dst, ",max=", r.Max)
		dst = appendNumberField(dst, ",sum=", r.Sum)
	}
	return appendEnd(appendStart(dst, r.Start), r.At, quality)
}

// appendInfluxPolls appends in line protocol how collections went.
func appendInfluxPolls(dst []byte, source string, result collectors.Result, p *polls, quality []string) []byte {
	b := collectors.Batch{Source: source, Outcome: collectors.Outcome{Result: result, Why: p.why}}
	dst = appendEventHead(dst, &b, OutcomeEvent(&b), tierName(p.tier))
	dst = append(dst, ",count="...)
	dst = append(strconv.AppendUint(dst, uint64(p.count), 10), 'i')
	return appendEnd(appendStart(dst, p.start), p.at, quality)
}

func appendStart(dst []byte, ms int64) []byte {
	dst = append(dst, ",start="...)
	return append(strconv.AppendInt(dst, ms, 10), 'i')
}

// appendNumberField leaves out what the protocol cannot carry.
func appendNumberField(dst []byte, name string, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst
	}
	return appendFloat(append(dst, name...), f)
}
