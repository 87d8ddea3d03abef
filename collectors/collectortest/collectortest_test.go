package collectortest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

type collect1 = collectors.CollectorFunc

func schema() *collectors.Schema {
	return &collectors.Schema{Source: "src", Series: []collectors.Series{
		{Metric: "up", Kind: collectors.Gauge, Labels: []collectors.Label{{Name: "device", Value: "gw"}}},
		{Metric: "name", Kind: collectors.Text},
	}}
}

func batch(s *collectors.Schema) collectors.Batch {
	return collectors.Batch{Schema: s, Values: []collectors.Value{collectors.GaugeValue(1), collectors.TextValue("gw1")}}
}

// good is a collector without fault, silent one whose source never answers.
func good() collect1 {
	s := schema()
	return func(ctx context.Context, emit func(collectors.Batch)) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		done := make(chan struct{})
		go func() { emit(batch(s)); close(done) }()
		<-done
		return nil
	}
}

func silent(ctx context.Context, _ func(collectors.Batch)) error { <-ctx.Done(); return ctx.Err() }

func refuses(text string) collect1 {
	return func(context.Context, func(collectors.Batch)) error { return errors.New(text) }
}

func TestGoodCollector(t *testing.T) {
	Run(t, func(*testing.T) Subject {
		return Subject{Collector: good(), Source: "src", Broken: refuses("refused"), Silent: collect1(silent), Secrets: []string{"s3cret-community"}}
	})
}

// TestFaults: every fault that the suite is there for is found.
func TestFaults(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	const secret = "s3cret-community"
	emits := func(change func(b *collectors.Batch)) collect1 {
		s := schema()
		return func(_ context.Context, emit func(collectors.Batch)) error {
			b := batch(s)
			change(&b)
			emit(b)
			return nil
		}
	}
	says := func(text string) collect1 {
		return emits(func(b *collectors.Batch) { b.Values[1] = collectors.TextValue(text) })
	}
	var late func(collectors.Batch)

	for _, c := range []struct {
		name    string
		check   func(Subject) []error
		subject Subject
		want    string
	}{
		{"error", checkCollects, Subject{Collector: refuses("no")}, "the collection failed: no"},
		{"no batch", checkCollects, Subject{Collector: refuses("no")}, "gave no batch"},
		{"other source", checkCollects, Subject{Collector: emits(func(b *collectors.Batch) { b.Source = "other" })}, `is of source "other"`},
		{"invalid batch", checkCollects, Subject{Collector: emits(func(b *collectors.Batch) { b.Values = b.Values[:1] })}, "1 values for 2 series"},
		{"no reason", checkCollects, Subject{Collector: emits(func(b *collectors.Batch) { b.Outcome.Result = collectors.Partial })}, "does not say why"},
		{"invalid schema", checkCollects, Subject{Collector: emits(func(b *collectors.Batch) { b.Schema.Series[0].Kind = 9 })}, "unknown kind 9"},
		{"double series", checkCollects, Subject{Collector: emits(func(b *collectors.Batch) { b.Schema.Series[1] = b.Schema.Series[0] })}, "twice"},
		{"new pointer", checkSchema, Subject{Collector: emits(func(b *collectors.Batch) { b.Schema = schema() })}, "keep the pointer"},
		{"other schema", checkSchema, Subject{Collector: emits(func(b *collectors.Batch) {
			b.Schema = schema()
			b.Schema.Series[0].Labels[0].Value = fmt.Sprintf("%p", b)
		})}, "though nothing changed"},
		{"changed schema", checkSchema, Subject{Collector: emits(func(b *collectors.Batch) { b.Schema.Series[0].Labels[0].Value += "x" })}, "changed after it had been emitted"},
		{"deaf", checkContext, Subject{Collector: collect1(func(context.Context, func(collectors.Batch)) error { <-release; return nil })}, "did not return"},
		{"deaf to silence", checkContext, Subject{Collector: good(), Silent: collect1(func(context.Context, func(collectors.Batch)) error { <-release; return nil })}, "a source that does not answer"},
		{"left goroutine", checkLeftovers, Subject{Collector: collect1(func(context.Context, func(collectors.Batch)) error {
			go func() { <-release }()
			return nil
		})}, "goroutines are left behind"},
		{"waits for the caller", checkLeftovers, Subject{Collector: good(), Broken: collect1(func(ctx context.Context, _ func(collectors.Batch)) error {
			go func() { <-ctx.Done() }()
			return nil
		})}, "a source that fails: goroutines are left behind"},
		{"late emit", checkLeftovers, Subject{Collector: collect1(func(_ context.Context, emit func(collectors.Batch)) error {
			if late != nil {
				return nil
			}
			late = emit
			returned := make(chan struct{})
			defer close(returned)
			go func() { <-returned; <-time.After(20 * time.Millisecond); emit(collectors.Batch{}) }()
			return nil
		})}, "after its return"},
		{"secret in a value", checkSecrets, Subject{Collector: says("c=" + secret)}, "plainly"},
		{"secret's beginning", checkSecrets, Subject{Collector: says("c=" + secret[:10] + "...")}, "by its beginning"},
		{"secret in hex", checkSecrets, Subject{Collector: says(strings.ToUpper(hex.EncodeToString([]byte("x" + secret))))}, "in hex"},
		{"secret in a dump", checkSecrets, Subject{Collector: good(), Broken: refuses(fmt.Sprintf("packet: % x", "0\x82"+secret+"\x30"))}, "in hex"},
		{"secret in base64", checkSecrets, Subject{Collector: says(base64.StdEncoding.EncodeToString([]byte(secret)))}, "in base64"},
		{"secret in base64 at 1", checkSecrets, Subject{Collector: says(base64.URLEncoding.EncodeToString([]byte("u" + secret + "?")))}, "in base64"},
		{"secret in base64 at 2", checkSecrets, Subject{Collector: says(base64.StdEncoding.EncodeToString([]byte("u:" + secret + "?!")))}, "in base64"},
		{"secret in an error", checkSecrets, Subject{Collector: good(), Broken: refuses(secret)}, "a source that fails"},
		{"secret in a timeout", checkSecrets, Subject{Collector: good(), Silent: refuses(secret)}, "a source that does not answer"},
		{"secret in a reason", checkSecrets, Subject{Collector: emits(func(b *collectors.Batch) { b.Outcome.Why = secret })}, "plainly"},
		{"secret in a label", checkSecrets, Subject{Collector: emits(func(b *collectors.Batch) { b.Schema.Series[0].Labels[0].Value = secret })}, "plainly"},
		{"secret in an event", checkSecrets, Subject{Collector: emits(func(b *collectors.Batch) {
			b.Events = []collectors.Event{{Kind: "x", Labels: []collectors.Label{{Name: "y", Value: secret}}}}
		})}, "plainly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.subject.Source = "src"
			c.subject.Secrets = []string{secret}
			c.subject.Soon = 100 * time.Millisecond
			err := errors.Join(c.check(c.subject.withDefaults())...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) && strings.HasPrefix(c.name, "secret") {
				t.Errorf("the suite itself tells the secret: %v", err)
			}
		})
	}
}

func TestReveals(t *testing.T) {
	for _, text := range []string{"", "public", "community", "s3cret", "the community string is wrong", "c3Bh"} {
		if form := reveals(text, "s3cret-community"); form != "" {
			t.Errorf("%q: %s", text, form)
		}
	}
	if reveals("anything", "") != "" {
		t.Error("an empty secret is everywhere")
	}
}
