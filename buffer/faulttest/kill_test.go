package faulttest_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/buffer"
)

// notYet are points that nothing calls yet. Whoever builds what they are about takes
// them off this list and has the worker do it (worker.maintain).
func notYet() []string {
	return []string{
		buffer.PointSalvage, buffer.PointSalvaged}
}

// damaging are the points that are reached after a database was set aside.
func damaging() []string {
	return []string{buffer.PointSetAside, buffer.PointSalvage, buffer.PointSalvaged}
}

// TestKills kills a process at every named point, over and over on one database:
// nothing that was committed is lost, nothing is there twice.
func TestKills(t *testing.T) {
	t.Parallel()
	seed, r := seeded(t)
	kills := 150
	if torture() {
		kills = 1000
	}
	l := &killLab{t: t, rand: r, ledger: newLedger(), hits: map[string]int{}, now: 1_000_000,
		// What a kill leaves unflushed stays in the kernel's cache.
		job: job{Path: filepath.Join(t.TempDir(), "buffer.db"), NoSync: true}}
	points := buffer.Points()
	for i := 0; l.kills < kills; i++ {
		l.kill(points[i%len(points)])
		if i > 20*kills {
			t.Fatalf("only %d kills in %d tries: %v", l.kills, i, l.hits)
		}
	}
	l.ledger.now = 0 // the last check unpacks everything
	l.kill("")
	sum := &l.ledger.sum
	t.Logf("%d kills, seed %d: %s", l.kills, seed, l.count(points))
	t.Logf("%d batches committed, %d more found, %d stored by the hub, %d in gaps, %d lost, %d doubled; %d databases set aside, %d batches salvaged",
		sum.committed, sum.found, sum.stored, sum.gaps, len(sum.lost), len(sum.doubled), sum.aside, sum.salvaged)
	sum.assert(t)
	if sum.committed < 10*kills {
		t.Error("too little happened to show anything")
	}
	for _, p := range points {
		switch waiting := slices.Contains(notYet(), p); {
		case l.hits[p] > 0 && waiting:
			t.Errorf("%q is reached: take it off notYet", p)
		case l.hits[p] == 0 && waiting:
			t.Logf("%q is not reached, and nothing calls it yet", p)
		case l.hits[p] == 0:
			t.Errorf("%q is not reached", p)
		}
	}
}

// killLab is one database and the processes that have it in turn.
type killLab struct {
	t      *testing.T
	rand   *rand.Rand
	job    job
	ledger *ledger
	now    int64
	kills  int
	hits   map[string]int
}

// kill runs a worker until it dies at the point, or has done its job without
// reaching it.
func (l *killLab) kill(point string) {
	j := l.job
	j.Kill, j.Seed, j.Now, j.Fresh, j.Offline = point, l.rand.Uint64(), l.now, l.ledger.now, l.kills%100 >= 60 && !strings.HasPrefix(point, buffer.PointAck)
	l.now += 1 << 25 // more than a worker's clock moves
	// Some points are met with every batch, others once in a life.
	j.Hit = 1 + l.rand.IntN(3)
	if point == buffer.PointIngest {
		j.Hit = 1 + l.rand.IntN(60)
	}
	if slices.Contains(damaging(), point) {
		j.Damage, j.Hit = true, 1
		l.ledger.damaged()
	}
	p := start(l.t, l.ledger)
	p.give(j)
	p.wait()
	if !p.rested() {
		l.kills++
		l.hits[point]++
	}
	p.end()
}

func (l *killLab) count(points []string) string {
	var out []string
	for _, p := range points {
		out = append(out, fmt.Sprintf("%s %d", p, l.hits[p]))
	}
	return strings.Join(out, ", ")
}
