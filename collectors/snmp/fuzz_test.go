package snmp

import (
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// script makes a hostile agent's answers out of a fuzzer's bytes.
type script struct{ b []byte }

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *script) bytes() []byte {
	n := min(int(s.byte()), len(s.b))
	out := s.b[:n:n]
	s.b = s.b[n:]
	return out
}

// spoil changes one variable, in a way that a fuzzer can steer.
func (s *script) spoil(v *pdu.Varbind, r request, i int) {
	switch s.byte() % 8 {
	case 1:
		v.OID = s.bytes()
	case 2:
		v.OID = append(append([]byte(nil), r.oids[i%len(r.oids)]...), s.bytes()...)
	case 3:
		v.Tag = s.byte()
	case 4:
		v.Bytes = s.bytes()
	case 5:
		v.Num = uint64(s.byte()) << (s.byte() % 64)
	case 6:
		*v = pdu.Varbind{}
	case 7:
		v.Tag, v.Bytes = pdu.TagOctets, s.bytes()
	}
}

func (s *script) answer(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
	switch how := s.byte() % 16; how {
	case 1:
		return nil, ErrNoAnswer
	case 2:
		return nil, ErrMalformed
	case 3, 4:
		return nil, &StatusError{Status: int(s.byte()), Index: int(int8(s.byte()))}
	case 5:
		return nil, nil
	case 6:
		return vbs[:int(s.byte())%(len(vbs)+1)], nil
	case 7:
		return append(vbs, vbs...), nil
	default:
		for range how {
			if len(vbs) > 0 {
				i := int(s.byte()) % len(vbs)
				s.spoil(&vbs[i], r, i)
			}
		}
	}
	return vbs, nil
}

// hostileProfile asks for some of everything, so that what a device makes up goes
// through all of it.
func hostileProfile() *profile.Profile {
	set, _ := profile.Open("")
	p := *set.Named(profile.Generic)
	oid := pdu.MustOID
	words := map[int64]string{1: "up", 2: "down"}
	p.Labels = []profile.Label{{Name: "where", From: []profile.Source{{OID: oid("1.3.6.1.2.1.1.5.0")}}}}
	p.Tables = append(p.Tables[:len(p.Tables):len(p.Tables)], profile.Table{
		Name:  "again",
		Index: []profile.Index{{Label: "a", Type: profile.IndexText}, {Label: "b", Type: profile.IndexInetAddr}},
		Columns: []profile.Metric{
			{Name: "sensor", OID: oid("1.3.6.1.2.1.2.2.1.10"), Convert: profile.Convert{Sensor: &profile.Sensor{Type: oid("1.3.6.1.2.1.2.2.1.8"), Scale: oid("1.3.6.1.2.1.31.1.1.1.15"), Status: oid("1.3.6.1.2.1.2.2.1.7")}}},
			{Name: "status", OID: oid("1.3.6.1.2.1.2.2.1.8"), Form: profile.StateSet, Convert: profile.Convert{Enum: words}},
			{Name: "bits", OID: oid("1.3.6.1.2.1.31.1.1.1.1"), Form: profile.Bits, Convert: profile.Convert{Enum: words}},
			{Name: "name_info", OID: oid("1.3.6.1.2.1.31.1.1.1.1"), Form: profile.Info, Convert: profile.Convert{Text: profile.LLDPPort, TypeOf: oid("1.3.6.1.2.1.2.2.1.8")}},
			{Name: "time", OID: oid("1.3.6.1.2.1.31.1.1.1.18"), Convert: profile.Convert{Text: profile.Date}},
			{Name: "text", OID: oid("1.3.6.1.2.1.2.2.1.2"), Kind: collectors.Text, Interval: 2 * time.Minute},
			{Name: "scaled", OID: oid("1.3.6.1.2.1.31.1.1.1.6"), Kind: collectors.Counter, Convert: profile.Convert{Scale: 1024, Invalid: []int64{-1}, Unsigned: true}},
		},
		Labels: []profile.Label{
			{Name: "looked", From: []profile.Source{{OID: oid("1.3.6.1.2.1.31.1.1.1.1"), Through: &profile.Source{OID: oid("1.3.6.1.2.1.2.2.1.8"), Arcs: [][2]int{{0, 0}}}}}},
			{Name: "part", From: []profile.Source{{OID: oid("1.3.6.1.2.1.31.1.1.1.1"), Parts: []int{2, 1}}, {Arc: 3}}},
		},
	})
	return &p
}

var hostileKinds = sync.OnceValue(func() *Kinds { return NewKinds(always{hostileProfile()}) })

// FuzzCollect polls a device that does what the fuzzer likes, four times. Each
// poll must end, and whatever is emitted must keep to the bounds.
func FuzzCollect(f *testing.F) {
	f.Add([]byte{}, byte(3))
	f.Add([]byte{0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 5, 0}, byte(5))
	f.Add([]byte{0, 0, 2, 3, 1, 255, 4, 2, 0, 5, 6, 7, 7, 1}, byte(2))
	f.Fuzz(func(t *testing.T, b []byte, ports byte) {
		var now time.Time
		vars := &fake{}
		d := &device{fake: vars, t: t}
		d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 5))
		for p := range ports % 8 {
			d.port(int(p) * 90)
		}
		version := []string{"1", "2c"}[ports>>7]
		c, err := New(Config{
			Device: "x", Address: "127.0.0.1", MaxRows: 16, MaxRequests: 2000,
			Credentials: []Credential{{Name: "x", Auth: Auth{Version: version, Community: "x"}}},
		}, scopeOf(), over(vars), WithKinds(hostileKinds()), WithClock(func() time.Time { now = now.Add(time.Minute); return now }))
		if err != nil {
			t.Fatal(err)
		}
		s := &script{b}
		vars.answer = s.answer
		for range 4 {
			vars.asked = nil
			emitted := 0
			err := c.Collect(t.Context(), func(b collectors.Batch) {
				emitted++
				if err := b.Validate(); err != nil {
					t.Fatal(err)
				}
				if err := b.Schema.Validate(); err != nil {
					t.Fatal(err)
				}
			})
			if err == nil && emitted == 0 {
				t.Fatal("neither a batch nor an error")
			}
			if n := len(vars.asked); n > 2100 {
				t.Fatalf("%d requests", n)
			}
		}
	})
}
