package sqlitefile

import (
	"encoding/binary"
	"fmt"
)

// Type is a column's type as a record has it.
type Type uint64

// Null, Int, Blob and Text tell what a column of the type holds.
func (t Type) Null() bool { return t == 0 }
func (t Type) Int() bool  { return t >= 1 && t <= 6 || t == 8 || t == 9 }
func (t Type) Blob() bool { return t >= 12 && t%2 == 0 }
func (t Type) Text() bool { return t >= 13 && t%2 == 1 }

// size is how many octets a value of the type takes; ok is false for the types
// that SQLite keeps for itself.
func (t Type) size() (n uint64, ok bool) {
	switch {
	case t >= 12:
		return uint64(t-12) / 2, true
	case t == 10 || t == 11:
		return 0, false
	}
	return [...]uint64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}[t], true
}

// Len is how many octets a blob or text of the type has.
func (t Type) Len() uint64 { n, _ := t.size(); return n }

// Value is a column of a row.
type Value struct {
	Type
	Bytes []byte
}

// Integer returns the value of an integer column.
func (v Value) Integer() (x int64) {
	switch v.Type {
	case 8:
		return 0
	case 9:
		return 1
	}
	var b [8]byte
	if len(v.Bytes) == 0 || len(v.Bytes) > 8 {
		return 0
	}
	copy(b[8-len(v.Bytes):], v.Bytes)
	shift := 8 * (8 - len(v.Bytes))
	return int64(binary.BigEndian.Uint64(b[:])<<shift) >> shift
}

// Types returns the types of a row's columns, from the part of it that lies in its
// page: that is where a row that is of use has them. Nil: it is not one.
func (c *Cell) Types() []Type {
	types, _, err := header(c.local, c.size)
	if err != nil {
		return nil
	}
	return types
}

// maxColumns is more than any table of ours has.
const maxColumns = 64

// header reads the types of a record of that size, and where the values begin.
// They must fill the record exactly.
func header(b []byte, size uint64) (types []Type, at int, err error) {
	end, n := varint(b)
	if n == 0 || end < uint64(n) || end > uint64(len(b)) {
		return nil, 0, fmt.Errorf("%w: a row's header", ErrDamaged)
	}
	left := size - end
	for at = n; at < int(end); {
		x, n := varint(b[at:end])
		octets, ok := Type(x).size()
		if n == 0 || !ok || octets > left || len(types) == maxColumns {
			return nil, 0, fmt.Errorf("%w: a row's header", ErrDamaged)
		}
		left -= octets
		at += n
		types = append(types, Type(x))
	}
	if left != 0 {
		return nil, 0, fmt.Errorf("%w: a row of another length than its columns", ErrDamaged)
	}
	return types, at, nil
}

// Record splits a payload into its columns, which share its memory.
func Record(payload []byte) ([]Value, error) {
	types, at, err := header(payload, uint64(len(payload)))
	if err != nil {
		return nil, err
	}
	out := make([]Value, len(types))
	for i, t := range types {
		n, _ := t.size()
		out[i] = Value{t, payload[at : at+int(n)]}
		at += int(n)
	}
	return out, nil
}
