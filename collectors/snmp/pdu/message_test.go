package pdu

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// unhex reads octets in hexadecimal, with blanks where they help.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tlv puts content behind a tag and its length.
func tlv(tag byte, content ...[]byte) []byte {
	b := bytes.Join(content, nil)
	return append(appendHead(nil, tag, len(b)), b...)
}

// response is a message with variables that are whole elements.
func response(varbinds ...[]byte) []byte {
	return tlv(0x30, []byte{2, 1, 1}, tlv(4, []byte("public")),
		tlv(TypeResponse, []byte{2, 4, 0x12, 0x34, 0x56, 0x78}, []byte{2, 1, 0}, []byte{2, 1, 0}, tlv(0x30, varbinds...)))
}

// variable is 1.3.6.1 with a value that is a whole element.
func variable(value []byte) []byte { return tlv(0x30, []byte{6, 3, 0x2b, 6, 1}, value) }

func TestValues(t *testing.T) {
	for value, want := range map[string]Varbind{
		"02 01 00":                               {Tag: TagInteger},
		"02 01 ff":                               {Tag: TagInteger, Num: math.MaxUint64},
		"02 04 00 00 00 05":                      {Tag: TagInteger, Num: 5}, // agents with numbers of four octets
		"02 08 80 00 00 00 00 00 00 00":          {Tag: TagInteger, Num: 1 << 63},
		"02 81 01 07":                            {Tag: TagInteger, Num: 7},
		"02 84 00 00 00 01 07":                   {Tag: TagInteger, Num: 7},
		"41 05 00 ff ff ff ff":                   {Tag: TagCounter32, Num: 1<<32 - 1},
		"41 04 ff ff ff fe":                      {Tag: TagCounter32, Num: 1<<32 - 2}, // a negative one, of a broken agent
		"41 01 80":                               {Tag: TagCounter32, Num: 128},
		"42 05 00 80 00 00 00":                   {Tag: TagGauge32, Num: 1 << 31},
		"42 05 01 00 00 00 00":                   {Tag: TagGauge32, Num: 1 << 32},
		"43 05 01 00 00 00 02":                   {Tag: TagTimeTicks, Num: 2},
		"46 09 00 ff ff ff ff ff ff ff ff":       {Tag: TagCounter64, Num: math.MaxUint64},
		"46 08 ff ff ff ff ff ff ff ff":          {Tag: TagCounter64, Num: math.MaxUint64},
		"46 04 ff ff ff ff":                      {Tag: TagCounter64, Num: 1<<32 - 1},
		"47 04 ff ff ff ff":                      {Tag: TagUinteger32, Num: 1<<32 - 1},
		"04 00":                                  {Tag: TagOctets, Bytes: []byte{}},
		"04 02 41 00":                            {Tag: TagOctets, Bytes: []byte("A\x00")},
		"05 00":                                  {Tag: TagNull},
		"06 01 00":                               {Tag: TagOID, Bytes: []byte{0}},
		"40 04 c0 00 02 01":                      {Tag: TagIPAddress, Bytes: []byte{192, 0, 2, 1}},
		"44 07 9f 78 04 3f 80 00 00":             {Tag: TagFloat, Num: uint64(math.Float32bits(1))},
		"44 0b 9f 79 08 3f f0 00 00 00 00 00 00": {Tag: TagDouble, Num: math.Float64bits(1)},
		"44 02 9f 78":                            {Tag: TagOpaque, Bytes: []byte{0x9f, 0x78}},
		"44 03 9f 76 00":                         {Tag: TagOpaque, Bytes: []byte{0x9f, 0x76, 0}},
		"80 00":                                  {Tag: TagNoSuchObject},
		"81 00":                                  {Tag: TagNoSuchInstance},
		"82 81 00":                               {Tag: TagEndOfMibView},
	} {
		want.OID = []byte{0x2b, 6, 1}
		m, got, err := ReadMessage(response(variable(unhex(t, value))), nil)
		if diff := cmp.Diff([]Varbind{want}, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", value, err, diff)
		}
		if m.Type != TypeResponse || m.ID != 0x12345678 || string(m.Community) != "public" {
			t.Errorf("message %+v", m)
		}
	}
	for value, want := range map[string]error{
		"02 00":                               ErrInteger,
		"02 09 00 00 00 00 00 00 00 00 01":    ErrInteger,
		"41 00":                               ErrUnsigned,
		"46 09 01 00 00 00 00 00 00 00 00":    ErrUnsigned,
		"46 0a 00 00 00 00 00 00 00 00 00 00": ErrUnsigned,
		"47 00":                               ErrInteger,
		"04 80 00 00":                         ErrLength,
		"04 85 00 00 00 00 01 41":             ErrLength,
		"04 84 80 00 00 01 41":                ErrCutOff,
		"04 02 41":                            ErrCutOff,
		"04 01 41 42":                         ErrTrailing,
		"04":                                  ErrCutOff,
		"":                                    ErrCutOff,
		"05 01 00":                            ErrNotEmpty,
		"80 01 00":                            ErrNotEmpty,
		"06 00":                               ErrOID,
		"06 02 80 01":                         ErrOID,
		"06 02 2b 86":                         ErrOID,
		"06 06 2b 90 80 80 80 00":             ErrOID,
		"40 00":                               ErrAddress,
		"40 05 01 02 03 04 05":                ErrAddress,
		"44 00":                               ErrOpaque,
		"44 06 9f 78 03 3f 80 00":             ErrOpaque,
		"44 08 9f 78 04 3f 80 00 00 00":       ErrOpaque,
		"44 07 9f 79 04 3f 80 00 00":          ErrOpaque,
		"45 01 00":                            ErrValueType,
		"78 04 3f 80 00 00":                   ErrValueType,
		"30 00":                               ErrValueType,
		"1f 81 01 00":                         ErrValueType,
	} {
		if m, got, err := ReadMessage(response(variable(unhex(t, value))), nil); !errors.Is(err, want) || got != nil || m.Type != 0 {
			t.Errorf("%s: %v and error %v, want %v", value, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	good := response(variable([]byte{5, 0}))
	longOID := append([]byte{0x2b}, bytes.Repeat([]byte{1}, 126)...)
	if _, got, err := ReadMessage(response(tlv(0x30, tlv(6, longOID), []byte{5, 0})), nil); err != nil || len(got) != 1 {
		t.Errorf("128 numbers: error %v", err)
	}
	message := func(version, community, pdu []byte) []byte { return tlv(0x30, version, community, pdu) }
	v2, name := []byte{2, 1, 1}, tlv(4, []byte("public"))
	ints := func(s string) []byte { return append(unhex(t, s), 0x30, 0) }
	for what, test := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":                 {nil, ErrCutOff},
		"no message":              {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), ErrCutOff},
		"another type":            {tlv(0x31), ErrTag},
		"one octet more":          {append(bytes.Clone(good), 0), ErrTrailing},
		"v1":                      {message([]byte{2, 1, 0}, name, tlv(TypeResponse)), ErrVersion},
		"v3":                      {message([]byte{2, 1, 3}, name, tlv(TypeResponse)), ErrVersion},
		"no version":              {message(nil, name, tlv(TypeResponse)), ErrTag},
		"no community":            {message(v2, nil, tlv(TypeResponse)), ErrTag},
		"no PDU":                  {message(v2, name, nil), ErrCutOff},
		"two PDUs":                {message(v2, name, append(tlv(TypeResponse), tlv(TypeResponse)...)), ErrTrailing},
		"v1's trap":               {message(v2, name, tlv(0xa4)), ErrTag},
		"no such PDU":             {message(v2, name, tlv(0xa9)), ErrTag},
		"an empty PDU":            {message(v2, name, tlv(TypeResponse)), ErrCutOff},
		"a request-id too large":  {message(v2, name, tlv(TypeResponse, ints("02 05 00 80 00 00 00 02 01 00 02 01 00"))), ErrInteger},
		"a negative status":       {message(v2, name, tlv(TypeResponse, ints("02 01 01 02 01 ff 02 01 00"))), ErrInteger},
		"a status too large":      {message(v2, name, tlv(TypeResponse, ints("02 01 01 02 02 01 00 02 01 00"))), ErrInteger},
		"a status that is none":   {message(v2, name, tlv(TypeResponse, ints("02 01 01 04 01 00 02 01 00"))), ErrTag},
		"no list":                 {message(v2, name, tlv(TypeResponse, unhex(t, "02 01 01 02 01 00 02 01 00"))), ErrCutOff},
		"behind the list":         {message(v2, name, tlv(TypeResponse, ints("02 01 01 02 01 00 02 01 00"), []byte{5, 0})), ErrTrailing},
		"no variable in it":       {response([]byte{5, 0}), ErrTag},
		"a variable of nothing":   {response(tlv(0x30)), ErrCutOff},
		"no name":                 {response(tlv(0x30, []byte{5, 0})), ErrTag},
		"an empty name":           {response(tlv(0x30, []byte{6, 0, 5, 0})), ErrOID},
		"no value":                {response(tlv(0x30, []byte{6, 1, 0x2b})), ErrCutOff},
		"two values":              {response(tlv(0x30, []byte{6, 1, 0x2b, 5, 0, 5, 0})), ErrTrailing},
		"129 numbers":             {response(tlv(0x30, tlv(6, longOID, []byte{1}), []byte{5, 0})), ErrOID},
		"a number beyond 32 bits": {response(tlv(0x30, tlv(6, []byte{0x2b, 0x90, 0x80, 0x80, 0x80, 0}), []byte{5, 0})), ErrOID},
		"nested deep":             {bytes.Repeat([]byte{0x30, 0x80}, 30000), ErrLength},
	} {
		dst := []Varbind{{Tag: 1}}
		m, got, err := ReadMessage(test.b, dst)
		if !errors.Is(err, test.want) || len(got) != 1 || m.Type != 0 || m.Community != nil {
			t.Errorf("%s: %d variables and error %v, want %v", what, len(got)-1, err, test.want)
		}
	}
	for n := range good {
		if _, _, err := ReadMessage(good[:n], nil); err == nil {
			t.Errorf("cut off after %d octets: no error", n)
		}
	}
}

func TestRequest(t *testing.T) {
	long := append([]byte{0x2b}, bytes.Repeat([]byte{0x81, 0}, 100)...)
	for _, r := range []Request{
		{Type: TypeGet, Community: "public", ID: 1, OIDs: [][]byte{{0x2b, 6}}},
		{Type: TypeGetNext, Community: "", ID: 127},
		{Type: TypeGetNext, Community: strings.Repeat("c", 200), ID: 128, OIDs: [][]byte{long, {0}, long}},
		{Type: TypeGetBulk, Community: "x", ID: 1<<31 - 1, NonRepeaters: 2, MaxRepetitions: 1 << 20, OIDs: [][]byte{{0x2b, 6}, {0x2b, 7}, {0x2b}}},
		{Type: TypeGetBulk, Community: "x", ID: -1 << 31, MaxRepetitions: 255, OIDs: slicesOf([]byte{0x2b, 6, 1}, 8000)},
	} {
		b := r.Append([]byte("before"))
		m, vbs, err := ReadMessage(b[len("before"):], nil)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		back := Request{Type: m.Type, Community: string(m.Community), ID: m.ID, NonRepeaters: int32(m.Status), MaxRepetitions: int32(m.Index)}
		for i := range vbs {
			if vbs[i].Tag != TagNull {
				t.Errorf("the value of what is asked for is %v", vbs[i])
			}
			back.OIDs = append(back.OIDs, vbs[i].OID)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Errorf("-sent +read:\n%s", diff)
		}
		if version, typ, id, ok := Peek(b[len("before"):]); version != 1 || typ != r.Type || id != r.ID || !ok {
			t.Errorf("Peek: version %d, type %x, id %d, %v", version, typ, id, ok)
		}
	}
}

func slicesOf(b []byte, n int) (all [][]byte) {
	for range n {
		all = append(all, b)
	}
	return all
}

// TestPeek: where a message is cut off behind its number it is still known whose
// it is, and before that it is not.
func TestPeek(t *testing.T) {
	b := response(variable(tlv(TagOctets, make([]byte, 300))))
	const head = 4 + 3 + 8 + 4 + 6 // to the end of the request-id
	for n := range b {
		if _, _, id, ok := Peek(b[:n]); ok != (n >= head) || ok && id != 0x12345678 {
			t.Fatalf("of %d octets: %x, %v", n, id, ok)
		}
	}
	for _, s := range []string{"30 80", "30 03 02 01 03", "30 0d 02 01 01 04 00 a4 06 02 01 05 02 01 00", "30 06 02 01 01 04 00 a9"} {
		if _, _, _, ok := Peek(unhex(t, s)); ok {
			t.Errorf("%s has a number", s)
		}
	}
}

// FuzzReadMessage reads arbitrary octets: no panic, nothing outside them, and what
// was read is within the bounds.
func FuzzReadMessage(f *testing.F) {
	f.Add(response(variable([]byte{5, 0})))
	f.Add(response(variable(unhex(f, "44 0b 9f 79 08 3f f0 00 00 00 00 00 00")), variable(unhex(f, "46 09 00 ff ff ff ff ff ff ff ff"))))
	f.Add((&Request{Type: TypeGetBulk, Community: "public", ID: 7, OIDs: [][]byte{{0x2b, 6, 1, 0x81, 0}}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, vbs, err := ReadMessage(b, nil)
		if err != nil {
			if !errors.As(err, new(Malformed)) || vbs != nil || m.Type != 0 {
				t.Fatalf("%v and %d variables with error %v", m, len(vbs), err)
			}
			return
		}
		if _, typ, id, ok := Peek(b); !ok || typ != m.Type || id != m.ID {
			t.Errorf("Peek finds type %x, number %d", typ, id)
		}
		if len(vbs) > len(b)/7 {
			t.Errorf("%d variables in %d octets", len(vbs), len(b))
		}
		for _, v := range vbs {
			if !ValidOID(v.OID) || !inside(v.OID, b) || !inside(v.Bytes, b) {
				t.Errorf("%+v", v)
			}
			if cap(v.OID) != len(v.OID) || cap(v.Bytes) != len(v.Bytes) {
				t.Errorf("%+v: appending to it would write into the message", v)
			}
		}
	})
}

func inside(part, all []byte) bool {
	if len(part) == 0 {
		return true
	}
	from, at := uintptr(unsafe.Pointer(unsafe.SliceData(all))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return at >= from && at+uintptr(len(part)) <= from+uintptr(len(all))
}

func TestNothingIsAllocated(t *testing.T) {
	b := benchMessage()
	vbs := make([]Varbind, 0, 1000)
	request := Request{Type: TypeGetBulk, Community: "public", ID: 7, OIDs: slicesOf([]byte{0x2b, 6, 1, 0x81, 0}, 11)}
	out := make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() {
		out = request.Append(out[:0])
		var err error
		if _, vbs, err = ReadMessage(b, vbs[:0]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// benchMessage is an answer with 25 rows of eleven columns.
func benchMessage() []byte {
	var list [][]byte
	for row := range 25 {
		for column := range 11 {
			oid := MustOID(fmt.Sprintf("1.3.6.1.2.1.31.1.1.1.%d.%d", column+1, row+100))
			list = append(list, tlv(0x30, tlv(TagOID, oid), []byte{TagCounter64, 6, 1, 2, 3, 4, 5, 6}))
		}
	}
	return response(list...)
}

func BenchmarkReadMessage(b *testing.B) {
	msg := benchMessage()
	var vbs []Varbind
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if _, vbs, err = ReadMessage(msg, vbs[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(vbs)), "ns/varbind")
}
