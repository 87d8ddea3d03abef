package snmp

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// led counts the requests that had scalars in front of columns.
func led(asked []request) (n int) {
	for _, r := range asked {
		if r.single > 0 {
			n++
		}
	}
	return n
}

// TestLead: agents that do not do non-repeaters right give the same readings, and
// are soon not asked so any more.
func TestLead(t *testing.T) {
	spoil := func(change func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error)) func(*device) func(request, []pdu.Varbind) ([]pdu.Varbind, error) {
		return func(*device) func(request, []pdu.Varbind) ([]pdu.Varbind, error) {
			return func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
				if r.single == 0 {
					return vbs, nil
				}
				return change(r, vbs)
			}
		}
	}
	for _, test := range []struct {
		name   string
		answer func(d *device) func(request, []pdu.Varbind) ([]pdu.Varbind, error)
		good   bool
	}{
		{name: "good", good: true},
		{name: "only the scalars", good: true, answer: spoil(func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) { return vbs[:r.single], nil })},
		{name: "cut off", good: true, answer: spoil(func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) { return vbs[:r.single+4], nil })},
		{name: "everything is repeated", answer: func(d *device) func(request, []pdu.Varbind) ([]pdu.Varbind, error) {
			return func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
				if r.single == 0 {
					return vbs, nil
				}
				all := request{oids: r.oids, reps: r.reps}
				at := append([][]byte(nil), all.oids...)
				vbs = nil
				for range all.reps {
					for i := range at {
						v := d.next(at[i])
						vbs, at[i] = append(vbs, v), v.OID
					}
				}
				return vbs[:len(vbs)-len(vbs)/3], nil // and cut, so that the length tells nothing
			}
		}},
		{name: "the scalars are left out", answer: spoil(func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) { return vbs[r.single:], nil })},
		{name: "the scalars stand last", answer: spoil(func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
			return append(vbs[r.single:], vbs[:r.single]...), nil
		})},
		{name: "the scalars are said to be absent", answer: spoil(func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
			for i := range r.single {
				vbs[i].Tag = pdu.TagNoSuchInstance
			}
			return vbs, nil
		})},
		{name: "nothing", answer: spoil(func(request, []pdu.Varbind) ([]pdu.Varbind, error) { return nil, nil })},
		{name: "too much", answer: spoil(func(_ request, vbs []pdu.Varbind) ([]pdu.Varbind, error) { return append(vbs, vbs...), nil })},
		{name: "genErr", answer: spoil(func(request, []pdu.Varbind) ([]pdu.Varbind, error) { return nil, &StatusError{Status: 5} })},
		{name: "tooBig", answer: spoil(func(request, []pdu.Varbind) ([]pdu.Varbind, error) { return nil, &StatusError{Status: statusTooBig} })},
		{name: "silence", answer: spoil(func(request, []pdu.Varbind) ([]pdu.Varbind, error) { return nil, ErrNoAnswer })},
		{name: "not SNMP", answer: spoil(func(request, []pdu.Varbind) ([]pdu.Varbind, error) { return nil, ErrMalformed })},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDevice(t, 30)
			for range 4 { // it learns the pace
				d.step()
			}
			rows := func() map[string]string {
				bs := d.step()
				if v := only(bs, "sysUpTime"); len(v) != 1 || v[`sysUpTime{device="sw1"}`] == "-" {
					t.Fatalf("sysUpTime: %v", v)
				}
				return only(bs, "ifOperStatus", "ifHCInOctets", "ifHighSpeed")
			}
			want := rows()
			shape := d.c.walker.pace.next()
			if test.answer != nil {
				d.answer = test.answer(d)
			}
			faulty := 0
			for range 10 * maxLeadFaults {
				d.asked = nil
				if diff := cmp.Diff(want, rows()); diff != "" {
					t.Fatalf("readings (-want +got):\n%s", diff)
				}
				n := led(d.asked)
				faulty += n
				if test.good && (n != 1 || d.asked[0].single == 0) {
					t.Fatalf("%d of %d requests had scalars in front", n, len(d.asked))
				}
				if d.c.walker.pace.next() != shape {
					t.Fatalf("the pace is %v, was %v", d.c.walker.pace.next(), shape)
				}
			}
			if !test.good && (faulty == 0 || faulty > maxLeadFaults) {
				t.Errorf("%d requests had scalars in front, want 1 to %d", faulty, maxLeadFaults)
			}
		})
	}
}

func TestLeadOfADeviceThatChanges(t *testing.T) {
	d := newDevice(t, 30)
	for range 5 {
		d.step()
	}
	d.asked = nil
	d.put(ifx+"1.7", octets("new7"))
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 0))
	bs := d.step()
	if got := readings(bs)[`ifOperStatus{device="sw1",ifIndex="7",ifName="new7",ifAlias=""}`]; got != "1" {
		t.Errorf("the port with the new name: %q", got)
	}
	if len(bs[0].Events) != 1 || led(d.asked) != 1 || d.asked[0].single == 0 {
		t.Errorf("events %v, %d requests with scalars in front", bs[0].Events, led(d.asked))
	}

	for _, column := range []string{ifs + "2", ifs + "8", ifs + "10", ifx + "1", ifx + "6", ifx + "15", ifx + "18"} {
		d.take(column + ".1")
		d.take(column + ".2")
	}
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 6000))
	if n := count(d.step(), "ifOperStatus"); n != 28 {
		t.Errorf("%d rows after the first two have gone, want 28", n)
	}
	for range 5 {
		d.step()
	}
	d.asked = nil
	if d.step(); led(d.asked) != 1 {
		t.Errorf("%d requests with scalars in front after it", led(d.asked))
	}

	d.answer = func(request, []pdu.Varbind) ([]pdu.Varbind, error) { return nil, ErrNoAnswer }
	if _, err := poll(t, d.c); err == nil {
		t.Error("no error of a device that is gone")
	}
	d.asked, d.answer = nil, nil
	d.now = d.now.Add(time.Second)
	if mustPoll(t, d.c); d.asked[0].reps != -1 {
		t.Error("a device that was gone is not asked for little first")
	}
}
