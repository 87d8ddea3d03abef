package block_test

import (
	"sync"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// A store is closed and opened again while others read from it.
func TestCloseWhileDecoding(t *testing.T) {
	c, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Encode(block.Head{Probe: "t/s"}, []block.Section{{Batches: []collectors.Batch{{Source: "x", At: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				if _, _, err := c.Decode(b, nil, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	c.Close()
	wg.Wait()
}
