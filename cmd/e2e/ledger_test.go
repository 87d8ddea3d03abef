package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// batchName names a batch of the one probe there is.
type batchName struct {
	epoch  uint64
	source string
	n      uint64
}

func (n batchName) String() string { return fmt.Sprintf("%016x/%s/%d", n.epoch, n.source, n.n) }

// ledger is what the probe said that it committed, from its log.
type ledger struct {
	mu      sync.Mutex
	batches map[batchName]bool
	blocks  []committed
	faults  []string // lines that say what cannot be
}

// committed is one block in the log.
type committed struct {
	id string
	at time.Time // when the line was read
}

func newLedger() *ledger { return &ledger{batches: map[batchName]bool{}} }

// committedLine is what the probe logs with --log-level debug for every block once
// its transaction is durable.
var committedLine = regexp.MustCompile(`msg=committed block=([0-9a-f]+) epoch=([0-9a-f]{16}) readings=\d+ cover=(".*")`)

// line takes one line of the probe's log.
func (l *ledger) line(text string) {
	m := committedLine.FindStringSubmatch(text)
	if m == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks = append(l.blocks, committed{m[1], time.Now()})
	epoch, err := strconv.ParseUint(m[2], 16, 64)
	cover, uerr := strconv.Unquote(m[3])
	if err != nil || uerr != nil {
		l.faults = append(l.faults, "not understood: "+text)
		return
	}
	for _, entry := range strings.Fields(cover) {
		colon := strings.LastIndexByte(entry, ':')
		var first, count uint64
		if _, err := fmt.Sscanf(entry[colon+1:], "%d+%d", &first, &count); colon < 0 || err != nil {
			l.faults = append(l.faults, "not understood: "+entry)
			continue
		}
		for n := first; n < first+count; n++ {
			name := batchName{epoch, entry[:colon], n}
			if l.batches[name] {
				l.faults = append(l.faults, "committed twice: "+name.String())
			}
			l.batches[name] = true
		}
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.batches)
}

// since returns the blocks whose lines were read after a time.
func (l *ledger) since(t time.Time) (out []committed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.blocks {
		if b.at.After(t) {
			out = append(out, b)
		}
	}
	return out
}
