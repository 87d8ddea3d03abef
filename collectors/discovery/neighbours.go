package discovery

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// neighbour is a host that ARP or NDP has an address on the link for.
type neighbour struct {
	Address netip.Addr `json:"address"`
	Link    string     `json:"link"`
}

const (
	maxNeighbours = 1 << 14

	// Of linux/neighbour.h.
	ndmsgLength   = 12
	attrDst       = 1
	attrLink      = 2
	nudIncomplete = 0x01
	nudFailed     = 0x20
	nudNoARP      = 0x40
)

// kernelNeighbours are the box's own neighbours, which it knows without asking anyone.
func kernelNeighbours() ([]neighbour, error) {
	b, err := syscall.NetlinkRIB(syscall.RTM_GETNEIGH, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for neighbours: %w", err)
	}
	ms, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's neighbours: %w", err)
	}
	var out []neighbour
	for i := range ms {
		if n, ok := readNeighbour(&ms[i]); ok && len(out) < maxNeighbours {
			out = append(out, n)
		}
	}
	return out, nil
}

// readNeighbour takes a neighbour that has answered and has not been given up.
func readNeighbour(m *syscall.NetlinkMessage) (n neighbour, ok bool) {
	if m.Header.Type != syscall.RTM_NEWNEIGH || len(m.Data) < ndmsgLength {
		return n, false
	}
	state := binary.NativeEndian.Uint16(m.Data[8:])
	if state == 0 || state&(nudIncomplete|nudFailed|nudNoARP) != 0 {
		return n, false
	}
	for b := m.Data[ndmsgLength:]; len(b) >= 4; {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < 4 || size > len(b) {
			return n, false
		}
		switch v := b[4:size]; kind {
		case attrDst:
			n.Address, _ = netip.AddrFromSlice(v)
		case attrLink:
			if len(v) == 6 {
				n.Link = net.HardwareAddr(v).String()
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return n, n.Address.IsValid() && n.Link != ""
}
