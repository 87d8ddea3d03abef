// Package uplinktest holds what tests of the uplink need: brokers that work,
// brokers that do not, and certificates.
//
//   - [Memory] is a broker and an [uplink.Transport] in one, without sockets: it
//     works in a testing/synctest bubble. A Fault decides about every message.
//   - [Proxy] sits in front of a real broker and knows MQTT's packets: it drops,
//     delays, refuses and cuts.
//   - [StartMosquitto] runs Debian's mosquitto; it can be killed and restarted.
//   - [NewPKI] makes a throwaway CA.
//   - [TestTransport] is what every transport must do.
//
// Nothing here waits by sleeping; all of it ends with the test. Traffic stays on
// loopback.
package uplinktest

import (
	"testing"
	"time"
)

// patience bounds every wait. It is long because it only ends tests that fail.
const patience = 20 * time.Second

// Await waits until ch is closed or gives a value; the test fails when that takes
// too long.
func Await[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		t.Fatalf("waited %v for %s", patience, what)
		panic("not reached")
	}
}
