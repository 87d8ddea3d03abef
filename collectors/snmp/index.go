package snmp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// arcsOf splits a row's index.
func arcsOf(index []byte) (arcs []uint64) {
	for len(index) > 0 && len(arcs) < 128 {
		var n uint64
		n, index = pdu.ReadArc(index)
		arcs = append(arcs, n)
	}
	return arcs
}

// indexPart is one part of an index: its text, and where its arcs stand.
type indexPart struct {
	text       string
	start, end int
}

// indexParts reads the parts of an index. A part that is not there, or not as it is
// said to be, is left out, and so are those after it.
func indexParts(parts []profile.Index, arcs []uint64) []indexPart {
	out := make([]indexPart, 0, len(parts))
	for i, left := 0, arcs; i < len(parts); i++ {
		text, rest, ok := indexText(&parts[i], left)
		if !ok {
			break
		}
		out = append(out, indexPart{collectors.Clip(text, collectors.MaxText), len(arcs) - len(left), len(arcs) - len(rest)})
		left = rest
	}
	return out
}

// indexText reads one part (RFC 2578, 7.7).
func indexText(p *profile.Index, arcs []uint64) (text string, rest []uint64, ok bool) {
	if p.Type == profile.IndexInetAddr || p.Type == profile.IndexInetAddrNoSize {
		return inetAddress(arcs, p.Type == profile.IndexInetAddr)
	}
	n := p.Size
	switch {
	case p.Type == profile.IndexInteger:
		n = 1
	case p.Type == profile.IndexMAC:
		n = 6
	case p.Type == profile.IndexIP4:
		n = 4
	case p.Type == profile.IndexIP6:
		n = 16
	case n > 0:
	case p.Bare:
		n = len(arcs)
	case len(arcs) == 0:
		return "", nil, false
	default:
		n, arcs = int(min(arcs[0], 1<<16)), arcs[1:]
	}
	if n > len(arcs) {
		return "", nil, false
	}
	part, rest := arcs[:n], arcs[n:]
	switch p.Type {
	case profile.IndexInteger:
		if word, ok := p.Enum[int64(part[0])]; ok {
			return word, rest, true
		}
		return strconv.FormatUint(part[0], 10), rest, true
	case profile.IndexOID:
		return dottedArcs(part), rest, true
	}
	b, ok := octetsOf(part)
	if !ok {
		return "", nil, false
	}
	switch p.Type {
	case profile.IndexMAC:
		return macText(b), rest, true
	case profile.IndexIP4, profile.IndexIP6, profile.IndexInetAddrNoType:
		if text = addressText(b); text == "" {
			text = hexText(b)
		}
		return text, rest, true
	case profile.IndexHex:
		return hexText(b), rest, true
	}
	return pdu.CleanText(b), rest, true
}

// inetAddress reads an InetAddressType and the InetAddress behind it, whose length
// may be left out: then the type tells it.
func inetAddress(arcs []uint64, sized bool) (text string, rest []uint64, ok bool) {
	if len(arcs) < 2 {
		return "", nil, false
	}
	kind, rest := arcs[0], arcs[1:]
	n := uint64(len(rest))
	switch {
	case sized:
		n, rest = rest[0], rest[1:]
	case kind == 1:
		n = 4
	case kind == 2:
		n = 16
	}
	if n > uint64(len(rest)) {
		return "", nil, false
	}
	b, ok := octetsOf(rest[:n])
	if !ok {
		return "", nil, false
	}
	const dns = 16
	switch text = addressText(b); {
	case text != "":
	case kind == dns:
		text = pdu.CleanText(b)
	default:
		text = hexText(b)
	}
	return text, rest[n:], true
}

func octetsOf(arcs []uint64) ([]byte, bool) {
	b := make([]byte, len(arcs))
	for i, a := range arcs {
		if a > 255 {
			return nil, false
		}
		b[i] = byte(a)
	}
	return b, true
}

func dottedArcs(arcs []uint64) string {
	var s strings.Builder
	for i, a := range arcs {
		if i > 0 {
			s.WriteByte('.')
		}
		fmt.Fprint(&s, a)
	}
	return s.String()
}

// pick puts the index together that a source makes of a row's own: of some of its
// parts, of ranges of its arcs, or of all of it.
func pick(s *profile.Source, arcs []uint64, parts []indexPart) (index []byte, ok bool) {
	ranges := s.Arcs
	switch {
	case len(s.Parts) > 0:
		for _, n := range s.Parts {
			if n < 1 || n > len(parts) {
				return nil, false
			}
			ranges = append(ranges[:len(ranges):len(ranges)], [2]int{parts[n-1].start, parts[n-1].end - 1})
		}
	case len(ranges) == 0:
		ranges = [][2]int{{0, len(arcs) - 1}}
	}
	for _, r := range ranges {
		if r[0] < 0 || r[1] < r[0] || r[1] >= len(arcs) {
			return nil, false
		}
		for _, a := range arcs[r[0] : r[1]+1] {
			index = pdu.AppendArc(index, a)
		}
	}
	return index, true
}
