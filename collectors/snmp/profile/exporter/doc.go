// Package exporter reads a module of snmp_exporter's generated snmp.yml into a
// profile, so that the series have the names, labels and values that snmp_exporter
// gives:
//
//	p, problems := exporter.Load("/etc/siteprobe/snmp.yml", "if_mib")
//
// Both forms of the file are read: `modules:` beside `auths:`, and modules at the top
// as before version 0.23. Credentials in it are never looked at; those of the site
// file count.
//
// Texts become `name{name="text"} 1`, EnumAsInfo `name_info{name="word"} 1`,
// EnumAsStateSet and Bits a series for each word; lookups become labels, the empty
// ones included that remove a label; regex_extracts become metrics of their own.
//
// What is not taken over, each with a warning: filters and single rows in get (all
// rows are read), display hints, lookups by several labels of which one is a lookup
// itself, retries and timeouts (they are the site file's).
//
// What differs on purpose: counters of 64 bits are exact, where snmp_exporter takes
// them modulo 2^53; texts are without control characters and blanks at their ends; a
// hardware address of no octets is empty, not zeros; of two rows that would be one
// series one counts, and BITS that are no octets are none, where snmp_exporter gives
// up the whole device.
package exporter
