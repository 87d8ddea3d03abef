package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Prometheus scrapes an endpoint in Prometheus's text format. It is up when the
// endpoint answers in that format; the samples that are asked for become series of the
// check, under their own names.
type Prometheus struct {
	URL       string                       `yaml:"url"`
	Metrics   []Pick                       `yaml:"metrics"`
	Headers   map[string]collectors.Secret `yaml:"headers"`
	BasicAuth *BasicAuth                   `yaml:"basic_auth"`
	CA        string                       `yaml:"ca"`
	Insecure  bool                         `yaml:"insecure"`
}

// Pick says which samples are taken. All expressions match whole names and values.
type Pick struct {
	Name  string            `yaml:"name"`  // regular expression: node_load1, node_filesystem_.*
	Match map[string]string `yaml:"match"` // regular expressions of labels; one that is not there is empty
}

// maxPicks bounds the metrics of one check.
const maxPicks = 50

func (c Prometheus) http() HTTP {
	return HTTP{URL: c.URL, Headers: c.Headers, BasicAuth: c.BasicAuth, CA: c.CA, Insecure: c.Insecure}
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c Prometheus) Validate() error {
	if err := c.http().Validate(); err != nil {
		return err
	}
	if len(c.Metrics) == 0 || len(c.Metrics) > maxPicks {
		return fmt.Errorf("metrics: 1 to %d are needed: what is to be taken, such as {name: node_load1}", maxPicks)
	}
	for _, p := range c.Metrics {
		if p.Name == "" {
			return errors.New("metrics: name: is missing")
		}
		if _, err := p.compile(); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

func (c Prometheus) targets() (string, []string) { return "url", urlTargets(c.URL) }

// picker is a Pick, compiled.
type picker struct {
	name  *regexp.Regexp
	match map[string]*regexp.Regexp
}

func (p Pick) compile() (picker, error) {
	whole := func(s string) (*regexp.Regexp, error) { return regexp.Compile("^(?:" + s + ")$") }
	name, err := whole(p.Name)
	if err != nil {
		return picker{}, fmt.Errorf("name: not a regular expression: %w", err)
	}
	out := picker{name, map[string]*regexp.Regexp{}}
	for _, l := range sorted(p.Match) {
		if out.match[l.Name], err = whole(l.Value); err != nil {
			return picker{}, fmt.Errorf("match: not a regular expression: %w", err)
		}
	}
	return out, nil
}

// takes tells whether a sample is one of those.
func (p picker) takes(name string, labels []collectors.Label) bool {
	if !p.name.MatchString(name) {
		return false
	}
	of := make(map[string]string, len(labels))
	for _, l := range labels {
		of[l.Name] = l.Value
	}
	for label, want := range p.match {
		if !want.MatchString(of[label]) {
			return false
		}
	}
	return true
}

// prometheusMetrics are those of an HTTP check and, by Prometheus's own names, how many
// samples there were and how many of them were taken.
func prometheusMetrics() []metric {
	return append(httpMetrics(),
		metric{name: "scrape_samples_scraped", kind: collectors.Gauge},
		metric{name: "scrape_samples_post_metric_relabeling", kind: collectors.Gauge},
		metric{name: "probe_scrape_samples_left_out", kind: collectors.Gauge})
}

// newPrometheus makes the probe that scrapes. cfg is valid; own are the names of labels
// that the check sets itself.
func newPrometheus(cfg Prometheus, own []collectors.Label, dialer Dialer, now func() time.Time) probe {
	var pickers []picker
	for _, p := range cfg.Metrics {
		c, _ := p.compile()
		pickers = append(pickers, c)
	}
	return func(ctx context.Context, r *reading) error {
		u, err := url.Parse(cfg.URL)
		if err != nil {
			return errors.New("url: cannot be parsed") // not for a valid cfg
		}
		f := &fetch{cfg: cfg.http(), origin: u, opener: &opener{dialer: dialer, now: now, insecure: cfg.Insecure}}
		f.accept = func(status int) bool { return status == 200 }
		f.take = func(r *reading, body io.Reader) error {
			s := newScrape(pickers, own)
			if err := s.read(body); err != nil {
				return err
			}
			s.record(r)
			return nil
		}
		if f.opener.roots, err = readRoots(cfg.CA); err != nil {
			return err
		}
		err = f.run(ctx, r)
		f.record(r)
		return err
	}
}
