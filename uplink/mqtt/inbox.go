package mqtt

import (
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// inbox is the bounded queue between paho, which must not wait, and the goroutine
// that calls the handlers.
type inbox struct {
	limit int

	mu    sync.Mutex
	bytes int
	queue []paho.Message
	ready chan struct{} // capacity 1
}

func newInbox(limit int) *inbox {
	return &inbox{limit: limit, ready: make(chan struct{}, 1)}
}

// put queues a message; false means that the inbox is full. One message always
// fits, however long it is.
func (b *inbox) put(m paho.Message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(m.Payload()) + len(m.Topic()) + 128 // paho's own share
	if b.bytes > 0 && b.bytes+n > b.limit {
		return false
	}
	b.bytes += n
	b.queue = append(b.queue, m)
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return true
}

// takeAll empties the inbox. What it held keeps counting until done.
func (b *inbox) takeAll() []paho.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}

// done takes a handled message off the count.
func (b *inbox) done(m paho.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= len(m.Payload()) + len(m.Topic()) + 128
}
