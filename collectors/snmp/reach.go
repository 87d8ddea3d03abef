package snmp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// A Resolver is what the scope's dialer offers: it keeps a collector within the
// contract.
type Resolver interface {
	// Resolve gives the address of a host, which may be a literal one, and fails
	// for one that is outside the scope.
	Resolve(ctx context.Context, host string, port uint16) (netip.AddrPort, error)
	// Control is called with each socket's remote address before it is connected,
	// and fails for one outside the scope; see net.Dialer.
	Control(network, address string, c syscall.RawConn) error
}

// link is a session, or a test's stand-in for one.
type link interface {
	fetcher
	// answersFrom is the address that answered last where it, or its port, was
	// another than the one asked.
	answersFrom() netip.Addr
	// oddity is what about the device's answers wants a tolerant reader; nil:
	// nothing has yet.
	oddity() error
	// rest ends a poll: what answers pointed to need not hold any more.
	rest()
	close()
}

// attempt is one way to reach the device.
type attempt struct {
	credential  int
	unconnected bool
}

// How often what costs a timeout is tried again on a device that does not answer.
const (
	allCredentialsFrom = 3  // failed polls in a row, after which others than the one that worked are tried
	unconnectedEvery   = 20 // of failed polls in a row, the one that also tries an unconnected socket
)

// reach sees to it that there is a link which answers, and reads the scalars
// through it, and maybe the first rows. The link of the last poll is tried first, then new ones.
func (c *Collector) reach(ctx context.Context) error {
	var first error
	if c.link != nil {
		var err error = errNotLed
		if c.mayLead() {
			err = c.lead(ctx)
		}
		if errors.Is(err, errNotLed) {
			err = c.greet(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		c.drop()
		first = err
	}
	best := first
	for _, a := range c.attempts(first) {
		l, err := c.dial(ctx, a)
		if err == nil {
			c.link, c.linked = l, a
			err = c.greet(ctx)
		}
		if err == nil {
			c.good = a.credential
			c.unconnected = a.unconnected && l.answersFrom().IsValid()
			return nil
		}
		c.drop()
		if len(c.cfg.Credentials) > 1 && !errors.Is(err, ErrNoAnswer) {
			err = fmt.Errorf("credential %q: %w", c.cfg.Credentials[a.credential].Name, err)
		}
		// A reason says more than silence, and the first one more than those after.
		if best == nil || errors.Is(best, ErrNoAnswer) {
			best = err
		}
		if ctx.Err() != nil || !worthAnother(err) {
			return best
		}
	}
	return best
}

// greet asks for the scalars that a poll begins with; for the fewest of a device
// that has not answered, for large answers may be what it cannot send.
func (c *Collector) greet(ctx context.Context) error {
	list := c.front
	if c.failures > 0 || c.layout == nil {
		list = list[:min(len(list), 3)]
	}
	return c.readScalars(ctx, c.asking(list), false)
}

// worthAnother tells whether another credential or socket may do better.
func worthAnother(err error) bool {
	for _, final := range []error{ErrRefused, ErrUnreachable, ErrSend, errNoSocket, ErrOtherAddress, errResolve} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// attempts lists the ways to try, after the link of the last poll failed with
// first (nil: there was none).
func (c *Collector) attempts(first error) []attempt {
	var creds []int
	if c.good >= 0 {
		creds = append(creds, c.good)
	}
	if c.good < 0 || c.failures >= allCredentialsFrom {
		for i := range c.cfg.Credentials {
			if i != c.good {
				creds = append(creds, i)
			}
		}
	}
	var as []attempt
	for _, i := range creds {
		// Silence was given time to end already; anything else may be a session
		// that the device has forgotten.
		if i == c.good && errors.Is(first, ErrNoAnswer) {
			continue
		}
		as = append(as, attempt{i, c.unconnected})
	}
	if !c.once && !c.unconnected && c.failures%unconnectedEvery == 0 && (first == nil || errors.Is(first, ErrNoAnswer)) {
		for _, i := range creds {
			as = append(as, attempt{i, true})
		}
	}
	return as
}

// open is the dial of a collector outside tests.
func (c *Collector) open(ctx context.Context, a attempt) (link, error) {
	target, err := c.resolve.Resolve(ctx, c.host, c.port)
	if err != nil {
		// The resolver's error names the host and the rule, and has seen no secret.
		return nil, fmt.Errorf("%w: %w", errResolve, err)
	}
	target = netip.AddrPortFrom(target.Addr().Unmap(), target.Port())
	// The session outlives this poll's context, and a literal address takes no time.
	later := context.WithoutCancel(ctx)
	within := func(addr netip.Addr) bool {
		_, err := c.resolve.Resolve(later, addr.String(), target.Port())
		return err == nil
	}
	d := dialing{
		target: target, auth: c.cfg.Credentials[a.credential].Auth,
		timeout: c.cfg.Timeout, retries: c.cfg.Retries,
		unconnected: a.unconnected, within: within, control: c.resolve.Control,
	}
	if d.auth.Version == "2c" {
		s, err := c.sockets.direct(d)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := dial(ctx, d)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// rest ends the link's part in a poll.
func (c *Collector) rest() {
	if c.link != nil {
		c.link.rest()
	}
}

// drop closes the link. The next poll opens another, and resolves the name anew.
func (c *Collector) drop() {
	if c.link != nil {
		c.link.close()
		c.link = nil
	}
}
