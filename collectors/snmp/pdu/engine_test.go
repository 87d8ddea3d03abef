package pdu

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestEngineProbe(t *testing.T) {
	// Worked out by hand by RFC 3412, 6 and RFC 3414, 2.4; net-snmp answers it (collectors/discovery).
	want := "3038020103300e02012a" + "020300ffe3" + "040104020103" + "0410300e0400020100020100040004000400" + "301104000400a00b" + "02012a" + "020100020100" + "3000"
	got := hex.EncodeToString(AppendEngineProbe(nil, 42))
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := whole(tagSequence, AppendEngineProbe(nil, 1<<31-1)); err != nil {
		t.Error(err)
	}
	if _, _, err := ReadEngine(AppendEngineProbe(nil, 42)); err != ErrLength {
		t.Errorf("a probe is read as an answer: %v", err)
	}
}

// report is an answer of the form that net-snmp gives to a probe with the number 42.
func report(engine []byte) []byte {
	wrap := func(tag byte, b ...[]byte) []byte {
		all := bytes.Join(b, nil)
		return append(appendHead(nil, tag, len(all)), all...)
	}
	n := func(i int32) []byte { return appendInteger(nil, i) }
	header := wrap(tagSequence, n(42), n(65507), wrap(TagOctets, []byte{0}), n(3))
	security := wrap(TagOctets, wrap(tagSequence, wrap(TagOctets, engine), n(3), n(1234), wrap(TagOctets), wrap(TagOctets), wrap(TagOctets)))
	count := wrap(tagSequence, wrap(tagSequence, wrap(TagOID, MustOID("1.3.6.1.6.3.15.1.1.4.0")), []byte{TagCounter32, 1, 1}))
	scoped := wrap(tagSequence, wrap(TagOctets, engine), wrap(TagOctets), wrap(TypeReport, n(42), n(0), n(0), count))
	return wrap(tagSequence, n(3), header, security, scoped)
}

func TestReadEngine(t *testing.T) {
	want := []byte("\x80\x00\x1f\x88\x80abcdef")
	id, engine, err := ReadEngine(report(want))
	if err != nil || id != 42 || !bytes.Equal(engine, want) {
		t.Errorf("%d %x %v", id, engine, err)
	}
	for _, bad := range [][]byte{nil, {0x30}, report(nil), report(make([]byte, 33)), report(want)[:30], []byte("HTTP/1.0 400")} {
		if _, _, err := ReadEngine(bad); err == nil {
			t.Errorf("%x is read", bad)
		}
	}
}

func FuzzReadEngine(f *testing.F) {
	f.Add(report([]byte("\x80\x00\x1f\x88\x80abcdef")))
	f.Add(AppendEngineProbe(nil, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, engine, err := ReadEngine(b); err == nil && (len(engine) < 5 || len(engine) > 32) {
			t.Errorf("engine of %d octets", len(engine))
		}
	})
}
