package format_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

func TestQuality(t *testing.T) {
	reboot := []collectors.Event{{Kind: "agent_restart"}}
	values := make([]collectors.Value, 1)
	for _, test := range []struct {
		name string
		b    collectors.Batch
		sure bool
		want []string
	}{
		{"fine", collectors.Batch{Values: values}, true, nil},
		{"of another event", collectors.Batch{Values: values, Events: []collectors.Event{{Kind: "uptime_wrap"}}}, true, nil},
		{"after a restart", collectors.Batch{Values: values, Events: reboot}, true, []string{"reset"}},
		{"events without readings", collectors.Batch{Events: reboot}, true, nil},
		{"everything", collectors.Batch{Values: values, Events: reboot, Outcome: collectors.Outcome{Result: collectors.Partial}}, false, []string{"partial", "reset", "clock_unsure"}},
	} {
		if diff := cmp.Diff(test.want, format.Quality(&test.b, test.sure)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
