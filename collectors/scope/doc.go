// Package scope is the one way out for collectors: it contacts what the site's
// contract names and refuses everything else, whatever a job, a redirect or a
// name server says.
//
// # The contract
//
// [Config] is the site file's scope section. managed lists the networks and
// addresses of the site, excluded what of them (and of anything else) is never
// contacted, external the services outside, by name or address and port.
//
//	managed:  [192.168.10.0/24, 192.168.20.0/24]
//	excluded: [192.168.10.50]
//	external: [outlook.office365.com:443]
//
// What is in none of them is refused; an empty contract refuses everything.
// Excluded beats everything. Furthermore:
//
//   - unspecified, multicast and broadcast addresses are refused always, the first
//     and last address of a managed IPv4 network too, unless they are listed by
//     themselves;
//   - loopback and link-local addresses are refused unless an entry of managed
//     lies within them (127.0.0.0/8 does), those at which clouds keep their
//     metadata unless managed names that very address;
//   - addresses with a zone are refused, IPv4 addresses in IPv6 clothing are judged
//     as what they are;
//   - an external name is allowed with its port, at whatever public address it
//     resolves to; where it resolves to an address of somebody's inside (DNS
//     rebinding) that address must be managed.
//
// # How it is enforced
//
// A name is resolved once, every address is judged, and the connection goes to
// the very address that was judged; the socket's address is checked again before
// it is connected. No proxy of the environment is used. Resolvers, NTP servers and
// the uplink are exempt: they are not contacted by collectors.
//
// Libraries that bring no dial hook are given an address by [Dialer.Resolve] and,
// where they have one, [Dialer.Control] for their sockets. An external name's
// addresses are known to Resolve and DialContext only; Control judges an address
// by itself.
//
// Refusals are a [*RefusedError] and are counted; see [Dialer.Refused].
package scope
