package snmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

const hostileDeadline = 2 * time.Second

// hostile is a way in which a device, or who poses as it, misbehaves, and the state
// that a poll must end in: nil where it gets all it wants nevertheless.
type hostile struct {
	name   string
	answer func(*question)
	want   error
}

func hostiles() []hostile {
	end := tlv(pdu.TagEndOfMibView)
	same := func(_ int, v pdu.Varbind) (oid, value []byte) { return v.OID, element(v) }
	replace := func(old, new []byte) func(*question) {
		return func(q *question) { q.send(bytes.ReplaceAll(q.right, old, new)) }
	}
	onWalk := func(do func(*question)) func(*question) {
		return func(q *question) {
			if q.walk {
				do(q)
				return
			}
			q.send(q.right)
		}
	}
	always := func(b func(*question) []byte) func(*question) { return func(q *question) { q.send(b(q)) } }
	return []hostile{
		{"it behaves", func(q *question) { q.send(q.right) }, nil},

		// The walk.
		{"every identifier is the one asked for", onWalk(func(q *question) {
			q.with(q.bindings(func(i int, v pdu.Varbind) ([]byte, []byte) { return q.oids[i%len(q.oids)], element(v) })...)
		}), errNotIncreasing},
		{"the first row again and again", onWalk(func(q *question) {
			q.with(q.bindings(func(i int, v pdu.Varbind) ([]byte, []byte) { return q.answers[i%len(q.oids)].OID, element(v) })...)
		}), errNotIncreasing},
		{"an answer in reverse", onWalk(func(q *question) {
			all := q.bindings(same)
			for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
				all[i], all[j] = all[j], all[i]
			}
			q.with(all...)
		}), errAny},
		{"an endless table", onWalk(func(q *question) {
			var all [][]byte
			for row := range 20 {
				for _, o := range q.oids {
					all = append(all, binding(append(bytes.Clone(o), bytes.Repeat([]byte{1}, row+1)...), []byte{2, 1, 1}))
				}
			}
			q.with(all...)
		}), errTooManyRows},
		{"one variable at a time, and slowly", onWalk(func(q *question) {
			<-time.After(20 * time.Millisecond)
			q.with(q.bindings(same)[0])
		}), context.DeadlineExceeded},
		{"no variables", func(q *question) { q.with() }, ErrNothing},
		{"no rows", onWalk(func(q *question) { q.with() }), errEmptyAnswer},
		{"twice as many variables as asked for", func(q *question) {
			q.with(append(q.bindings(same), q.bindings(same)...)...)
		}, nil},
		{"other variables than asked for", func(q *question) {
			q.with(binding(pdu.MustOID("1.3.6.1.4.1.1.1"), []byte{2, 1, 1}))
		}, ErrNothing},
		{"noSuchObject in the middle", onWalk(func(q *question) {
			q.with(q.bindings(func(i int, v pdu.Varbind) ([]byte, []byte) {
				if i == len(q.answers)/2 {
					return v.OID, tlv(pdu.TagNoSuchObject)
				}
				return same(i, v)
			})...)
		}), nil},
		{"endOfMibView in the middle", onWalk(func(q *question) {
			q.with(q.bindings(func(i int, v pdu.Varbind) ([]byte, []byte) {
				if i == 3 {
					return v.OID, end
				}
				return same(i, v)
			})...)
		}), nil},
		{"nothing but endOfMibView", func(q *question) {
			q.with(q.bindings(func(_ int, v pdu.Varbind) ([]byte, []byte) { return v.OID, end })...)
		}, ErrNothing},
		{"text instead of numbers", func(q *question) {
			q.with(q.bindings(func(_ int, v pdu.Varbind) ([]byte, []byte) { return v.OID, tlv(pdu.TagOctets, []byte("many")) })...)
		}, nil},
		{"numbers instead of text", func(q *question) {
			q.with(q.bindings(func(_ int, v pdu.Varbind) ([]byte, []byte) { return v.OID, []byte{0x41, 1, 7} })...)
		}, nil},
		{"a restart with each answer", replace([]byte{pdu.TagTimeTicks, 3}, []byte{pdu.TagGauge32, 3}), nil},

		// Names.
		{"names of 129 numbers", onWalk(func(q *question) {
			q.with(q.bindings(func(_ int, v pdu.Varbind) ([]byte, []byte) {
				return append(bytes.Clone(v.OID), bytes.Repeat([]byte{1}, 129)...), element(v)
			})...)
		}), errNoName},
		{"names with numbers beyond 32 bits", onWalk(func(q *question) {
			q.with(q.bindings(func(_ int, v pdu.Varbind) ([]byte, []byte) {
				return append(bytes.Clone(v.OID), 0x90, 0x80, 0x80, 0x80, 0), element(v)
			})...)
		}), ErrMalformed},
		{"names that are empty", onWalk(func(q *question) {
			q.with(q.bindings(func(_ int, v pdu.Varbind) ([]byte, []byte) { return nil, element(v) })...)
		}), errNotIncreasing},
		{"names not in their shortest form", onWalk(func(q *question) {
			q.with(q.bindings(func(_ int, v pdu.Varbind) ([]byte, []byte) {
				last := len(v.OID) - 1
				return append(append(bytes.Clone(v.OID[:last]), 0x80), v.OID[last]), element(v)
			})...)
		}), nil},
		{"names that are cut off", onWalk(func(q *question) {
			q.with(q.bindings(func(_ int, v pdu.Varbind) ([]byte, []byte) { return append(bytes.Clone(v.OID), 0x81), element(v) })...)
		}), ErrMalformed},

		// The message.
		{"silence", func(*question) {}, ErrNoAnswer},
		{"an empty datagram", always(func(*question) []byte { return nil }), ErrMalformed},
		{"one octet", always(func(*question) []byte { return []byte{0x30} }), ErrMalformed},
		{"text", always(func(*question) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }), ErrMalformed},
		{"noise", always(func(q *question) []byte {
			random := rand.New(rand.NewPCG(uint64(q.number), 1))
			b := make([]byte, 200)
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			return b
		}), ErrMalformed},
		{"65,507 octets of nothing", always(func(*question) []byte { return make([]byte, 65507) }), ErrMalformed},
		{"65,507 octets behind the number", always(func(q *question) []byte {
			b := make([]byte, 65507)
			copy(b, q.right)
			return b
		}), ErrMalformed},
		{"cut off by one", always(func(q *question) []byte { return q.right[:len(q.right)-1] }), ErrMalformed},
		{"cut off in the head", always(func(q *question) []byte { return q.right[:10] }), ErrMalformed},
		{"nested deep", always(func(*question) []byte { return bytes.Repeat([]byte{0x30, 0x84, 0, 0, 0x7f, 0xff}, 10000) }), ErrMalformed},
		{"an indefinite length", always(func(q *question) []byte {
			return append([]byte{0x30, 0x80}, append(bytes.Clone(q.right[4:]), 0, 0)...)
		}), ErrMalformed},
		{"a negative length", always(func(q *question) []byte {
			return append([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, q.right[4:]...)
		}), ErrMalformed},
		{"a length of a thousand octets", always(func(q *question) []byte {
			return append(append([]byte{0x30, 0xff}, make([]byte, 127)...), q.right...)
		}), ErrMalformed},
		{"one octet too many", always(func(q *question) []byte { return append(bytes.Clone(q.right), 0) }), ErrMalformed},
		{"numbers longer than they need be", func(q *question) { q.with(q.bindings(same)...) }, nil},
		{"a community of 60,000 octets", func(q *question) {
			q.send(messageOf(1, string(make([]byte, 60000)), pdu.TypeResponse, q.id, 0, 0))
		}, ErrNothing},

		// Whose answer it is.
		{"another number", func(q *question) { q.send(answerOf(q.id^1, 0, 0, q.bindings(same)...)) }, ErrOtherAnswer},
		{"the number 0", func(q *question) { q.send(answerOf(0, 0, 0, q.bindings(same)...)) }, ErrOtherAnswer},
		{"another community", func(q *question) {
			q.send(messageOf(1, "other", pdu.TypeResponse, q.id, 0, 0, q.bindings(same)...))
		}, nil}, // the number shows whose it is, and some agents do so
		{"version 1", func(q *question) {
			q.send(messageOf(0, "public", pdu.TypeResponse, q.id, 0, 0, q.bindings(same)...))
		}, nil}, // read by gosnmp
		{"version 3", func(q *question) {
			q.send(messageOf(3, "public", pdu.TypeResponse, q.id, 0, 0, q.bindings(same)...))
		}, ErrMalformed},
		{"its own question", always(func(q *question) []byte { return q.asked }), ErrMalformed},
		{"a report", func(q *question) {
			q.send(messageOf(1, "public", pdu.TypeReport, q.id, 0, 0, q.bindings(same)...))
		}, ErrMalformed},
		{"a trap", func(q *question) {
			q.send(messageOf(1, "public", pdu.TypeTrap, q.id, 0, 0, q.bindings(same)...))
		}, ErrMalformed},
		{"a trap of version 1", func(q *question) {
			q.send(messageOf(0, "public", 0xa4, q.id, 0, 0, q.bindings(same)...))
		}, ErrMalformed},
		{"every answer twice", func(q *question) { q.send(q.right); q.send(q.right) }, nil},
		{"a thousand answers to one question", func(q *question) {
			q.send(q.right)
			for n := 1; n < 1000 && q.number == 3; n++ {
				q.send(q.right)
			}
		}, nil},
		{"a thousand wrong ones before an answer", func(q *question) {
			for n := int32(1); n < 1000 && q.number == 3; n++ {
				q.send(answerOf(n, 0, 0))
			}
			q.send(q.right)
		}, nil},
		{"answers to the question before", func() func(*question) {
			var last []byte
			return func(q *question) {
				if last != nil {
					q.send(last)
				}
				last = q.right
			}
		}(), either}, // an answer to the first repetition will do, where there is time for so many
		{"answers after the deadline", func(q *question) { <-time.After(300 * time.Millisecond); q.send(q.right) }, errAny},
		{"answers from another port", func(q *question) { q.r.sendFrom("127.0.0.1", q.right, q.from) }, nil},
		{"answers from an address outside the scope", func(q *question) { q.r.sendFrom("127.0.9.9", q.right, q.from) }, ErrOtherAddress},
		{"the port closes after three answers", func(q *question) {
			if q.send(q.right); q.number == 3 {
				_ = q.r.conn.Close()
			}
		}, ErrRefused},

		// Errors.
		{"an error-index out of range", func(q *question) { q.send(answerOf(q.id, 5, 200)) }, errAny},
		{"a negative error-index", func(q *question) { q.send(answerOf(q.id, 5, -1)) }, errAny},
		{"a negative error-status", func(q *question) { q.send(answerOf(q.id, -1, 0)) }, errAny},
		{"tooBig whatever is asked", func(q *question) { q.send(answerOf(q.id, 1, 0)) }, errAny},
		{"genErr for all rows", onWalk(func(q *question) { q.send(answerOf(q.id, 5, 1)) }), errAny},
	}
}

// errAny stands for any named state that is not success, and either for that and
// success.
const (
	errAny trouble = "any"
	either trouble = "any or none"
)

// hasName tells whether an error says in words of this package what the matter is.
func hasName(err error) bool {
	var failure Failure
	var status *StatusError
	var reason trouble
	return errors.As(err, &failure) || errors.As(err, &status) || errors.As(err, &reason) || errors.Is(err, context.DeadlineExceeded)
}

// TestHostile: whatever a device does, a poll ends in a state that has a name, in
// time, with little memory; and so does the next one.
func TestHostile(t *testing.T) {
	all := hostiles()
	for status := range int32(20) {
		all = append(all, hostile{fmt.Sprintf("error-status %d", status+1), func(q *question) { q.send(answerOf(q.id, status+1, 1)) }, errAny})
	}
	sockets := socketsOf(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	// The agents stay until all have ended, for another must not have the port of one
	// whose answers are still on their way.
	t.Run("all", func(whole *testing.T) {
		for _, h := range all {
			whole.Run(h.name, func(t *testing.T) {
				t.Parallel()
				h.check(t, newRogue(whole, snmptest.Switch(20), h.answer), sockets)
			})
		}
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+16<<20 {
		t.Errorf("%d MB of memory are kept", (after.HeapAlloc-before.HeapAlloc)>>20)
	}
	t.Logf("%d behaviours; %+v", len(all), sockets.Stats())
}

func (h hostile) check(t *testing.T, r *rogue, sockets *Sockets) {
	c, err := New(Config{Device: "x", Address: r.address(), Credentials: []Credential{v2c("public")}, Timeout: 100 * time.Millisecond,
		Retries: 1, MaxRows: 100, MaxRequests: 500}, scopeOf("127.0.0.0/24"), WithSockets(sockets))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	polls := 2
	if h.want == ErrOtherAddress {
		polls = 1 // later ones take less trouble to find out why
	}
	for n := range polls {
		ctx, cancel := context.WithTimeout(t.Context(), hostileDeadline)
		start := time.Now()
		err := c.Collect(ctx, func(b collectors.Batch) {
			if err := errors.Join(b.Validate(), b.Schema.Validate()); err != nil {
				t.Error(err)
			}
		})
		cancel()
		if took := time.Since(start); took > hostileDeadline+time.Second {
			t.Errorf("poll %d took %s", n, took)
		}
		switch {
		case h.want == nil && err != nil,
			h.want != nil && h.want != either && err == nil,
			err != nil && !hasName(err),
			h.want != nil && h.want != errAny && h.want != either && !errors.Is(err, h.want):
			t.Errorf("poll %d: error %v, want %v", n, err, h.want)
		}
	}
}
