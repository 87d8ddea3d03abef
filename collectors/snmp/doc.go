// Package snmp collects one device over SNMP v1, v2c or v3: the system group and
// the interfaces of IF-MIB, under the names that the MIBs give them.
//
//	c, err := snmp.New(snmp.Config{
//		Device:      "core-sw1",
//		Address:     "192.168.10.2",
//		Credentials: []snmp.Credential{{Name: "lan", Auth: snmp.Auth{Version: "2c", Community: community}}},
//	}, scope)
//	defer c.Close()
//	err = c.Collect(ctx, emit)
//
// A [Collector] is a collectors.Collector; for a single look at a device it is
// made, called once and closed.
//
// # What is read
//
// In every poll sysUpTime (in hundredths of a second, as the MIB has it) and of
// each interface ifAdminStatus, ifOperStatus, ifIn- and ifOutErrors, ifIn- and
// ifOutDiscards, ifHCIn- and ifHCOutOctets and ifHighSpeed. An interface without
// the 64-bit counters has ifInOctets and ifOutOctets instead. Which of the two an
// interface has is found out once and then stays so until the device restarts, so
// that the two are never mixed; an interface whose ifHighSpeed is absent or 0 has
// ifSpeed. What a device lacks has no series.
//
// Series of an interface bear the labels device, ifIndex, ifName and ifAlias. Where
// ifName is missing it is ifDescr, and ifDescr is a label as well. Names are read
// in the first poll and then kept; they are read again after a restart, when
// ifTableLastChange moves, when rows come or go, and every ten minutes. Only then
// are sysName, sysDescr and sysObjectID read too: in other polls their readings
// are missing.
//
// snmp_scrape_duration_seconds and snmp_scrape_pdus_returned tell what the poll
// took. A restart is an event ("reboot"), and so is a device that answers from
// another address ("snmp_reply_address").
//
// # How it is read
//
// A plan says what to ask for, a fetcher asks, a table keeps what came and a layout
// turns it into batches; none knows the others' work. Plans are data, so that
// profiles can add to them. The fetcher is an adapter to gosnmp; object identifiers
// beyond it are BER bytes, so that another one need not make text of them.
//
// Columns are walked side by side with GetBulk. A device is met with few columns
// and repetitions at first and with more as its answers come whole; tooBig, silence
// and answers cut off halve them, and GetNext is the last resort. What was learned
// is kept with the collector. The scalars of a device that is known come with the
// first rows, as GetBulk's non-repeaters, where the agent does these right. A
// column whose identifiers do not increase, a table with too many rows, a device
// that falls silent midway: what has come is kept, and the error says what is
// incomplete.
//
// # Credentials and addresses
//
// Credentials are tried in turn until one is answered, which is remembered; the
// others are tried again only after several polls without an answer. A device that
// does not answer on a connected socket is once asked on an unconnected one, for
// some answer from another of their addresses. Every address, also one that an
// answer comes from, is checked against the [Resolver] first.
//
// No text of gosnmp's leaves this package: it may hold a dump of the packet, and
// the community with it. What went wrong is a [Failure] or a [StatusError].
package snmp
