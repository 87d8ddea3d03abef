// Package pdu holds the words of SNMP that have nothing to do with a device or a
// socket: object identifiers as they travel, variables with their tags, messages of
// SNMPv2c to octets and back, and text for people out of what a device sent. It does
// no I/O, and its reader takes nothing on trust.
package pdu
