package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// network is what lies between the box and the fleet, and the fleet's health.
type network struct {
	name    string
	latency time.Duration
	loss    float64 // share of requests that are not answered
	dead    float64 // share of devices that never answer
}

// networks are those that the whole way is measured on; the first has no faults.
var networks = []network{
	{name: "no latency"},
	{name: "5 ms", latency: 5 * time.Millisecond},
	{name: "1 % loss", loss: 0.01},
	{name: "10 % dead devices", dead: 0.1},
}

// set makes the fleet behave so.
func (n network) set(ctx context.Context) error {
	float := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	q := url.Values{"latency": {n.latency.String()}, "loss": {float(n.loss)}, "dead": {float(n.dead)}}
	if _, err := get(ctx, fleetControl+"/set?"+q.Encode()); err != nil {
		return fmt.Errorf("changing the fleet: %w", err)
	}
	return nil
}
