package incident

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

func TestEventsTellAll(t *testing.T) {
	edge := Edge{Source: "device/core", State: Down, At: 1_000, Owner: diagnosis.Customer, Incident: "x"}
	e := edge.Event(61_000)
	if got, ok := EdgeOf(&e, 61_000); !ok || got != edge {
		t.Errorf("an edge %+v came back as %+v (%v)", edge, got, ok)
	}
	want := Change{What: Close, At: 90_000, Incident: Incident{ID: "device/core@1", Key: "device/core", Kind: KindDevice, Cause: "device_down",
		Owner: diagnosis.Customer, Severity: collectors.Error, Summary: "core does not answer.", Source: "device/core",
		Affected: []string{"device/core", "device/nvr"}, Runbook: "device_down", Evidence: "ab", Silenced: "s1", First: 1_000, Opened: 61_000, Closed: 85_000}}
	e = want.Event()
	if got, n, ok := ChangeOf(&e, want.At); !ok || n != 2 || !reflect.DeepEqual(got, want) {
		t.Errorf("a change %+v came back as %+v (%d, %v)", want, got, n, ok)
	}
}

func TestEventsFit(t *testing.T) {
	long := strings.Repeat("å", 200)
	i := Incident{ID: long, Key: long, Kind: KindDevice, Cause: long, Owner: diagnosis.Nobody, Summary: long, Source: long, Runbook: long, Evidence: long, Silenced: long}
	for n := range 100 {
		i.Affected = append(i.Affected, fmt.Sprint(long, n))
	}
	c := Change{What: Close, At: 5, Incident: i}
	b := collectors.Batch{Source: Source, Events: []collectors.Event{c.Event()}}
	if err := b.Validate(); err != nil {
		t.Error(err)
	}
	if _, n, ok := ChangeOf(&b.Events[0], 5); !ok || n != 100 {
		t.Errorf("%d affected, want 100 (%v)", n, ok)
	}
}
