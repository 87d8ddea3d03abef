package topology

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

// TestScale: two hundred switches that have each learned two thousand hosts are no
// burden for a small box, neither to work out nor to keep.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	r := rand.New(rand.NewPCG(1, 1))
	s := &site{hosts: map[MAC]jack{}}
	for i := range 200 {
		s.names, s.degree = append(s.names, fmt.Sprintf("sw%03d", i)), append(s.degree, 0)
		if i > 0 {
			s.cables = append(s.cables, cable{s.next((i - 1) / 6), s.next(i)})
		}
	}
	for h := range 2000 {
		s.hosts[MAC{6, 0, 0, 0, byte(h >> 8), byte(h)}] = s.next(r.IntN(200))
	}
	known, facts := s.facts(r, 0.5)
	store := openStore(t, filepath.Join(t.TempDir(), "x"))
	for _, f := range facts {
		f.At = time.Now()
		store.Put(f)
	}
	start := time.Now()
	g := Build(known, facts)
	took := time.Since(start)
	if len(g.Links) != 199 || len(g.Hosts) != 2000 {
		t.Errorf("%d links, %d hosts", len(g.Links), len(g.Hosts))
	}
	start = time.Now()
	if err := store.Save(); err != nil {
		t.Fatal(err)
	}
	t.Logf("built in %v, saved in %v", took, time.Since(start))
	if took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
