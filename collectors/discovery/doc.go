// Package discovery looks for the devices of a site, tells them apart, and keeps book
// of them.
//
// What it finds are candidates: devices that were seen and are not polled, until
// somebody adopts them, or the site's [Policy] does. Within the book a device stays the
// same wherever it moves to; what becomes of it is an event. The book is also the
// site's inventory ([Inventory]).
//
//	c, err := discovery.New(cfg, discovery.Options{Scope: dialer, Registry: registry, ...})
//	err = c.Collect(ctx, emit)            // as a collector: a part of a sweep, when it is time for one
//	changes, err := c.Sweep(ctx, nil)     // a whole sweep now, as a command does
//
// # Manners
//
// Sweeps upset machines that were never made for them, and a community that is said to
// everybody stands in a stranger's log. So a sweep
//
//   - does not run by itself at a site whose internet is none, unless
//     discovery.enabled says so, for nobody could help there from afar;
//   - asks only addresses of discovery.networks that scope.managed covers and
//     scope.excluded does not, each socket by the contract's dialer;
//   - begins with what is known without asking: it visits the devices that are polled
//     anyway, with the credentials of their polls, and takes the neighbours of these
//     (ipNetToMediaTable) and of the box (the kernel's, by netlink) first;
//   - then pings, one echo request for an address;
//   - then sends to each that has replied, or is on the link, one SNMPv3 engine probe
//     (RFC 3414, 4), in which there is no user and no secret;
//   - tries credentials only at what has answered the probe (communities: careful), or
//     also at what has answered the ping and does not refuse SNMP's port (communities:
//     pinged), users of SNMPv3 only at the former; each credential once, with one
//     datagram, and at most max_failures of them a device and day, which is kept at
//     once, so that nothing is locked out or sprayed, by restarts neither. The next
//     day goes on with those that were not tried. A credential that opened the device
//     before is tried first. A device of the site file is asked nothing besides what
//     the site file says;
//   - sends no more than rate packets a second unasked, with jitter and without bursts.
//     A device that has been opened is asked as in a poll, one request at a time.
//
// A sweep of more than max_hosts addresses is refused, with a hint. Networks of IPv6
// are not gone through, unless they are as small; of them the neighbours are asked.
//
// A sweep goes on in parts: the collector is called every [Tick], and does what there
// is time for within the collection. How far it is, is kept in the registry.
//
// # Who is who
//
// A device is known by its serial number, else its SNMP engine ID, else its base MAC
// address (the lowest ifPhysAddress that is globally unique), else the MAC address on
// the link, else address and sysName together. Not all of what devices tell is worth
// something: serial numbers that were never written, engine IDs that are made of an IP
// address, MAC addresses that are made up or that routers hand to one another do not
// count. Nor do keys that several devices have at once which other keys tell apart. A
// key that matches does not count against one that differs: two devices are rather
// taken for two, and told as new and gone, than one for the other. [Merge] decides, and
// does nothing else.
//
// A candidate that moves is at its new address. A polled device that moves is told
// (device_moved) and polled at the old one until [Book.Follow], or the policy's follow;
// one of the site file until that is changed. Another device in the place of a polled
// one is told as device_replaced, and gets its name. The kinds of events are listed
// with [Kind]; each bears the labels device, address, id and what else is known:
// class, vendor, model, serial, field, from and to of what changed, and found: when that
// was, as a sweep by a command is told only once the daemon runs.
//
// # The registry
//
// The book is one file in the data folder, discovery.json, which the daemon and
// commands change under a lock, each time whole; see [Registry]. It holds no secret:
// credentials go by their names. What is read of it is checked as if a stranger had
// written it. The daemon looks at it every other second, so that what a command adopts
// is polled at once.
package discovery
