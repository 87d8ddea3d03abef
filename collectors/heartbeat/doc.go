// Package heartbeat hears from jobs that are to report by themselves, such as a backup
// in the night: a job calls a URL of the box when it is done, and that it has not is
// what there is to know.
//
//	config.go     which jobs there are, and how often they report
//	book.go       when each did last, kept over a restart
//	server.go     the URL: who may call it, how often, with what
//	collector.go  one source for each job
//
// # Calling
//
//	curl -fsS -X POST http://box:9180/heartbeat/backup/TOKEN
//	curl -fsS -H "Authorization: Bearer TOKEN" "http://box:9180/heartbeat/backup?status=fail&message=disk+full"
//
// GET and POST are the same; a body is not read. status is ok (as without one) or fail;
// a message is one line that is shown with it. The answer is 204, or 404 for a job that
// is not there and for a wrong token alike, 403 for an address that is not under
// scope.managed, 429 for too many calls.
//
// The token is all that speaks for a job, and the LAN is where it travels: whoever reads
// it there can say that a backup was made. A caller cannot do more than that.
//
// # What becomes of it
//
// Each job is a source, heartbeat/NAME, whose probe_success is 0 when the last report is
// older than every + grace, or said fail. siteprobe_heartbeat_age_seconds is how old it
// is. A job that has never reported since the box knows of it is not judged before its
// time is over: there is no probe_success until then.
//
// Ages go by the boot clock while the box is up. Across a restart of the box they go by
// the wall clock, which may be wrong before it is set: until it is known to be right,
// an age that looks too old is not judged.
package heartbeat
