package buffer

// The points at which [Options.Point] is called: where a process that is killed, or
// a disk that fails, meets a state that is half done. They are for tests.
const (
	PointIngest     = "ingest"     // a batch has its name and is in memory only
	PointCommit     = "commit"     // blocks are encoded, nothing of them is written
	PointCommitted  = "committed"  // they are in the database, the epoch file does not count them yet
	PointMarked     = "marked"     // the epoch file counts them, the sender has not seen them
	PointAck        = "ack"        // an acknowledgement, or the answer to an account, has come
	PointAcked      = "acked"      // it is in the database
	PointCheckpoint = "checkpoint" // the log is about to be copied into the database
	PointCopied     = "copied"     // it has been
	PointCompact    = "compact"    // smaller blocks are made, the larger ones still stand
	PointCompacted  = "compacted"  // they have taken their place
	PointDownsample = "downsample" // as for compaction
	PointRolledUp   = "rolled up"  //
	PointSetAside   = "set aside"  // the database has another name, none has its own
	PointSalvage    = "salvage"    // blocks out of a database that was set aside are about to be taken in
	PointSalvaged   = "salvaged"   // some of them have been
)

// Points lists them all.
func Points() []string {
	return []string{PointIngest, PointCommit, PointCommitted, PointMarked, PointAck, PointAcked, PointCheckpoint, PointCopied,
		PointCompact, PointCompacted, PointDownsample, PointRolledUp, PointSetAside, PointSalvage, PointSalvaged}
}

// at calls the test's function, if there is one.
func (b *Buffer) at(point string) {
	if b.opt.Point != nil {
		b.opt.Point(point)
	}
}
