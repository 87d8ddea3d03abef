// Package sla computes service levels out of events: how long each service of an
// agreement was up, down and whose fault that was, left out by agreement, or not
// measured. It has no clock and does no I/O: the same events give the same figures
// years later, and nothing is accumulated on the way.
//
// # Agreed time
//
// An instant is within the agreed hours if a clock on the wall in the agreement's time
// zone shows a time within them then, on a day that is no holiday. So a day of 24x7 has
// 25 hours when clocks go back and 23 when they go forward; hours from 02:00 to 03:00
// on a night in which that hour comes twice are two hours, and none on a night in which
// there is no such hour. For whole ranges that is what RFC 5545, 3.3.5 makes of their
// ends. Hours that end on the next day (22:00-06:00) end there also when that is not a
// day with hours of its own. A holiday is a date, from midnight to midnight, and takes
// everything out of it.
//
// # States
//
// A source has the state of its edges (package incident): of those that reach a moment,
// dated back as they are, the one that was recorded last is right. An edge is not dated
// back beyond the start of the run of the daemon that it was recorded in. A start makes
// all states unknown. While the daemon does not run nothing is known, whatever edges say.
//
// A service that needs sources is down if one of them is, else unmeasured if one is
// unknown, else up. Of sources of which any one will do, one that is up is enough; else
// the service is unmeasured if one is unknown, else down. If several owners are to blame
// at once, it is the one that stands first among those who count, and else the first of
// isp, msp, undetermined, customer.
//
// # What is left out
//
// A maintenance window excludes what needs a source that it covers, up or down, measured
// or not. It counts if it was approved before it began and the box had recorded it by
// then, in the version that was recorded last before it began; once it has begun it can be
// cut short and nothing else. A source of which any one will do is missing during its
// window: the service is excluded where nothing else is up or unknown.
//
// # The arithmetic
//
// Every millisecond of the agreed hours is exactly one of: up, down by an owner,
// excluded, unmeasured. Then
//
//	agreed service time = hours - excluded
//	availability        = (measured - downtime) / measured, where measured = agreed - unmeasured
//	at least            = (agreed - downtime - unmeasured) / agreed   all of it down
//	at most             = (agreed - downtime) / agreed                all of it up
//
// where downtime is that of the owners who count. Time that was not measured is never
// counted as up. A target is met when "at least" meets it, and missed when availability
// does not; in between it is unproven: what was measured meets it, what was not is too
// long to tell. Percentages are rounded down, so that nothing looks met that is not.
//
// Figures are as exact as their source: a state is known no better than its source is
// polled often, which is the resolution that is stated with every result.
package sla
