package sitetest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Box is the place in the site where the probe runs.
type Box struct{ s *Site }

// Box returns the probe's place.
func (s *Site) Box() *Box { return &Box{s} }

// Namespace is the name of the box's network namespace, for `ip netns exec`.
func (b *Box) Namespace() string { return b.s.prefix + nsBox }

// Command prepares a program to run in the box, with /etc/resolv.conf and /sys as
// they are there. What still runs when the site is closed is killed.
func (b *Box) Command(name string, args ...string) *exec.Cmd {
	return b.s.command(nsBox, name, args...)
}

// Internet prepares a program to run where the broker is, such as a hub.
func (s *Site) Internet(name string, args ...string) *exec.Cmd {
	return s.command(nsInternet, name, args...)
}

func (s *Site) command(ns, name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", s.prefix + ns, name}, args...)...)
}

// Role prepares the test's own program to run one of the roles that [Main] was
// given, in the box. It ends with the test's process, whatever ends that.
func (b *Box) Role(role string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the test's own program: %w", err)
	}
	cmd := b.Command(self, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.ExtraFiles = []*os.File{b.s.alive[0]}
	return cmd, nil
}

// Do calls fn in the box's namespace, on this goroutine. Sockets that fn makes stay
// there, so they may be used afterwards and elsewhere. Goroutines that fn starts are
// on the machine's own network: what starts some (a probe, an HTTP client, a lookup
// of a name) is for [Box.Role] or [Box.Command].
func (b *Box) Do(fn func() error) error { return b.s.ns[nsBox].do(fn) }

// OnServer calls fn in the namespace of the LAN's server, as [Box.Do] does in the box's.
func (s *Site) OnServer(fn func() error) error { return s.ns[nsServer].do(fn) }

// Ping sends one echo request from the box and returns who answered it: the target,
// or the router at which its TTL ended (0: the usual TTL). An error is that nobody
// has in time, or that somebody says it is unreachable.
func (b *Box) Ping(to netip.Addr, ttl int, timeout time.Duration) (from netip.Addr, err error) {
	err = b.Do(func() error {
		from, err = ping(to, ttl, timeout)
		return err
	})
	return from, err
}

// startBox gives the box its resolver and its lease.
func (s *Site) startBox() error {
	dir := filepath.Join(netnsEtc, s.prefix+nsBox)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("giving the box a resolver: %w", err)
	}
	text := fmt.Sprintf("nameserver %s\n", s.Gateway.V4)
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("giving the box a resolver: %w", err)
	}
	return s.renew()
}

// renew gets a lease and sets the box up by it, as a DHCP client does.
func (s *Site) renew() error {
	ns := s.ns[nsBox]
	var l lease
	err := ns.do(func() (err error) {
		l, err = askLease("eth0", 5*time.Second)
		return err
	})
	if err != nil {
		return fmt.Errorf("getting the box's lease: %w", err)
	}
	lft := int(l.Lasts / time.Second)
	return ns.ip(
		fmt.Sprintf("addr flush dev eth0 to %s", linkLocal),
		fmt.Sprintf("addr replace %s/%d dev eth0 valid_lft %d preferred_lft %d", l.Addr, l.Bits, lft, lft),
		fmt.Sprintf("route replace default via %s dev eth0 proto dhcp src %s metric 100", l.Router, l.Addr),
	)
}

// linkLocal is where a host has its address that got no lease.
const linkLocal = "169.254.0.0/16"

// loseLease leaves the box as its lease's end does.
func (s *Site) loseLease() error {
	return s.ns[nsBox].ip("addr flush dev eth0 scope global to 192.168.77.0/24", "addr add 169.254.77.100/16 dev eth0 scope link")
}
