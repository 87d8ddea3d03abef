package snmp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// found is a sink that writes down what it is given.
type found struct {
	rows map[int][]string
	max  int
}

func (f *found) take(col int, index []byte, v *pdu.Varbind) taking {
	if f.max > 0 && len(f.rows[col]) == f.max {
		return full
	}
	f.rows[col] = append(f.rows[col], fmt.Sprintf("%s=%d", pdu.AppendIndex(nil, index), v.Num))
	return taken
}

// twoColumns is an agent with the columns 1.3.1 (rows 1 to 3) and 1.3.2 (2 to 4).
func twoColumns(t *testing.T) *fake {
	f := &fake{}
	for i := uint64(1); i <= 3; i++ {
		f.set(t, fmt.Sprintf("1.3.1.%d", i), num(pdu.TagGauge32, 10+i))
		f.set(t, fmt.Sprintf("1.3.2.%d", i+1), num(pdu.TagGauge32, 20+i+1))
	}
	return f
}

func TestWalk(t *testing.T) {
	all := map[int][]string{0: {"1=11", "2=12", "3=13"}, 1: {"2=22", "3=23", "4=24"}}
	refuse := func(want func(request) bool, e *StatusError) func(request, []pdu.Varbind) ([]pdu.Varbind, error) {
		return func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
			if want(r) {
				return nil, e
			}
			return vbs, nil
		}
	}
	edit := func(change func([]pdu.Varbind) []pdu.Varbind) func(request, []pdu.Varbind) ([]pdu.Varbind, error) {
		return func(_ request, vbs []pdu.Varbind) ([]pdu.Varbind, error) { return change(vbs), nil }
	}
	bulk := func(r request) bool { return r.reps > 0 }
	for _, test := range []struct {
		name   string
		answer func(request, []pdu.Varbind) ([]pdu.Varbind, error)
		prep   func(*fake, *walker, *found)
		want   map[int][]string // nil: all
		errs   [2]error         // of the columns
		err    error            // of the walk
	}{
		{name: "good"},
		{name: "another table follows", prep: func(f *fake, _ *walker, _ *found) { f.set(t, "1.3.3.1", num(pdu.TagGauge32, 1)) }},
		{name: "v1", prep: func(_ *fake, w *walker, _ *found) { w.pace = newPace(true, 11, 25) },
			answer: func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
				for i := range vbs {
					if vbs[i].Tag == pdu.TagEndOfMibView {
						return nil, &StatusError{Status: statusNoSuchName, Index: i + 1}
					}
				}
				return vbs, nil
			}},
		{name: "v1 that does not say which", prep: func(_ *fake, w *walker, _ *found) { w.pace = newPace(true, 11, 25) },
			answer: func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
				if slices.ContainsFunc(vbs, func(v pdu.Varbind) bool { return v.Tag == pdu.TagEndOfMibView }) {
					return nil, &StatusError{Status: statusNoSuchName}
				}
				return vbs, nil
			}},
		{name: "tooBig for two repetitions",
			answer: refuse(func(r request) bool { return r.reps*len(r.oids) > 1 }, &StatusError{Status: statusTooBig})},
		{name: "tooBig for every GetBulk", answer: refuse(bulk, &StatusError{Status: statusTooBig})},
		{name: "tooBig always", answer: refuse(func(request) bool { return true }, &StatusError{Status: statusTooBig}),
			want: map[int][]string{}, errs: [2]error{&StatusError{Status: statusTooBig}, &StatusError{Status: statusTooBig}}},
		{name: "genErr for GetBulk", answer: refuse(bulk, &StatusError{Status: 5})},
		{name: "genErr always", answer: refuse(func(request) bool { return true }, &StatusError{Status: 5}),
			want: map[int][]string{}, errs: [2]error{&StatusError{Status: 5}, &StatusError{Status: 5}}},
		{name: "empty answers to GetBulk",
			answer: func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
				if r.reps > 0 {
					return nil, nil
				}
				return vbs, nil
			}},
		{name: "empty answers", answer: edit(func([]pdu.Varbind) []pdu.Varbind { return nil }),
			want: map[int][]string{}, errs: [2]error{errEmptyAnswer, errEmptyAnswer}},
		{name: "one variable an answer", answer: edit(func(v []pdu.Varbind) []pdu.Varbind { return v[:1] })},
		{name: "answers cut in a row", answer: edit(func(v []pdu.Varbind) []pdu.Varbind { return v[:min(3, len(v))] })},
		{name: "more than asked for", answer: edit(func(v []pdu.Varbind) []pdu.Varbind { return append(v, v...) })},
		{name: "noSuchInstance ends a column",
			answer: edit(func(v []pdu.Varbind) []pdu.Varbind {
				for i := range v {
					if v[i].Tag == pdu.TagEndOfMibView {
						v[i].Tag = pdu.TagNoSuchInstance
					}
				}
				return v
			})},
		{name: "a row again and again",
			answer: func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
				for i := range vbs {
					if i%len(r.oids) == 0 && len(r.oids) == 2 && i > 2 {
						vbs[i] = vbs[0]
					}
				}
				return vbs, nil
			},
			want: map[int][]string{0: {"1=11", "2=12"}, 1: all[1]}, errs: [2]error{errNotIncreasing}},
		{name: "names without meaning", answer: edit(func(v []pdu.Varbind) []pdu.Varbind { clear(v); return v }),
			want: map[int][]string{}, errs: [2]error{errNoName, errNoName}},
		{name: "more rows than wanted", prep: func(_ *fake, _ *walker, s *found) { s.max = 2 },
			want: map[int][]string{0: all[0][:2], 1: all[1][:2]}, errs: [2]error{errTooManyRows, errTooManyRows}},
		{name: "more requests than allowed", prep: func(_ *fake, w *walker, _ *found) { w.maxRequests = 1 },
			answer: edit(func(v []pdu.Varbind) []pdu.Varbind { return v[:2] }),
			want:   map[int][]string{0: all[0][:1], 1: all[1][:1]}, err: errTooMany},
		{name: "silence", answer: refuse(bulk, nil), want: map[int][]string{}, err: ErrNoAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := twoColumns(t)
			f.answer = test.answer
			if test.err == ErrNoAnswer {
				f.answer = func(request, []pdu.Varbind) ([]pdu.Varbind, error) { return nil, ErrNoAnswer }
			}
			w := walker{pace: newPace(false, 11, 25), maxRequests: 100}
			to := &found{rows: map[int][]string{}}
			if test.prep != nil {
				test.prep(f, &w, to)
			}
			if test.want == nil {
				test.want = all
			}
			for again := range 2 { // the second time it knows the device
				to.rows = map[int][]string{}
				w.requests = 0
				cols := []column{{root: pdu.MustOID("1.3.1")}, {root: pdu.MustOID("1.3.2")}}
				cols[0].begin()
				cols[1].begin()
				if err := w.walk(context.Background(), f, cols, to); !errors.Is(err, test.err) {
					t.Fatalf("walk %d: error %v, want %v", again, err, test.err)
				}
				if diff := cmp.Diff(test.want, to.rows); diff != "" {
					t.Errorf("walk %d: rows (-want +got):\n%s", again, diff)
				}
				for i := range cols {
					if fmt.Sprint(cols[i].err) != fmt.Sprint(test.errs[i]) {
						t.Errorf("walk %d: column %d: error %v, want %v", again, i, cols[i].err, test.errs[i])
					}
					if want := complete; test.err == nil && test.errs[i] == nil && cols[i].state != want {
						t.Errorf("walk %d: column %d is not complete", again, i)
					}
				}
			}
		})
	}
}

func TestWalkEndsWithItsContext(t *testing.T) {
	f := twoColumns(t)
	ctx, cancel := context.WithCancel(context.Background())
	f.answer = func(_ request, vbs []pdu.Varbind) ([]pdu.Varbind, error) { cancel(); return vbs[:2], nil }
	w := walker{pace: newPace(false, 11, 25), maxRequests: 100}
	cols := []column{{root: pdu.MustOID("1.3.1")}}
	cols[0].begin()
	if err := w.walk(ctx, f, cols, &found{rows: map[int][]string{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if cols[0].state != open || len(f.asked) != 2 {
		t.Errorf("state %d after %d requests", cols[0].state, len(f.asked))
	}
}

func TestPace(t *testing.T) {
	p := newPace(false, 11, 25)
	if s := p.next(); s != (shape{5, 10}) {
		t.Errorf("starts with %v", s)
	}
	for range 10 {
		p.whole()
	}
	if s := p.next(); s != (shape{11, 25}) {
		t.Errorf("grows to %v", s)
	}
	p.shrink()
	small := p.next()
	for range forgive - 1 {
		p.whole()
	}
	if p.next() != small {
		t.Errorf("climbs to %v where it has fallen from", p.next())
	}
	p.whole()
	if s := p.next(); s != (shape{11, 25}) {
		t.Errorf("does not forgive: %v", s)
	}
	for p.shrink() {
	}
	if s := p.next(); s != (shape{1, 0}) {
		t.Errorf("falls to %v", s)
	}
	for range forgive {
		p.whole()
	}
	if s := p.next(); s.reps == 0 {
		t.Error("never tries GetBulk again")
	}

	p = newPace(true, 11, 25)
	for range 2 * forgive {
		p.whole()
	}
	if s := p.next(); s != (shape{11, 0}) {
		t.Errorf("v1: %v", s)
	}
	p = newPace(false, 4, 127)
	for range 10 {
		p.whole()
	}
	if s := p.next(); s != (shape{4, 127}) {
		t.Errorf("within the settings: %v", s)
	}
	p = newPace(false, 11, 2)
	for range 10 {
		p.whole()
	}
	if s := p.next(); s != (shape{11, 2}) {
		t.Errorf("within the settings: %v", s)
	}
}
