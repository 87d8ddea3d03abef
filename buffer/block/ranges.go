package block

import (
	"cmp"
	"slices"
)

// Range is the batch numbers First to End-1.
type Range struct{ First, End uint64 }

// Ranges is a set of batch numbers: sorted ranges that neither overlap nor touch.
// Its methods leave the receiver as it is, but for Push.
type Ranges []Range

// Push puts x into a set that nobody shares, in place: that costs nothing where
// numbers rise, and one copy of what lies behind where they don't.
func (r *Ranges) Push(x Range) {
	s := *r
	if n := len(s); x.First >= x.End {
		return
	} else if n == 0 || x.First > s[n-1].End {
		*r = append(s, x)
		return
	}
	i, _ := slices.BinarySearchFunc(s, x.First, func(e Range, first uint64) int { return cmp.Compare(e.End, first) })
	j := i
	for j < len(s) && s[j].First <= x.End {
		x.First, x.End = min(x.First, s[j].First), max(x.End, s[j].End)
		j++
	}
	*r = slices.Replace(s, i, j, x)
}

// Count returns how many numbers are in the set.
func (r Ranges) Count() (n uint64) {
	for _, x := range r {
		n += x.End - x.First
	}
	return n
}

// End returns the number after the highest in the set, 0 for the empty set.
func (r Ranges) End() uint64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].End
}

// Add returns the set with x in it; it copies the set.
func (r Ranges) Add(x Range) Ranges {
	r = slices.Clone(r)
	r.Push(x)
	return r
}

// Union returns the numbers in either set, by one pass over both.
func (r Ranges) Union(o Ranges) Ranges {
	if len(r) == 0 {
		return o
	}
	if len(o) == 0 {
		return r
	}
	out := make(Ranges, 0, len(r)+len(o))
	for len(r) > 0 || len(o) > 0 {
		if len(o) == 0 || (len(r) > 0 && r[0].First < o[0].First) {
			r, o = o, r
		}
		x := o[0]
		o = o[1:]
		if n := len(out); n > 0 && x.First <= out[n-1].End {
			out[n-1].End = max(out[n-1].End, x.End)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// Contains tells whether all of x is in the set. An empty range is.
func (r Ranges) Contains(x Range) bool {
	if x.First >= x.End {
		return true
	}
	i, _ := slices.BinarySearchFunc(r, x.First, func(e Range, first uint64) int { return cmp.Compare(e.End, first+1) })
	return i < len(r) && r[i].First <= x.First && x.End <= r[i].End
}

// Overlaps tells whether any of x is in the set.
func (r Ranges) Overlaps(x Range) bool {
	i, _ := slices.BinarySearchFunc(r, x.First, func(e Range, first uint64) int { return cmp.Compare(e.End, first+1) })
	return x.First < x.End && i < len(r) && r[i].First < x.End
}

// Intersect returns the numbers in both sets.
func (r Ranges) Intersect(o Ranges) (out Ranges) {
	for i, j := 0, 0; i < len(r) && j < len(o); {
		if a, b := max(r[i].First, o[j].First), min(r[i].End, o[j].End); a < b {
			out = append(out, Range{a, b})
		}
		if r[i].End < o[j].End {
			i++
		} else {
			j++
		}
	}
	return out
}

// Subtract returns the numbers of the set that are not in o.
func (r Ranges) Subtract(o Ranges) (out Ranges) {
	j := 0
	for _, x := range r {
		for j < len(o) && o[j].End <= x.First {
			j++
		}
		for k := j; k < len(o) && o[k].First < x.End; k++ {
			if x.First < o[k].First {
				out = append(out, Range{x.First, o[k].First})
			}
			x.First = max(x.First, o[k].End)
		}
		if x.First < x.End {
			out = append(out, x)
		}
	}
	return out
}
