package diagnosis

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// port is one network interface, as the kernel has it.
type port struct {
	index   int
	name    string
	mac     net.HardwareAddr
	up      bool // set up by somebody
	carrier bool
	mtu     int
	errors  uint64 // frames received or sent in vain
	usual   bool   // Ethernet that is no bridge's part of a container's: has a MAC and is not loopback
}

// ports lists the interfaces by rtnetlink (RTM_GETLINK).
func ports() ([]port, error) {
	ms, err := dump(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("listing the interfaces: %w", err)
	}
	var out []port
	for _, m := range ms {
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		flags := binary.NativeEndian.Uint32(m.Data[8:])
		p := port{index: int(binary.NativeEndian.Uint32(m.Data[4:])), up: flags&unix.IFF_UP != 0, carrier: flags&unix.IFF_LOWER_UP != 0}
		attributes(m.Data[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) {
			switch kind {
			case unix.IFLA_IFNAME:
				p.name = strings.TrimRight(string(v), "\x00")
			case unix.IFLA_ADDRESS:
				p.mac = append(net.HardwareAddr{}, v...)
			case unix.IFLA_MTU:
				if len(v) >= 4 {
					p.mtu = int(binary.NativeEndian.Uint32(v))
				}
			case unix.IFLA_STATS64: // rtnl_link_stats64: rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors
				if len(v) >= 48 {
					p.errors = binary.NativeEndian.Uint64(v[32:]) + binary.NativeEndian.Uint64(v[40:])
				}
			}
		})
		p.usual = flags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) == 0 && len(p.mac) == 6
		out = append(out, p)
	}
	return out, nil
}

// halfDuplex reads what sysfs says; false where it says nothing.
func halfDuplex(name string) bool {
	b, err := os.ReadFile(filepath.Join("/sys/class/net", filepath.Base(name), "duplex"))
	return err == nil && strings.TrimSpace(string(b)) == "half"
}

// route is a default route.
type route struct {
	gateway netip.Addr
	index   int // of the interface
	metric  uint32
}

// defaultRoute gives the default route of a family that counts most; ok is false
// where there is none with a gateway.
func defaultRoute(v6 bool) (best route, ok bool, err error) {
	family := uint8(unix.AF_INET)
	if v6 {
		family = unix.AF_INET6
	}
	ms, err := dump(unix.RTM_GETROUTE, int(family))
	if err != nil {
		return best, false, fmt.Errorf("listing the routes: %w", err)
	}
	for _, m := range ms {
		// rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type
		if m.Header.Type != unix.RTM_NEWROUTE || len(m.Data) < unix.SizeofRtMsg || m.Data[0] != family || m.Data[1] != 0 || m.Data[7] != unix.RTN_UNICAST || m.Data[4] != unix.RT_TABLE_MAIN {
			continue
		}
		var r route
		attributes(m.Data[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
			switch kind {
			case unix.RTA_GATEWAY:
				r.gateway, _ = netip.AddrFromSlice(v)
			case unix.RTA_OIF:
				r.index = number32(v)
			case unix.RTA_PRIORITY:
				r.metric = uint32(number32(v))
			}
		})
		if r.gateway.IsValid() && (!ok || r.metric < best.metric) {
			best, ok = r, true
		}
	}
	return best, ok, nil
}

// neighbour is an entry of the kernel's table of who has which address.
type neighbour struct {
	state     uint16
	mac       net.HardwareAddr
	confirmed time.Duration // how long ago it was last heard of
}

// neighbourOf finds an address's entry.
func neighbourOf(a netip.Addr) (n neighbour, ok bool, err error) {
	family := unix.AF_INET
	if a.Is6() {
		family = unix.AF_INET6
	}
	ms, err := dump(unix.RTM_GETNEIGH, family)
	if err != nil {
		return n, false, fmt.Errorf("listing the neighbours: %w", err)
	}
	const header = 12 // ndmsg: family, 3 of padding, ifindex, state, flags, type
	for _, m := range ms {
		if m.Header.Type != unix.RTM_NEWNEIGH || len(m.Data) < header {
			continue
		}
		x := neighbour{state: binary.NativeEndian.Uint16(m.Data[8:]), confirmed: -1}
		var of netip.Addr
		attributes(m.Data[header:], func(kind uint16, v []byte) {
			switch kind {
			case unix.NDA_DST:
				of, _ = netip.AddrFromSlice(v)
			case unix.NDA_LLADDR:
				x.mac = append(net.HardwareAddr{}, v...)
			case unix.NDA_CACHEINFO: // confirmed, used, updated, refcnt, in hundredths of a second
				x.confirmed = time.Duration(number32(v)) * 10 * time.Millisecond
			}
		})
		if of == a {
			return x, true, nil
		}
	}
	return n, false, nil
}

// dump asks the kernel for all entries of a table.
func dump(what, family int) ([]syscall.NetlinkMessage, error) {
	b, err := syscall.NetlinkRIB(what, family)
	if err != nil {
		return nil, err
	}
	return syscall.ParseNetlinkMessage(b)
}

// attributes calls f for each attribute of a message.
func attributes(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^uint16(unix.NLA_F_NESTED), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

func number32(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(b))
}

// addressesOf lists an interface's addresses with their networks.
func addressesOf(index int) (out []netip.Prefix) {
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return nil
	}
	as, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range as {
		if n, ok := a.(*net.IPNet); ok {
			ip, _ := netip.AddrFromSlice(n.IP)
			ones, _ := n.Mask.Size()
			out = append(out, netip.PrefixFrom(ip.Unmap(), ones))
		}
	}
	return out
}
