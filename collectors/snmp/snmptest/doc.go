// Package snmptest is an SNMP agent on the loopback interface, for tests and for
// a demonstration on a machine that has no snmpd.
//
// An [Agent] answers SNMPv1 and SNMPv2c Get, GetNext and GetBulk from a [MIB], a
// sorted table of variables that may be changed while it is served:
//
//	mib := snmptest.Switch(48)                       // a switch whose counters move
//	agent, err := snmptest.Listen("", snmptest.Config{MIB: mib})
//	defer agent.Close()
//	// agent.Addr() is 127.0.0.1 and a free port, the community is "public"
//
// A variable may be a function, which is called once for each request that
// touches it: a counter made that way has another value in every poll.
//
// Real agents misbehave, and [Manners] makes this one do the same: tooBig instead
// of a shorter answer, no GetBulk, an OID that follows itself, lost requests,
// answers to another request, answers cut off, answers from another address.
//
// It sets no variable, speaks no SNMPv3 (Debian's snmpd does) and says nothing of
// the machine that it runs on.
package snmptest
