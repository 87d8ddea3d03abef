// Package schedule decides when collectors run, and sees to it that every due
// slot of every job yields exactly one outcome: ok, partial, failed, or skipped
// and why. A poll that was not taken leaves a trace.
//
// # Slots
//
// A job's slots lie at phase + k*interval on the boot clock. The phase is a
// stable hash of the source's name spread over the interval, so that a thousand
// jobs of a minute do not start at once; for long intervals the spread is capped
// ([Config.Spread]), so that a job of a day runs soon after start. Phases are
// multiples of a quarter of a second, because waking a small box for every job
// costs more than the jobs. Slots are
// worked out from the clock, never from timers: after a suspend or a stall the
// slots that have passed yield skipped batches, and the last of them is
// collected. After a long jump the oldest of them share one batch that says how
// many slots it stands for.
//
// A slot is skipped when
//
//   - the previous collection of the job is still running (no overlap),
//   - no worker is free, or its device is busy, until its next slot is due,
//   - the source backs off after failures in a row,
//   - an earlier collection hangs and has not returned,
//   - the box was suspended or too busy,
//   - the job was removed or changed, or siteprobe is stopping.
//
// # Collections
//
// A collection has a deadline, a worker out of [Config.Workers], and a share of
// its group's limit ([Config.PerGroup]). What it emits is held until Collect
// returns: batches are then given their source, their outcome and their stamps,
// and go to the sink together. A batch that breaks the bounds of package
// collectors becomes a failed batch which says so. A panic costs the collection
// that panicked and nothing else. A collector that ignores its context is given
// up after its timeout and a grace: its slot fails, its worker is free again, and
// its later slots are skipped until it returns.
//
// # Stamps
//
// A batch's stamp is the instant at which its collection began, and that of a
// skipped slot the instant at which it was due; within a source stamps strictly
// rise, by 1 ms where they would not. Batches of one source reach the sink in the
// order of their stamps, which is why the slots skipped during a collection are
// reported when it ends.
//
// # Goroutines
//
// One goroutine, in [Scheduler.Run], owns all state and calls the sink; each
// running collection has one of its own; idle jobs have none. A sink that blocks
// stops the scheduler, [Scheduler.Beat] shows it, and the slots that pass are
// reported as skipped.
package schedule
