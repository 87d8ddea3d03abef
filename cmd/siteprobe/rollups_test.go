package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

func rolledPoints(kind collectors.Kind, v collectors.Value, cell block.Cell, tier block.Tier) *store.Points {
	return &store.Points{Series: collectors.Series{Metric: "m", Unit: "bytes", Kind: kind}, Tier: tier, Points: []store.Point{
		{T: 5, V: v}, {T: 7},
		{T: 899_000, V: v, Rolled: &store.Rolled{Cell: cell, Tier: tier}}}}
}

func TestRolledWords(t *testing.T) {
	for _, c := range []struct {
		kind collectors.Kind
		tier block.Tier
		cell block.Cell
		want string
	}{
		{collectors.Gauge, block.Quarter, block.Cell{Count: 15, Min: 3.1, Max: 9.4}, "15 min: 15 readings, 3.1 to 9.4"},
		{collectors.Gauge, block.Hour, block.Cell{Count: 60, Min: 1e9, Max: 1e9 + 0.25}, "1 h: 60 readings, 1000000000 to 1000000000"},
		{collectors.Gauge, block.Quarter, block.Cell{Count: 2, Min: math.Inf(-1), Max: 1. / 3}, "15 min: 2 readings, -Inf to 0.333333"},
		{collectors.State, block.Quarter, block.Cell{Count: 15, Min: 1, Max: 1}, "15 min: 15 readings, all the same"},
		{collectors.State, block.Quarter, block.Cell{Count: 1, Min: 1, Max: 1}, "15 min: 1 reading"},
		{collectors.Counter, block.Hour, block.Cell{Count: 60, Rise: 123456}, "1 h: 60 readings, rose by 123456"},
		{collectors.Text, block.Hour, block.Cell{Count: 6}, "1 h: 6 readings"},
	} {
		if got := rolledWords(c.kind, &store.Rolled{Cell: c.cell, Tier: c.tier}); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Scripts read these shapes.
func TestHistoryOfRollups(t *testing.T) {
	for _, c := range []struct {
		p    *store.Points
		want string
	}{
		{rolledPoints(collectors.Counter, collectors.CounterValue(math.MaxUint64), block.Cell{Count: 15, Rise: math.MaxUint64}, block.Quarter),
			`{"kind":"counter","labels":{},"metric":"m","quality":[],"tier":1,"unit":"bytes","points":[[5,18446744073709551615],[899000,18446744073709551615]],` +
				`"rollups":[{"t":899000,"start":0,"width_s":900,"count":15,"rise":18446744073709551615}]}`},
		{rolledPoints(collectors.Gauge, collectors.GaugeValue(6.25), block.Cell{Count: 2, Min: 3.1, Max: 9.4, Sum: 12.5}, block.Hour),
			`{"kind":"gauge","labels":{},"metric":"m","quality":[],"tier":2,"unit":"bytes","points":[[5,6.25],[899000,6.25]],` +
				`"rollups":[{"t":899000,"start":0,"width_s":3600,"count":2,"min":3.1,"max":9.4,"sum":12.5}]}`},
		{rolledPoints(collectors.Gauge, collectors.GaugeValue(math.NaN()), block.Cell{Count: 2, Min: 1, Max: math.Inf(1), Sum: math.NaN()}, block.Hour),
			`{"kind":"gauge","labels":{},"metric":"m","quality":[],"tier":2,"unit":"bytes","points":[[5,null],[899000,null]],` +
				`"rollups":[{"t":899000,"start":0,"width_s":3600,"count":2,"min":1,"max":null,"sum":null}]}`},
		{rolledPoints(collectors.Text, collectors.TextValue(`"`), block.Cell{Count: 2}, block.Quarter),
			`{"kind":"text","labels":{},"metric":"m","quality":[],"tier":1,"unit":"bytes","points":[[5,"\""],[899000,"\""]],` +
				`"rollups":[{"t":899000,"start":0,"width_s":900,"count":2}]}`},
	} {
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		if err := historyJSON(w, c.p); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if d := cmp.Diff(c.want+"\n", b.String()); d != "" || !json.Valid(b.Bytes()) {
			t.Error(d)
		}
	}
}

func TestHistoryTableOfRollups(t *testing.T) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	historyTable(w, rolledPoints(collectors.Gauge, collectors.GaugeValue(19./3), block.Cell{Count: 15, Min: 3.1, Max: 9.4}, block.Quarter), time.UTC)
	w.Flush()
	want := "m  (gauge)\n" +
		"  1970-01-01 00:00:00 UTC  6.333333333333333  bytes\n" +
		"  1970-01-01 00:00:00 UTC  -                  bytes\n" +
		"  1970-01-01 00:14:59 UTC  6.33333            bytes  15 min: 15 readings, 3.1 to 9.4\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}
