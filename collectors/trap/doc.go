// Package trap receives SNMP notifications: traps of v1, v2c and v3, and informs of v2c
// and v3, which it answers once their event is committed.
//
//	r, err := trap.New(trap.Config{Listen: ":9162", Credentials: credentials}, trap.Options{
//		Socket: socket, Engine: trap.OpenEngine(dir, clock.Now, log), Sources: sources, Buffer: buffer, Clock: clock,
//	})
//	err = r.Run(ctx)
//
// # Who is believed
//
// Senders within the contract (package receive) with a community or an SNMPv3 user of
// the site file's credentials, at the user's own security level. Whatever else comes is
// counted, and one event for each sender and half minute says so (trap_refused). No
// community and no password is ever shown, nor what was sent in place of one.
//
// Anyone on a LAN who knows the community can send a trap under any address. Events of
// v1, v2c and of v3 without authentication bear hint=true, and nothing else follows from
// them.
//
// # What becomes of it
//
// A notification becomes an event of kind trap and the source "trap", in the words of
// SNMPv2 (an SNMPv1 trap by RFC 3584, 3.1). Text and labels have its name and its
// variables, as [Names] calls them, or numbers. What is alike is told once with its
// number. Five authenticationFailures and more within a minute are one event more
// (authentication_failures) with how many, at which devices and from where.
//
// # Informs
//
// An inform is answered when the commit with its event has succeeded, together with all
// others that came meanwhile. An event makes the buffer commit soon, so that takes a
// quarter of a second, and at most 5 s when there are many: package receive bounds how
// often that may be. snmptrap waits 6 s in all. One that comes again meanwhile, with the
// same sender, request number and content, is the same one. One that could not be taken,
// or whose event was lost before the commit, is not answered, and taken when it comes again. A box that is killed has lost none that it answered.
//
// # SNMPv3
//
// For traps their sender is the authoritative engine: the time of each sender's engine
// is learned from its first message that is authentic, and what is older than 150 s, or
// of boots before, is refused. For informs this box is: [Engine], whose id and number of
// boots stand in a file of their own. Who the box is, and what time it has, senders learn
// by RFC 3414's reports. The SNMP library has no time windows and no keys of its own for
// informs, so this package reads messages itself and uses package usm.
//
// # Reading order
//
// message.go and secured.go read (ber.go the octets); usm.go believes and answers;
// informs.go knows what came before; describe.go makes notes; receiver.go puts it
// together.
package trap
