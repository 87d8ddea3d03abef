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

// damaging are the points that are reached after a database was set aside.
func damaging() []string {
	return []string{buffer.PointSetAside, buffer.PointSalvage, buffer.PointSalvaged}
}

// TestKills kills a process at every named point, over and over on one database, and
// on one that is damaged now and then: nothing that was committed is lost, nothing
// is there twice.
func TestKills(t *testing.T) {
	t.Parallel()
	seed, r := seeded(t)
	kills := 150
	if torture() {
		kills = 1000
	}
	points := buffer.Points()
	whole := slices.DeleteFunc(slices.Clone(points), func(p string) bool { return slices.Contains(damaging(), p) })
	labs := []*killLab{
		{name: "one database", points: whole, most: kills * 4 / 5},
		{name: "set aside", points: append(damaging(), buffer.PointIngest, buffer.PointCommit, buffer.PointMarked), most: kills / 5},
	}
	hits := map[string]int{}
	var total tally
	for _, l := range labs {
		l.rand = rand.New(rand.NewPCG(r.Uint64(), 0))
		t.Run(l.name, func(t *testing.T) {
			l.t = t
			l.run()
			for p, n := range l.hits {
				hits[p] += n
			}
			total.lost = append(total.lost, l.ledger.sum.lost...)
			total.doubled = append(total.doubled, l.ledger.sum.doubled...)
			total.committed += l.ledger.sum.committed
		})
	}
	if slices.ContainsFunc(labs, func(l *killLab) bool { return l.ledger == nil }) {
		return // -run chose one of them
	}
	var out []string
	for _, p := range points {
		out = append(out, fmt.Sprintf("%s %d", p, hits[p]))
		if hits[p] == 0 {
			t.Errorf("%q is not reached", p)
		}
	}
	t.Logf("%d kills, seed %d: committed %d batches, lost %d, doubled %d; %s", kills, seed, total.committed, len(total.lost), len(total.doubled), strings.Join(out, ", "))
}

// killLab is one database and the processes that have it in turn.
type killLab struct {
	t      *testing.T
	name   string
	points []string
	most   int // kills
	rand   *rand.Rand
	job    job
	ledger *ledger
	now    int64
	kills  int
	hits   map[string]int
}

func (l *killLab) run() {
	l.ledger, l.hits, l.now = newLedger(), map[string]int{}, 1_000_000
	// What a kill leaves unflushed stays in the kernel's cache.
	l.job = job{Path: filepath.Join(l.t.TempDir(), "buffer.db"), NoSync: true}
	for i := 0; l.kills < l.most; i++ {
		if i > 20*l.most || len(l.ledger.sum.hands) > 0 {
			l.t.Fatalf("only %d kills in %d tries: %v %q", l.kills, i, l.hits, l.ledger.sum.hands)
		}
		l.kill(l.points[i%len(l.points)])
	}
	l.ledger.now = 0 // the last check unpacks everything
	l.kill("")
	sum := &l.ledger.sum
	l.t.Logf("%d kills: %d batches committed, %d more found, %d stored by the hub, %d in gaps, %d lost, %d doubled; %d blocks of rollups unpacked; %d databases set aside, %d batches salvaged, %d times one was in two blocks",
		l.kills, sum.committed, sum.found, sum.stored, sum.gaps, len(sum.lost), len(sum.doubled), sum.rolled, sum.aside, sum.salvaged, sum.again)
	sum.assert(l.t)
	if sum.committed < 10*l.most {
		l.t.Error("too little happened to show anything")
	}
}

// kill runs a worker until it dies at the point, or has done its job without
// reaching it.
func (l *killLab) kill(point string) {
	j := l.job
	j.Kill, j.Seed, j.Now, j.Fresh, j.Offline = point, l.rand.Uint64(), l.now, l.ledger.now, l.kills%100 >= 60 && !strings.HasPrefix(point, buffer.PointAck)
	l.now += 1 << 25 // more than a worker's clock moves
	// Some points are met with every batch, others now and then.
	j.Hit = 1
	switch point {
	case buffer.PointIngest:
		j.Hit = 1 + l.rand.IntN(60)
	case buffer.PointCommit, buffer.PointCommitted, buffer.PointMarked, buffer.PointAck, buffer.PointAcked, buffer.PointCheckpoint, buffer.PointCopied:
		j.Hit = 1 + l.rand.IntN(3)
	}
	if j.Damage = slices.Contains(damaging(), point); j.Damage {
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
