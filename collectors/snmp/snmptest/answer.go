package snmptest

// PDU tags and error-status values.
const (
	pduGet      = 0xa0
	pduGetNext  = 0xa1
	pduResponse = 0xa2
	pduSet      = 0xa3
	pduGetBulk  = 0xa5

	statusTooBig      = 1
	statusNoSuchName  = 2
	statusReadOnly    = 4
	statusGenErr      = 5
	statusNotWritable = 17

	maxMessage = 65000
)

// request is one message that has been read.
type request struct {
	version   int64
	community []byte
	pdu       byte
	id        int64
	a, b      int64 // non-repeaters and max-repetitions of GetBulk
	asked     []byte
	names     []oid
}

func (q *request) v1() bool { return q.version == 0 }

// worker answers one request at a time and keeps its memory for the next.
type worker struct {
	q      request
	m      *Manners
	mib    *MIB
	loop   oid
	broken oid
	memo   map[int]Value // of the variables that are functions, in this request
	binds  []byte
	vb     []byte
}

// answer gives the octets to send, or nil where there is no answer: a message
// that cannot be read, another version, another community. They hold until the
// next call.
func (w *worker) answer(msg []byte, a *Agent, m *Manners) []byte {
	if err := w.q.read(msg); err != nil || string(w.q.community) != a.community {
		return nil
	}
	w.m, w.mib, w.loop, w.broken = m, a.mib, nil, nil
	if m.LoopAt != "" {
		w.loop = mustOID(m.LoopAt)
	}
	if m.GenErrAt != "" {
		w.broken = mustOID(m.GenErrAt)
	}
	clear(w.memo)
	w.binds = w.binds[:0]
	w.mib.mu.RLock()
	defer w.mib.mu.RUnlock()
	switch w.q.pdu {
	case pduGet:
		return w.get()
	case pduGetNext:
		return w.getNext()
	case pduGetBulk:
		if w.q.v1() {
			return nil
		}
		a.bulks.Add(1)
		return w.getBulk()
	case pduSet:
		if w.q.v1() {
			return w.fail(statusReadOnly, 1)
		}
		return w.fail(statusNotWritable, 1)
	}
	return nil
}

func (q *request) read(msg []byte) error {
	tag, body, _, err := readTLV(msg)
	if err != nil || tag != tagSequence {
		return errBER
	}
	if q.version, body, err = readInt(body); err != nil || q.version != 0 && q.version != 1 {
		return errBER
	}
	if tag, q.community, body, err = readTLV(body); err != nil || tag != tagOctets {
		return errBER
	}
	if q.pdu, body, _, err = readTLV(body); err != nil {
		return errBER
	}
	for _, field := range []*int64{&q.id, &q.a, &q.b} {
		if *field, body, err = readInt(body); err != nil {
			return errBER
		}
	}
	if tag, q.asked, _, err = readTLV(body); err != nil || tag != tagSequence {
		return errBER
	}
	q.names = q.names[:0]
	for rest := q.asked; len(rest) > 0; {
		var vb, name []byte
		if tag, vb, rest, err = readTLV(rest); err != nil || tag != tagSequence {
			return errBER
		}
		if tag, name, _, err = readTLV(vb); err != nil || tag != tagOID {
			return errBER
		}
		o, err := readOID(name)
		if err != nil {
			return errBER
		}
		q.names = append(q.names, o)
	}
	return nil
}

func (w *worker) get() []byte {
	for i, o := range w.q.names {
		k, found := w.mib.find(o)
		if found && w.visible(k) {
			if w.broken != nil && o.compare(w.broken) == 0 {
				return w.fail(statusGenErr, i+1)
			}
			w.add(w.mib.vars[k].body, w.value(k))
			continue
		}
		if w.q.v1() {
			return w.fail(statusNoSuchName, i+1)
		}
		miss := byte(tagNoSuchObject)
		if w.mib.column(o[:len(o)-1]) {
			miss = tagNoSuchInstance
		}
		w.add(o.body(), Value{tag: miss})
	}
	return w.reply()
}

func (w *worker) getNext() []byte {
	for i, o := range w.q.names {
		k := w.next(o)
		if k == len(w.mib.vars) {
			if w.q.v1() {
				return w.fail(statusNoSuchName, i+1)
			}
			w.add(o.body(), Value{tag: tagEndOfMibView})
			continue
		}
		if w.broken != nil && w.mib.vars[k].name.compare(w.broken) == 0 {
			return w.fail(statusGenErr, i+1)
		}
		w.add(w.mib.vars[k].body, w.value(k))
	}
	return w.reply()
}

func (w *worker) getBulk() []byte {
	if w.m.NoBulk {
		return w.fail(statusGenErr, 0)
	}
	single := min(max(int(w.q.a), 0), len(w.q.names))
	reps := max(int(w.q.b), 0)
	if w.m.MaxRepetitions > 0 {
		reps = min(reps, w.m.MaxRepetitions)
	}
	room := w.room()
	at := append([]oid(nil), w.q.names...)
	step := func(i int) (more, fits bool) {
		before := len(w.binds)
		if k := w.next(at[i]); k < len(w.mib.vars) {
			w.add(w.mib.vars[k].body, w.value(k))
			at[i], more = w.mib.vars[k].name, true
		} else {
			w.add(at[i].body(), Value{tag: tagEndOfMibView})
		}
		if w.m.TooBig == 0 && len(w.binds) > room {
			w.binds = w.binds[:before]
			return more, false
		}
		return more, true
	}
	for i := range single {
		if _, fits := step(i); !fits {
			return w.reply()
		}
	}
	for range reps {
		any := false
		for i := single; i < len(at); i++ {
			more, fits := step(i)
			if !fits {
				return w.reply()
			}
			any = any || more
		}
		if !any || w.m.TooBig > 0 && len(w.binds) > w.m.TooBig {
			break
		}
	}
	return w.reply()
}

// next gives the place of what follows o.
func (w *worker) next(o oid) int {
	if w.loop != nil && o.compare(w.loop) == 0 {
		if k, found := w.mib.find(o); found {
			return k
		}
	}
	k := w.mib.after(o)
	for k < len(w.mib.vars) && !w.visible(k) {
		k++
	}
	return k
}

// visible: SNMPv1 has no Counter64 (RFC 3584, 4.2.2.1).
func (w *worker) visible(k int) bool {
	return !w.q.v1() || w.value(k).tag != tagCounter64
}

func (w *worker) value(k int) Value {
	v := &w.mib.vars[k]
	if v.fn == nil {
		return v.value
	}
	got, ok := w.memo[k]
	if !ok {
		if w.memo == nil {
			w.memo = map[int]Value{}
		}
		got = v.fn()
		w.memo[k] = got
	}
	return got
}

func (w *worker) add(name []byte, v Value) {
	w.vb = appendTLV(w.vb[:0], tagOID, name)
	w.vb = appendTLV(w.vb, v.tag, v.body)
	w.binds = appendTLV(w.binds, tagSequence, w.vb)
}

// room is what is left for variables in an answer of the longest length.
func (w *worker) room() int {
	limit := maxMessage
	if w.m.MaxMessage > 0 {
		limit = min(limit, w.m.MaxMessage)
	}
	return limit - len(w.q.community) - 40
}

func (w *worker) reply() []byte {
	limit := w.room()
	if w.m.TooBig > 0 {
		limit = min(limit, w.m.TooBig)
	}
	if len(w.binds) > limit || len(w.binds) == 0 && len(w.q.names) > 0 && w.q.b > 0 {
		if w.q.v1() {
			return w.fail(statusTooBig, 0)
		}
		return w.message(statusTooBig, 0, nil)
	}
	return w.message(0, 0, w.binds)
}

// fail is an answer that gives back what was asked.
func (w *worker) fail(status, index int) []byte {
	return w.message(int64(status), int64(index), w.q.asked)
}

func (w *worker) message(status, index int64, binds []byte) []byte {
	id := w.q.id
	if w.m.WrongRequestID {
		id ^= 0x2a5a
	}
	p := appendTLV(nil, tagInteger, appendInt(nil, id))
	p = appendTLV(p, tagInteger, appendInt(nil, status))
	p = appendTLV(p, tagInteger, appendInt(nil, index))
	p = appendTLV(p, tagSequence, binds)
	b := appendTLV(nil, tagInteger, appendInt(nil, w.q.version))
	b = appendTLV(b, tagOctets, w.q.community)
	b = appendTLV(b, pduResponse, p)
	return appendTLV(nil, tagSequence, b)
}
