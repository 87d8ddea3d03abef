// Package snmp collects one device over SNMP v1, v2c or v3: what its profile asks
// for, under the names that the profile gives.
//
//	c, err := snmp.New(snmp.Config{
//		Device:      "core-sw1",
//		Address:     "192.168.10.2",
//		Credentials: []snmp.Credential{{Name: "lan", Auth: snmp.Auth{Version: "2c", Community: community}}},
//	}, scope, snmp.WithKinds(kinds))
//	defer c.Close()
//	err = c.Collect(ctx, emit)
//
// A [Collector] is a collectors.Collector. For a single look at a device there is
// [Dial], and for trying a profile without one [Offline].
//
// # What is read
//
// The first poll asks the device who it is (sysObjectID, sysDescr), and [Kinds] for
// the profile of such a device, unless Config.Profile gives one. The choice stays
// until the device says that it is another, which is an event ("snmp_profile").
// compile.go makes a plan of a profile, once for all devices of the kind.
//
// Scalars and columns are read in each poll, or seldomer where they have an
// interval, and are then missing in between. Text, Info metrics and whatever labels
// are made of are read with names: in the first poll, after a restart, when
// ifTableLastChange moves, when rows come or go (those of their table), and every ten
// minutes. What a device lacks has no series. Where one metric stands in for
// another, and is pinned, a row has the one it was found to have until the device
// restarts: counters of 32 and 64 bits are never mixed.
//
// Series bear the label device, those of a row its index, the labels of the table and
// of the profile, and last those of the site file. Rows that nothing tells apart bear
// the label index, too.
//
// snmp_scrape_duration_seconds and snmp_scrape_pdus_returned tell what the poll
// took.
//
// # What is told
//
// A restart is an event ("reboot", or "agent_restart" where hrSystemUptime has gone
// on); it is told by sysUpTime and snmpEngineTime, each as far as it has shown to be
// worth it. The wrap of sysUpTime after 497 days is "uptime_wrap". A counter that
// decreases without either is "counter_reset", unless it is one of 32 bits that the
// interface can have wrapped in the time. Interfaces that have another ifIndex (known
// by ifName, then ifDescr, then the MAC) are "interfaces_renumbered"; two devices with
// one engine ID are "duplicate_engine_id" at both; a device that answers from another
// address is "snmp_reply_address", and one that only a more tolerant reader understands
// "snmp_odd_answer".
//
// A table that shows none of the rows that it had keeps them, as missing readings,
// and makes the poll partial for as long as names hold; then they are taken to be
// gone ("snmp_table_empty").
//
// # How it is read
//
// A plan says what to ask for, a fetcher asks, a table keeps what came and a layout
// turns it into batches; none knows the others' work. There are two fetchers, of the
// same meaning: one for SNMPv2c of our own, and an adapter to gosnmp for v1 and v3.
// Beyond them object identifiers are BER bytes.
//
// Columns are walked side by side with GetBulk. A device is met with few columns
// and repetitions at first and with more as its answers come whole; tooBig, silence
// and answers cut off halve them, and GetNext is the last resort. What was learned
// are the device's [Manners], which a [Memory] keeps over a restart of the program.
// Columns of short tables share a request. The scalars of a device that is known
// come with the first rows, as GetBulk's non-repeaters, where the agent does these
// right. A column whose identifiers do not increase, a table with too many rows, a
// device that falls silent midway: what has come is kept, and the error says what
// is incomplete.
//
// # One socket for all
//
// SNMPv2c goes through [Sockets]: one unconnected UDP socket for IPv4 and one for
// IPv6, shared by all collectors that are made with them ([WithSockets]). A device
// costs no socket, no goroutine while it is idle, and no memory to receive into
// but during a poll. One request of a device is outstanding at a time. Each, and
// each repetition of it, bears a random number of 31 bits; an answer counts where
// it bears one that waits and comes from the address and port that was asked.
// What comes late, twice, from strangers or from nobody's question is dropped and
// counted ([Sockets.Stats]).
//
// An unconnected socket hears nothing of closed ports by itself, so it asks for the
// kernel's error queue (IP_RECVERR), in which ICMP's errors stand with the address
// and the beginning of the request that they are about. A closed port ends the
// request it is about. No way to a host or network is only the word for a silence,
// since routers say so while they are looking for one. An error that the kernel
// reports when something is sent may be another device's: then it is sent again.
//
// An answer is read by package pdu, which is strict and allocates nothing. One that
// bears the right number and that it refuses is given to gosnmp's reader, which
// makes sense of more, and a panic of which is an answer that cannot be read; what
// both read they read alike. An answer that neither reads ends the request at once,
// or has it repeated; a datagram without a number, which anyone could have sent,
// does not.
//
// The kernel holds up to net.core.rmem_max of answers that wait to be read; where
// many devices answer at once and the box is busy, more get lost, and are asked for
// again.
//
// # Credentials and addresses
//
// Credentials are tried in turn until one is answered, which is remembered; the
// others are tried again only after several polls without an answer. Of a device
// that does not answer from the address that is asked, now and then an answer from
// another one is taken, for some have several. Every address, also one that an
// answer comes from, is checked against the [Resolver] first.
//
// No text of gosnmp's leaves this package: it may hold a dump of the packet, and
// the community with it. What went wrong is a [Failure] or a [StatusError].
package snmp
