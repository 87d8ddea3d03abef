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

// indexTexts gives the text of each part of an index. A part that is not there, or
// not as it is said to be, gives none, and neither do those after it.
func indexTexts(parts []profile.Index, arcs []uint64) []string {
	out := make([]string, len(parts))
	for i := range parts {
		text, rest, ok := indexText(&parts[i], arcs)
		if !ok {
			break
		}
		out[i], arcs = collectors.Clip(text, collectors.MaxText), rest
	}
	return out
}

// indexText reads one part (RFC 2578, 7.7).
func indexText(p *profile.Index, arcs []uint64) (text string, rest []uint64, ok bool) {
	if p.Type == profile.IndexInetAddr {
		return inetAddress(arcs)
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

// inetAddress reads an InetAddressType and the InetAddress behind it.
func inetAddress(arcs []uint64) (text string, rest []uint64, ok bool) {
	if len(arcs) < 2 || arcs[1] > uint64(len(arcs)-2) {
		return "", nil, false
	}
	n := int(arcs[1])
	b, ok := octetsOf(arcs[2 : 2+n])
	if !ok {
		return "", nil, false
	}
	const dns = 16
	switch text = addressText(b); {
	case text != "":
	case arcs[0] == dns:
		text = pdu.CleanText(b)
	default:
		text = hexText(b)
	}
	return text, arcs[2+n:], true
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

// pick puts the index together that a source's ranges of arcs make of another. No
// ranges give the whole.
func pick(ranges [][2]int, arcs []uint64) (index []byte, ok bool) {
	if len(ranges) == 0 {
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
