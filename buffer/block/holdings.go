package block

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// Holdings is which batches of one epoch somebody has, by source.
type Holdings map[string]Ranges

// Append writes the holdings as bytes: the number of sources; for each, in order
// of its name: length and name, number of ranges, and each range as the distance
// from the end of the one before and its length. All numbers are uvarints.
func (h Holdings) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(h)))
	for _, source := range slices.Sorted(maps.Keys(h)) {
		b = binary.AppendUvarint(b, uint64(len(source)))
		b = append(b, source...)
		b = binary.AppendUvarint(b, uint64(len(h[source])))
		var end uint64
		for _, r := range h[source] {
			b = binary.AppendUvarint(b, r.First-end)
			b = binary.AppendUvarint(b, r.End-r.First)
			end = r.End
		}
	}
	return b
}

// ParseHoldings is the inverse of Append.
func ParseHoldings(b []byte) (Holdings, error) {
	bad := errors.New("damaged list of holdings")
	ok := true
	uvarint := func() uint64 {
		x, k := binary.Uvarint(b)
		if k <= 0 {
			ok, b = false, nil
			return 0
		}
		b = b[k:]
		return x
	}
	h := Holdings{}
	for n := uvarint(); n > 0 && ok; n-- {
		k := uvarint()
		if !ok || k > uint64(len(b)) {
			return nil, bad
		}
		source := string(b[:k])
		b = b[k:]
		var rs Ranges
		var end uint64
		for m := uvarint(); m > 0 && ok; m-- {
			first := end + uvarint()
			end = first + uvarint()
			rs = append(rs, Range{first, end})
		}
		h[source] = rs
	}
	if !ok {
		return nil, bad
	}
	return h, nil
}
