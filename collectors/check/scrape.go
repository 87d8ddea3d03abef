package check

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/siteprobe/siteprobe/collectors"
)

// Bounds of an exposition. Real ones have some thousand lines of some hundred octets.
const (
	maxExposition = 16 << 20
	maxSample     = 16 << 10 // octets of a line
)

// scrape reads an exposition, line by line, and keeps what is asked for. A whole one is
// never held: each sample is a line of its own, and only those with a name that is
// asked for are given to the parser, alone, without the type of their metric. Values of
// every type become gauges: Prometheus's counters are floats, too.
type scrape struct {
	pickers []picker
	own     []collectors.Label // labels of the check, whose names samples cannot have
	parser  expfmt.TextParser
	metrics map[string]bool // of the check, whose names samples cannot have either

	samples int // that were there
	taken   []sample
	octets  int // of their names and labels
	left    int // that were asked for and did not fit
	seen    map[string]bool
}

func newScrape(pickers []picker, own []collectors.Label) *scrape {
	s := &scrape{pickers: pickers, own: own, parser: expfmt.NewTextParser(model.UTF8Validation), metrics: map[string]bool{}, seen: map[string]bool{}}
	for _, m := range prometheusMetrics() {
		s.metrics[m.name] = true
	}
	return s
}

var errExposition = because("not Prometheus's text format")

// read reads to the end. Its errors are judged, save those of reading.
func (s *scrape) read(body io.Reader) error {
	limited := &io.LimitedReader{R: body, N: maxExposition}
	in := bufio.NewReaderSize(limited, maxSample)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return errExposition
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		if limited.N <= 0 {
			return because("exposition too large")
		}
		if err := s.line(line); err != nil {
			return err
		}
		if err != nil { // the end
			break
		}
	}
	if s.samples == 0 {
		return errExposition // an empty page is none
	}
	return nil
}

// line takes a line: a sample, a comment, or nothing.
func (s *scrape) line(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	name, ok := sampleName(line)
	if !ok {
		return errExposition
	}
	s.samples++
	if !slices.ContainsFunc(s.pickers, func(p picker) bool { return p.name.MatchString(name) }) {
		return nil
	}
	families, err := s.parser.TextToMetricFamilies(bytes.NewReader(append(bytes.Clone(line), '\n')))
	if err != nil {
		return errExposition
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []collectors.Label
			for _, l := range m.GetLabel() {
				labels = append(labels, collectors.Label{Name: l.GetName(), Value: l.GetValue()})
			}
			s.take(name, labels, m.GetUntyped().GetValue())
		}
	}
	return nil
}

// sampleName is the name that a line begins with. What follows it is looked at only if
// the sample is wanted, but for the value at the end.
func sampleName(line []byte) (string, bool) {
	n := 0
	for n < len(line) {
		c := line[n]
		if c != '_' && c != ':' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (n == 0 || c < '0' || c > '9') {
			break
		}
		n++
	}
	if n == 0 || n > collectors.MaxName || n == len(line) || line[n] != '{' && line[n] != ' ' && line[n] != '\t' {
		return "", false
	}
	last := line[bytes.LastIndexAny(line, " \t}")+1:] // a value, or the time of it
	_, err := strconv.ParseFloat(string(last), 64)
	return string(line[:n]), err == nil || errors.Is(err, strconv.ErrRange)
}

// take keeps a sample if it is asked for and fits.
func (s *scrape) take(name string, labels []collectors.Label, value float64) {
	slices.SortFunc(labels, func(a, b collectors.Label) int { return strings.Compare(a.Name, b.Name) })
	if !slices.ContainsFunc(s.pickers, func(p picker) bool { return p.takes(name, labels) }) {
		return
	}
	fine := len(labels)+len(s.own) <= collectors.MaxLabels && !s.metrics[name]
	for i, l := range labels {
		if slices.ContainsFunc(s.own, func(o collectors.Label) bool { return o.Name == l.Name }) {
			labels[i].Name = "exported_" + l.Name // as Prometheus does
		}
		labels[i].Value = collectors.Clip(l.Value, collectors.MaxText)
		fine = fine && len(labels[i].Name) <= collectors.MaxName && labels[i].Name == collectors.Clip(labels[i].Name, collectors.MaxName)
	}
	m := metric{name: name, kind: collectors.Gauge, labels: labels}
	id := m.id()
	size := len(id) + octetsOf(s.own)
	if !fine || s.seen[id] || !fits(len(s.taken), s.octets+size) {
		s.left++
		return
	}
	s.seen[id] = true
	s.octets += size
	v := collectors.GaugeValue(value)
	if math.IsNaN(value) || math.IsInf(value, 0) {
		v = collectors.Value{} // there is a series, and nothing to say about it
	}
	s.taken = append(s.taken, sample{m, v})
}

func (s *scrape) record(r *reading) {
	r.set("scrape_samples_scraped", "", collectors.GaugeValue(float64(s.samples)))
	r.set("scrape_samples_post_metric_relabeling", "", collectors.GaugeValue(float64(len(s.taken))))
	r.set("probe_scrape_samples_left_out", "", collectors.GaugeValue(float64(s.left)))
	r.extra = s.taken
}
