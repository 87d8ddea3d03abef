// Package notify tells people and machines at the site what broke: by mail, by syslog,
// by a signed webhook. It works offline, on the LAN alone.
//
//	n, err := notify.New(site.Notices, notify.Options{...})
//	go n.Run(ctx)
//	n.Notify(change) // of an incident; never blocks
//
// # What is told, and when
//
// Each notice of the site file has a desk of its own ([desk], which is pure: no clock,
// no I/O), which decides which changes become messages:
//
//   - One message when an incident opens, when it changes for those who read it (its
//     severity, owner or cause, or twice as much is affected), and when it is over.
//   - What was told is not told again, also not after a restart. The end of what nobody
//     was told of is not told.
//   - A silenced incident is not told, nor is its end.
//   - About the same thing (an incident's key) at most two an hour. What comes faster
//     waits; later changes take the place of earlier ones, so that the message that goes
//     out then says how it stands, and how often it came and went.
//   - At most so many an hour in all (max_per_hour). The last one of these is a digest
//     of all that waits.
//   - While the target is down everything waits, and it is tried again after 10 s, 20 s,
//     ... 15 min. One message an incident waits at most; of more than 256 the oldest go,
//     and the next message says how many.
//
// What waits and what was told is kept in a file over a restart. A message that went out
// in the very moment of a power cut may go out twice; mails then have the same
// Message-ID.
//
// # Where to
//
// A target is contacted because the site file names it under notices, by the one dialer
// of package scope: an address is granted with the notice, a name by the address that it
// leads to: one outside, or one under scope.managed. Webhooks stay at the site: their
// addresses are private, or in the scope. Nothing that scope.excluded names is contacted.
// Redirects are not followed.
//
// # The webhook
//
// It is a POST of JSON with the header
//
//	Siteprobe-Signature: t=1764136920,v1=HEX
//
// where HEX is the HMAC-SHA256, by the shared secret, over the number after t=, a dot,
// and the body. Whoever receives it compares, and refuses a t that is long ago.
// Siteprobe-Delivery is the same when the same message is sent again.
//
// # Syslog
//
// Messages are of RFC 5424, with the incident as structured data under siteprobe@32473:
// what, id, key, kind, cause, owner, source, affected, since. Over TCP and TLS they are
// framed by octet count (RFC 6587, RFC 5425).
//
// # Hostile targets
//
// A target has a minute and 64 KiB for each message. What it answers is not shown, other
// than as a number: it may have been told a password. Names of devices come from
// devices: nothing of them opens a header, a line or an element.
package notify
