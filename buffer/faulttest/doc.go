// Package faulttest is the fault lab: what the buffer's promises are tested
// against. It has a disk whose power can be cut ([Disk]), a file system on it
// ([Volume]), and the tests that let a real buffer live on them.
//
// # Power cuts
//
//	buffer.Buffer > SQLite > ext4 > loop device > FUSE file > Disk > memory
//
// A Disk keeps sectors that were written apart from those that were flushed. The
// cut keeps a part of the unflushed ones, as a drive with a volatile cache would:
// none, all, those up to some point in order, or any of them, torn at 512 or at
// 4096 octets; also an older content of a sector than its last. From then on
// everything fails with EIO, and what was open before stays useless when the power
// is back: a page that the kernel still holds cannot reach the disk late.
//
// Flushes arrive as FUSE's FSYNC, which is what the loop device makes of the block
// layer's FLUSH; TestFlushesArrive would tell if a kernel did otherwise.
//
// TestPowerCuts has one database live through all cuts, each at a random write or
// flush, also while the file system replays its journal and while the buffer opens.
// The process that has the database is killed within the same instant. A ledger in
// another process is told of every commit that was confirmed, and checks after each
// cut that all of it is there, once, with its content, or was stored by the hub, or
// is in a gap. The controls, synchronous=NORMAL and OFF, must lose something, or the
// lab could not have found a loss.
//
// # Kills
//
// TestKills has a process kill itself with SIGKILL at each of the buffer's named
// points ([buffer.Points]), with the same ledger; every point must be reached. A second
// database is damaged now and then, and set aside: its batches may be gone, but the
// account must go on counting them, unless salvage has brought them back.
//
// # A new part of the buffer
//
// What it does in the background is one line in worker.maintain, what it does when it
// is called is a case in worker.act; its points go into [buffer.Points].
//
// # Running it
//
//	go test -v ./buffer/faulttest                                300 cuts, 150 kills
//	SITEPROBE_TORTURE=1 go test -v -timeout 6h ./buffer/faulttest    3000 cuts, 1000 kills
//	SITEPROBE_SEED=7 go test ./buffer/faulttest                  the same choices again
//
// A seed repeats what the lab chooses; the kernel's own timing stays its own, so a
// cut may meet another write than it did before.
//
// Cutting power needs root, /dev/fuse, loop devices and mkfs.ext4 (Debian's
// e2fsprogs). The tests run in a mount namespace of their own and the loop devices
// free themselves, so that nothing stays behind, whatever happens. Nothing that
// serves the disk touches the file system on it: a process that waits for a disk
// which it serves itself could never be killed.
package faulttest
