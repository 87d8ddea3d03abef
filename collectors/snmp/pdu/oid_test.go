package pdu

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func oidOf(t testing.TB, s string) []byte {
	t.Helper()
	b, ok := AppendOID(nil, s)
	if !ok {
		t.Fatalf("%q is no identifier", s)
	}
	return b
}

// validOID is ValidOID in another way.
func validOID(b []byte) bool {
	if len(b) == 0 || b[len(b)-1] >= 0x80 {
		return false
	}
	arcs, n, begin := 1, uint64(0), true
	for _, c := range b {
		if begin && c == 0x80 {
			return false
		}
		n = n<<7 | uint64(c&0x7f)
		if n > 1<<32-1 {
			return false
		}
		if begin = c < 0x80; begin {
			n = 0
			arcs++
		}
	}
	return arcs <= maxArcs
}

func TestAppendOID(t *testing.T) {
	for s, want := range map[string]string{
		"1.3.6.1.2.1.1.3.0": "\x2b\x06\x01\x02\x01\x01\x03\x00",
		".1.3":              "\x2b",
		"0.0":               "\x00",
		"2.999":             "\x88\x37",
		"1.3.127.128":       "\x2b\x7f\x81\x00",
		"1.3.4294967295":    "\x2b\x8f\xff\xff\xff\x7f",
		"1.0.8802.1":        "\x28\xc4\x62\x01",
	} {
		if got, ok := AppendOID(nil, s); !ok || string(got) != want {
			t.Errorf("AppendOID(%q) = %x, %v, want %x", s, got, ok, want)
		}
	}
	for _, s := range []string{"", ".", "1", "1.", "1..3", "1.3.", "3.1", "1.40", "1.3.4294967296", "1.3.x", "1.3.-1",
		"1.3.00000000001", "2.4294967295", "1.3" + strings.Repeat(".1", maxArcs)} {
		if got, ok := AppendOID([]byte("kept"), s); ok || string(got) != "kept" {
			t.Errorf("AppendOID(%q) = %q, %v, want it refused", s, got, ok)
		}
	}
}

func TestCompareOID(t *testing.T) {
	ordered := []string{"0.0", "1.3", "1.3.0", "1.3.1", "1.3.1.5", "1.3.127", "1.3.128", "1.3.128.1", "1.3.255", "1.3.256",
		"1.3.16383", "1.3.16383.1", "1.3.16384", "1.3.16385", "1.3.4294967295", "1.4", "2.0", "2.999"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := Compare(oidOf(t, a), oidOf(t, b)); sign(got) != sign(i-j) {
				t.Errorf("Compare(%s, %s) = %d", a, b, got)
			}
		}
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestBelow(t *testing.T) {
	root := oidOf(t, "1.3.6.1.2")
	if index, ok := Below(oidOf(t, "1.3.6.1.2.300.4"), root); !ok || string(AppendIndex(nil, index)) != "300.4" {
		t.Errorf("index %x, %v", index, ok)
	}
	for _, s := range []string{"1.3.6.1.2", "1.3.6.1", "1.3.6.1.3.1", "1.3.6.1.256.1"} {
		if _, ok := Below(oidOf(t, s), root); ok {
			t.Errorf("%s is not below", s)
		}
	}
}

func FuzzOID(f *testing.F) {
	f.Add([]byte{0x2b, 6, 1}, []byte{0x2b, 0x81, 0})
	f.Add([]byte{0xff, 0x7f}, []byte{0x81, 0x80, 0})
	f.Add([]byte{0x80}, []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		got := Compare(a, b)
		if sign(got) != -sign(Compare(b, a)) {
			t.Errorf("%x and %x: the order depends on who comes first", a, b)
		}
		dotted := string(AppendDotted(nil, a))
		_, _ = Below(a, b)
		if ValidOID(a) != validOID(a) {
			t.Errorf("ValidOID(%x) = %v", a, ValidOID(a))
		}
		if !validOID(a) || !validOID(b) {
			return
		}
		if back, ok := AppendOID(nil, dotted); !ok || !bytes.Equal(back, a) {
			t.Errorf("%x is %s, which is %x", a, dotted, back)
		}
		if want := slices.Compare(arcs(t, dotted), arcs(t, string(AppendDotted(nil, b)))); sign(got) != want {
			t.Errorf("Compare(%x, %x) = %d, want %d", a, b, got, want)
		}
	})
}

func arcs(t *testing.T, s string) (ns []uint64) {
	for p := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ns = append(ns, n)
	}
	return ns
}
