// Package syslog receives syslog over UDP and TCP and makes events of what matters.
//
//	r, err := syslog.New(syslog.Config{Listen: ":9514"}, syslog.Options{
//		Socket: socket, Listener: listener, Sources: sources, Buffer: buffer, Clock: clock,
//	})
//	err = r.Run(ctx)
//
// # What is read
//
// RFC 5424 and RFC 3164, and what devices send instead: dates of any form or none, no
// name, no priority, Cisco's sequence numbers and %FACILITY-SEVERITY-MNEMONIC (whose
// severity counts), key=value as FortiOS, Sophos and SonicWall have it (whose level,
// priority or pri counts). What does not look like a
// header is text; [Parse] has no error. When a message was is told by the box's clock, as
// devices' are often wrong. Over TCP messages are framed by their length or by line ends
// (RFC 6587), one by one; 64 connections at once, 4 from an address, 15 minutes of
// silence.
//
// # What becomes of it
//
// Messages as severe as Config.Severity (warning) become events of the source "syslog":
// kind syslog, with labels device, source, severity, facility, host (as it calls itself),
// app and id. The others are only counted by severity ([Receiver.Stats]). Messages that
// are the same are told once with their number; caps and what is dropped: package
// receive.
//
// Somebody who tries to log in and fails is an event (login_failure) at any severity:
// in the words of sshd, dropbear, PAM, Cisco, MikroTik, FortiOS, SonicWall, Sophos, Synology,
// QNAP and Windows' 4625 as agents send it. Those of a device within half a minute are told
// together, and of user and from it says "several" where they differ. Five within a minute are one event more, login_failures, with how many, at
// which devices and from where.
//
// Anyone on a LAN can send syslog under any name. Every event bears hint=true, and
// nothing else follows from it.
//
// # Reading order
//
// parse.go, failure.go: what a message says, without I/O. receiver.go, tcp.go.
package syslog
