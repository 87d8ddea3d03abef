package uplinktest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
)

func TestMemory(t *testing.T) {
	uplinktest.TestTransport(t, func(*testing.T) (uplink.Transport, string) { return uplinktest.NewMemory(), "" })
}

func dialMemory(t *testing.T, m *uplinktest.Memory, id string) uplink.Conn {
	t.Helper()
	c, err := m.Dial(t.Context(), "", uplink.Hello{ClientID: id})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// In a bubble time is fake: latency and faults cost nothing.
func TestMemoryFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		m.SetLatency(50 * time.Millisecond)
		hub, site := dialMemory(t, m, "hub"), dialMemory(t, m, "t/s")
		var got []string
		if err := hub.Subscribe(t.Context(), []string{"#"}, func(m uplink.Message) { got = append(got, string(m.Payload)) }); err != nil {
			t.Fatal(err)
		}
		m.SetFault(func(tr uplinktest.Transit) uplinktest.Fate {
			if tr.To != "" {
				return uplinktest.Fate{}
			}
			switch tr.N {
			case 1:
				return uplinktest.Fate{Lose: true}
			case 2:
				return uplinktest.Fate{Double: true}
			case 3:
				return uplinktest.Fate{Delay: time.Hour}
			case 4:
				return uplinktest.Fate{NoAck: true}
			case 6:
				return uplinktest.Fate{Cut: true}
			}
			return uplinktest.Fate{}
		})
		start := time.Now()
		var tokens []uplink.Token
		for i := range 5 {
			tokens = append(tokens, site.Publish(uplink.Message{Topic: "x", Payload: fmt.Append(nil, i+1)}))
		}
		<-tokens[4].Done()
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("a PUBACK after %v, want one round trip of 100 ms", d)
		}
		<-tokens[2].Done()
		tokens = append(tokens, site.Publish(uplink.Message{Topic: "x"}))
		<-site.Done()
		synctest.Wait()
		for i, acked := range []bool{false, true, true, false, true, false} {
			<-tokens[i].Done()
			if (tokens[i].Err() == nil) != acked {
				t.Errorf("message %d: %v, want acknowledged %v", i+1, tokens[i].Err(), acked)
			}
		}
		if s := fmt.Sprint(got); s != "[2 2 4 5 3]" {
			t.Errorf("arrived %v", s)
		}
		hub.Close(true)
		site.Close(false)
	})
}

func TestMemoryTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		first := dialMemory(t, m, "t/s")
		second := dialMemory(t, m, "t/s")
		<-first.Done()
		if second.Err() != nil {
			t.Error("the second connection has ended too")
		}
		if ids := m.Clients(); len(ids) != 1 {
			t.Errorf("clients %v", ids)
		}
		m.Restart()
		<-second.Done()
	})
}
