package snmp

import (
	"context"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// A fetcher asks one agent, one request at a time. It is the seam between what is
// asked and how: the adapter to gosnmp stands behind it, and tests put an agent of
// their own there.
//
// Each method appends the answer's variables to dst. What their OID and Bytes
// point to holds until the next call. An answer may be shorter than what was asked
// for, in any order and full of nonsense: that is for the caller to see.
//
// Errors are *StatusError where the agent answered with an error, a Failure where
// there was no answer of use, or wrap the context's error. None of them holds what
// was sent or received.
type fetcher interface {
	get(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error)
	getNext(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error)
	// getBulk is answered with the variable behind each of the first single oids
	// and then with up to reps behind each of the others, those of one repetition
	// side by side.
	getBulk(ctx context.Context, oids [][]byte, single, reps int, dst []pdu.Varbind) ([]pdu.Varbind, error)
}
