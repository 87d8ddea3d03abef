// Package e2e tests the whole with real processes: siteprobe, siteprobe-hub and
// mosquitto, built and started by the tests, killed by them at random moments, and
// held against what the tests themselves saw. It holds tests only.
//
//	go test ./cmd/e2e                                  some four minutes
//	go test ./cmd/e2e -run Script                      the command line alone
//	go test ./cmd/e2e -run Incidents -v                a minute and a half
//	go test ./cmd/e2e -run Kill -v                     with the summaries
//	SITEPROBE_TORTURE=1 go test ./cmd/e2e -run Kill    100 kills instead of 20
//	SITEPROBE_SEED=7 go test ./cmd/e2e -run Kill       the same choices again
//	SITEPROBE_BIN=/usr/bin go test ./cmd/e2e           programs that are installed
//
// # The kill test
//
// TestKill runs a probe that polls ten agents every second and commits every 50
// ms, and kills (SIGKILL) probe, broker and hub, one or two at a time. Every
// answer of an agent holds a number that was never given before. Three ledgers are
// kept that know nothing of each other: the agents' (what was answered), the
// probe's log (what it committed, read from a pipe that outlives the process) and,
// at the end, both databases. It then asks that every committed batch is at the
// hub once, that it says there what the box's own database says, that each of its
// values was answered by that device, and that no value stands under two names.
//
// A choice is repeated by its seed; when a kill hits which instruction is not.
//
// TestKillControl is the same harness with ack: broker, where a PUBACK counts as
// delivery although the hub that should have stored is dead. It asks that the
// harness finds the loss: a check that cannot fail shows nothing.
//
// # The others
//
// TestKillInforms kills a probe that receives informs, which net-snmp's snmptrap sends
// without pause: none that was acknowledged is missing. TestReceivers and
// TestSocketActivation start and stop receivers by the site file and by systemd.
//
// TestIncidents breaks sites of package sitetest (it takes root) and asks what the hub,
// the box, the LAN and the service level were told: the switch that 40 devices are behind;
// a device, with the probe killed in the middle; the line, in three ways. With
// SITEPROBE_TORTURE it does so at a customer's pace.
//
// TestOutage lets a site come back after ten minutes without a broker, over a slow
// line: live readings must be stored at once and the backlog behind them.
// TestScript runs testdata/script/*.txtar against the real programs; script_test.go
// says which commands the scripts have besides testscript's own.
package e2e
