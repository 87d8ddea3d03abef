package snmp

import (
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/recordingtest"
)

// TestCostOfRecordings: what polls of real devices by the built-in profiles cost,
// once they are known, and that their series then stay what they are.
func TestCostOfRecordings(t *testing.T) {
	requests, all := 0, 0
	for _, file := range recordingtest.Files(t) {
		name, vars := file.Name, file.Variables(t)
		c := collectorOf(t, Config{Device: name, Address: "127.0.0.1"}, Offline(vars), WithKinds(builtInKinds()))
		var last []*collectors.Schema
		for n := range 6 {
			var now []*collectors.Schema
			readings := 0
			for _, b := range mustPoll(t, c) {
				now = append(now, b.Schema)
				readings += b.Readings()
			}
			for i := range now {
				if n > 0 && (len(now) != len(last) || now[i] != last[i]) {
					t.Errorf("%s: batch %d of poll %d has another schema", name, i, n)
				}
			}
			if last = now; n == 5 {
				t.Logf("%s: %d requests, %d variables, %d readings", name, c.walker.requests, c.walker.varbinds, readings)
				requests, all = requests+c.walker.requests, all+readings
			}
		}
	}
	per := 1000 * float64(requests) / float64(all)
	if t.Logf("%.1f requests per 1,000 readings", per); per > 18 {
		t.Errorf("%.1f requests per 1,000 readings, want 18 at most", per)
	}
}
