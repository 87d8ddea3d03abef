package collectortest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// checkCollects: a source that answers gives valid batches and no error.
func checkCollects(s Subject) []error {
	c := s.once(s.Collector)
	var errs []error
	if c.hung {
		return []error{fmt.Errorf("it did not return within %v and %v more", s.Timeout, s.Soon)}
	}
	if c.err != nil {
		errs = append(errs, fmt.Errorf("the collection failed: %w", c.err))
	}
	if len(c.batches) == 0 {
		errs = append(errs, errors.New("it gave no batch"))
	}
	return append(errs, validate(s.Source, c.batches)...)
}

// validate checks batches as the scheduler and the buffer will.
func validate(source string, batches []collectors.Batch) []error {
	var errs []error
	for i, b := range batches {
		if b.Source == "" {
			b.Source = source
		}
		if b.Source != source {
			errs = append(errs, fmt.Errorf("batch %d is of source %q, not %q", i, b.Source, source))
		}
		if err := b.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("batch %d is not valid: %w", i, err))
		}
		if b.Outcome.Result != collectors.OK && b.Outcome.Why == "" {
			errs = append(errs, fmt.Errorf("batch %d is %v and does not say why", i, b.Outcome.Result))
		}
		if b.Schema == nil {
			continue
		}
		if err := b.Schema.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("the schema of batch %d is not valid: %w", i, err))
		}
		seen := make(map[string]bool)
		for j := range b.Schema.Series {
			name := b.Schema.Series[j].String()
			if seen[name] {
				errs = append(errs, fmt.Errorf("the schema of batch %d lists %s twice", i, name))
			}
			seen[name] = true
		}
	}
	return errs
}

// checkSchema: the same content is the same pointer, and stays what it was.
func checkSchema(s Subject) []error {
	first := s.once(s.Collector)
	type emitted struct {
		schema *collectors.Schema
		was    collectors.Schema
	}
	var before []emitted
	for _, b := range first.batches {
		if b.Schema != nil {
			before = append(before, emitted{b.Schema, clone(b.Schema)})
		}
	}
	second := s.once(s.Collector)
	var errs []error
	for i, b := range second.batches {
		if b.Schema == nil {
			continue
		}
		kept, known := false, false
		for _, e := range before {
			kept = kept || b.Schema == e.schema
			known = known || reflect.DeepEqual(*b.Schema, e.was)
		}
		switch {
		case known && !kept:
			errs = append(errs, fmt.Errorf("batch %d of the second collection has a new schema with the old content: keep the pointer", i))
		case !known && len(before) > 0:
			errs = append(errs, fmt.Errorf("batch %d of the second collection has another schema, though nothing changed", i))
		}
	}
	for _, e := range before {
		if !reflect.DeepEqual(*e.schema, e.was) {
			errs = append(errs, errors.New("a schema was changed after it had been emitted"))
		}
	}
	return errs
}

// clone copies a schema deeply.
func clone(s *collectors.Schema) collectors.Schema {
	out := collectors.Schema{Source: s.Source}
	if s.Series != nil {
		out.Series = make([]collectors.Series, len(s.Series))
	}
	for i, e := range s.Series {
		if e.Labels != nil {
			e.Labels = append([]collectors.Label{}, e.Labels...)
		}
		out.Series[i] = e
	}
	return out
}

// checkContext: the end of the context is the end of the collection.
func checkContext(s Subject) []error {
	var errs []error
	over := func(what string, c collectors.Collector, ctx context.Context) {
		if got := collect(ctx, c, s.Soon); got.hung {
			errs = append(errs, fmt.Errorf("%s: it did not return within %v", what, s.Soon))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	over("cancelled before the start", s.Collector, ctx)

	ctx, cancel = context.WithCancel(context.Background())
	go cancel() // while it starts
	over("cancelled at the start", s.Collector, ctx)
	cancel()

	if s.Silent != nil {
		for _, d := range []time.Duration{time.Millisecond, 50 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			over(fmt.Sprintf("a source that does not answer, cancelled after %v", d), s.Silent, ctx)
			cancel()
		}
	}
	return errs
}

// checkLeftovers: what Collect has started is over when it returns.
func checkLeftovers(s Subject) []error {
	var errs []error
	look := func(what string, c collectors.Collector, timeout time.Duration) {
		if c == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		got := collect(ctx, c, s.Soon)
		left := leftovers(got, s.Soon)
		cancel() // only now: what waits for the caller's cancel is left behind too
		if got.hung {
			errs = append(errs, fmt.Errorf("%s: it did not return", what))
			return
		}
		if left != "" {
			errs = append(errs, fmt.Errorf("%s: goroutines are left behind:\n%s", what, left))
		}
		if n := got.lateEmits(); n > 0 {
			errs = append(errs, fmt.Errorf("%s: it emitted %d batches after its return", what, n))
		}
	}
	look("a source that answers", s.Collector, s.Timeout)
	look("a source that fails", s.Broken, s.Timeout)
	look("a source that does not answer", s.Silent, 50*time.Millisecond)
	return errs
}

// checkTogether: collectors do not share what is not made for it.
func checkTogether(a, b Subject) []error {
	const rounds = 3
	var wg sync.WaitGroup
	results := make([][]error, 2)
	for i, s := range []Subject{a, b} {
		wg.Go(func() {
			for range rounds {
				results[i] = append(results[i], checkCollects(s)...)
			}
		})
	}
	wg.Wait()
	return append(results[0], results[1]...)
}

// checkSecrets: whatever leaves the collector, a secret is not in it.
func checkSecrets(s Subject) []error {
	var errs []error
	look := func(what string, c *collection) {
		for _, text := range texts(c) {
			for _, secret := range s.Secrets {
				if form := reveals(text, secret); form != "" {
					// The text itself stays out of the test's log.
					errs = append(errs, fmt.Errorf("%s: a secret shows %s in what it gave", what, form))
				}
			}
		}
	}
	look("a source that answers", s.once(s.Collector))
	if s.Broken != nil {
		look("a source that fails", s.once(s.Broken))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if s.Silent != nil {
		look("a source that does not answer", collect(ctx, s.Silent, s.Soon))
	}
	return errs
}

// texts lists everything in a collection that may end up before somebody's eyes.
func texts(c *collection) []string {
	var out []string
	if c.err != nil {
		out = append(out, c.err.Error(), fmt.Sprintf("%+v", c.err), fmt.Sprintf("%#v", c.err))
	}
	labels := func(ls []collectors.Label) {
		for _, l := range ls {
			out = append(out, l.Name, l.Value)
		}
	}
	for _, b := range c.batches {
		out = append(out, b.Source, b.Outcome.Why)
		for _, e := range b.Events {
			out = append(out, e.Kind, e.Text)
			labels(e.Labels)
		}
		for _, v := range b.Values {
			out = append(out, v.Text())
		}
		if b.Schema == nil {
			continue
		}
		for _, e := range b.Schema.Series {
			out = append(out, e.Metric, e.Unit)
			labels(e.Labels)
		}
	}
	return out
}

// prefixLen is how much of a secret's beginning gives it away.
const prefixLen = 8

// reveals says in which form text holds the secret, or nothing.
func reveals(text, secret string) string {
	if secret == "" {
		return ""
	}
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(text, secret):
		return "plainly"
	case len(secret) > prefixLen && strings.Contains(text, secret[:prefixLen]):
		return "by its beginning"
	case strings.Contains(lower, hex.EncodeToString([]byte(secret))),
		strings.Contains(lower, strings.TrimSpace(fmt.Sprintf("% x", secret))):
		return "in hex"
	}
	// In base64 it reads differently at each of three offsets; the characters at
	// the seams depend on what is around it.
	for shift := range 3 {
		whole := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
		inner := whole[(shift*8+5)/6:]
		if (len(secret)+shift)%3 != 0 {
			inner = inner[:max(len(inner)-1, 0)]
		}
		if len(inner) >= 4 && (strings.Contains(text, inner) || strings.Contains(text, strings.NewReplacer("+", "-", "/", "_").Replace(inner))) {
			return "in base64"
		}
	}
	return ""
}
