// Package topology finds out how a site is wired: which port of which device goes
// where, and where an address is plugged in.
//
//	facts := topology.Read(ctx, target, client, contexts) // what one device says
//	graph := topology.Build(known, allFacts)              // what follows from it
//	place, ok := graph.Where("192.168.1.20")
//	parents := graph.Parents("gw")
//
// # What is read
//
// [Read] asks one device, within bounds of time, requests and rows, for its
// interfaces, LLDP's local and remote tables (IEEE 802.1AB), Cisco's CDP cache, the
// forwarding database (Q-BRIDGE-MIB, else BRIDGE-MIB, of Cisco's IOS one VLAN after
// the other), its ARP cache and which interfaces are bundled. What it has found is
// plain data, [Facts]; what could not be read is named in Facts.Partial.
//
// # What follows
//
// [Build] is pure: the same facts give the same graph. Neighbours are told apart by
// chassis, address and name, in this order; what two devices share tells nobody
// apart and is noted. A link that both ends report is one link, of high confidence;
// one that a single end reports is of medium confidence. Where nobody reports one,
// forwarding databases tell: two bridges are next to each other if no third stands
// between them, which is so where the third sees both at different ports. Three or
// more that are next to each other at the same ports share a segment that nobody
// answers for, such as an unmanaged switch; it becomes a node of its own. Such links
// are of medium confidence where both ends see each other and of low where one does.
//
// A host is plugged in where its MAC is seen at a port that leads to no other bridge;
// of several such ports the one with the fewest MACs counts. Where there is none, it
// is on a segment or behind the farthest link at which it is seen, with low
// confidence.
//
// # In the daemon
//
// A [Collector] asks the devices of a site in rounds, four at a time, those first
// that were asked longest ago, and within the scope: its [Dialer] sees to that. It
// emits siteprobe_topology_devices (whose answer is known), _devices_failed (in this
// round), _links, _neighbours and _hosts, and an event "topology_change" where a
// device hears another neighbour than before by LLDP or CDP, none any more, or a new
// one. Telephones, hosts and what only forwarding databases tell are no news. A cable
// that both ends hear is told of once, a round tells of 24 changes and counts the rest,
// and a device that does not answer changes nothing.
//
// What devices said is kept for a day in a [Store], one bounded file, out of which
// other programs can build the same graph.
//
// # What it cannot know
//
// A forwarding database forgets in five minutes who is silent. One that is cut off
// or cannot be read leaves links unseen. dot1qFdbId is taken for the VLAN, which it
// is on most devices. Everything a neighbour says of itself is hearsay: anyone can
// plug in a box that speaks LLDP.
package topology
