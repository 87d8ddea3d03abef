package snmp

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/recordingtest"
)

// TestBadManners polls real devices, as the player has them behave worse than they
// did: a poll gives what it gives of a polite one, or says what is wrong, within its
// deadline.
func TestBadManners(t *testing.T) {
	const deadline = 20 * time.Second
	devices := []string{"routeros", "fortigate_60f", "procurve_2520", "apc_smt750x-nmc2"}
	polite := map[string]map[string]float64{}
	poll := func(t *testing.T, address, name string) (map[string]float64, error) {
		t.Helper()
		c := collectorOf(t, Config{Device: name, Address: address, Credentials: []Credential{v2c(name)}, Timeout: 400 * time.Millisecond, Retries: 3}, WithKinds(builtInKinds()))
		var got map[string]float64
		var err error
		for range 2 { // the second by what the first has learned
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			var bs []collectors.Batch
			start := time.Now()
			err = c.Collect(ctx, func(b collectors.Batch) { bs = append(bs, b) })
			cancel()
			if took := time.Since(start); took > deadline+time.Second {
				t.Errorf("%s took %s", name, took)
			}
			got = numbers(bs)
		}
		return got, err
	}
	address := recordingtest.Serve(t)
	for _, name := range devices {
		got, err := poll(t, address, name)
		if err != nil || len(got) == 0 {
			t.Fatalf("%s: %d readings, %v", name, len(got), err)
		}
		polite[name] = got
	}
	for _, test := range []struct {
		name    string
		manners []string
		want    error // of every device; nil: all is read
	}{
		{"slow", []string{"-latency", "20ms", "-jitter", "20ms"}, nil},
		{"lossy", []string{"-drop", "0.1", "-seed", "3"}, nil},
		{"few rows at a time", []string{"-max-repetitions-cap", "3"}, nil},
		{"too big", []string{"-tooBig", "484"}, nil},
		{"small answers", []string{"-max-size", "484"}, nil},
		{"no bulk", []string{"-no-bulk"}, nil},
		{"another address", []string{"-reply-from", "127.0.0.9"}, nil},
		{"a loop", []string{"-loop-at", "1.3.6.1.2.1.2.2.1.8.2"}, errNotIncreasing},
		{"a loop, slow and lossy", []string{"-loop-at", "1.3.6.1.2.1.2.2.1.8.2", "-latency", "10ms", "-drop", "0.05", "-seed", "4"}, errNotIncreasing},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := recordingtest.Serve(t, test.manners...)
			for _, name := range devices {
				got, err := poll(t, address, name)
				if !errors.Is(err, test.want) {
					t.Errorf("%s: error %v, want %v", name, err, test.want)
				}
				if diff := cmp.Diff(polite[name], got); test.want == nil && diff != "" {
					t.Errorf("%s (-polite +got):\n%.2000s", name, diff)
				}
			}
		})
	}
}
