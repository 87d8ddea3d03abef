// Package receive is what the receivers of messages that nobody asked for have in
// common: traps and syslog. It knows neither protocol.
//
//	socket.go  reads datagrams and answers from the address that was asked
//	gate.go    who may send, and how fast
//	desk.go    tells what is alike once; gives events to the buffer
//	blend.go   one event for messages that differ in something
//	bursts.go  counts what is a matter of security when there is much of it
//	losses.go  counts what was not taken, and says so
//
// # Who is heard
//
// Anybody on a LAN can send a datagram under any address. Only addresses that the
// contract manages are heard ([Sources]); each may send [PerSource] messages, all
// together [Overall], and each may cause [EventsPerSource] events, all together
// [EventsOverall]. One that sends more displaces nobody else: what it sends is
// dropped before it is parsed, which empties the kernel's queue faster than a network
// fills it; what the kernel dropped all the same is counted ([Overflow]).
//
// # What becomes of a message
//
// A receiver makes a [Note] of a message and gives it to the [Desk]. The first of a
// kind becomes an event at once. Those that are the same within [Window] (source,
// kind and key) are counted and become one event at its end, at the time of the last
// of them, with labels count and first_ms, as the buffer has them when it coalesces
// events. A label in which they differ says "several", and one that only some have is left
// out. Nothing is dropped in silence: whatever was not taken is counted by reason
// ([Desk.Stats]), and an event tells the counts, a minute after the first and at most
// every hour while it goes on.
//
// A note may wait for its event to be committed (Note.Done): an inform is answered only
// then. Where the event is lost, since the buffer refuses it or the disk fails for long,
// Note.Done says so, so that the same message is taken when it comes again. Nothing is
// heard of a note that was not taken.
//
// # Flash
//
// An event makes the buffer commit soon. So events are given to it together, a tenth
// of a second after the first, and when there are many then no more often than every
// [Options].Every: what anyone on the LAN sends costs no more commits than the
// readings do.
package receive
