package snmp

import "strconv"

// A Failure is a request that got no answer of use, in words that a technician
// can act upon. Compare with errors.Is. Its text is fixed and so holds nothing of
// what was sent: gosnmp's own texts can hold a dump of the packet with the
// community in it and never leave this package.
type Failure string

func (f Failure) Error() string { return string(f) }

// The failures.
const (
	// ErrNoAnswer: nothing came back in time. With v1 and v2c a wrong community
	// looks the same.
	ErrNoAnswer Failure = "no answer: unreachable, wrong credentials, or this box's address is not in the device's SNMP access list"
	// ErrNoAnswerV3: the engine was discovered and then kept silent.
	ErrNoAnswerV3 Failure = "the device speaks SNMPv3 but did not answer this user: check priv_protocol (AES256 or AES256C?) and priv_password"
	// ErrRefused: the host says that the port is closed.
	ErrRefused Failure = "the host is there but nothing listens on its SNMP port: is SNMP switched on?"
	// ErrUnreachable: a router or this box says that there is no way.
	ErrUnreachable Failure = "no route to the device from this box"
	// ErrUnknownUser, ErrWrongDigest, ErrSecurityLevel, ErrDecryption and
	// ErrTimeWindow are what an SNMPv3 engine reports.
	ErrUnknownUser   Failure = "the device does not know this SNMPv3 user: check username, and that the user exists on this engine"
	ErrWrongDigest   Failure = "the device refused the SNMPv3 authentication: check auth_protocol and auth_password"
	ErrSecurityLevel Failure = "the device does not offer this user the security_level asked for"
	ErrDecryption    Failure = "the device could not decrypt the request: check priv_protocol and priv_password"
	ErrTimeWindow    Failure = "the device's SNMPv3 clock does not settle: did it restart, or do two devices share an engine ID?"
	// ErrNotAuthentic: the answer's signature is wrong and nothing says why.
	ErrNotAuthentic Failure = "the SNMPv3 answer is not authentic: check username, auth_protocol and auth_password"
	// ErrOtherAnswer: something came back in time, but not to what was asked.
	ErrOtherAnswer Failure = "the device answers, but not to what it was asked: its answers bear wrong request numbers or come too late"
	// ErrOtherAddress: answers came from an address outside the scope.
	ErrOtherAddress Failure = "the device answers from another address, which is not within the scope"
	// ErrMalformed: what came back is not SNMP, or is cut off.
	ErrMalformed Failure = "the device's answer cannot be read: it is cut off, malformed or not SNMP"
	// ErrSend: this box could not send.
	ErrSend Failure = "the request could not be sent: a local firewall, or no network interface that is up"
	// ErrResolve: the device's name has no address, or none within the scope.
	errResolve  Failure = "no address to ask"
	errNoSocket Failure = "no socket to the device: its address is outside the scope, or this box has no more sockets"
	// ErrNothing: an answer without anything that was asked for.
	ErrNothing Failure = "the device answers but shows none of what was asked for: does its SNMP view exclude the system group and the interfaces?"
)

// StatusError is an answer with an error-status (RFC 3416, 3).
type StatusError struct {
	Status int
	Index  int // which variable of the request, from 1; 0: the request as a whole
}

// Error-status values that the walk tells apart.
const (
	statusTooBig     = 1
	statusNoSuchName = 2
)

func (e *StatusError) Error() string {
	var name string
	switch e.Status {
	case statusTooBig:
		name = "tooBig"
	case statusNoSuchName:
		name = "noSuchName"
	case 5:
		name = "genErr"
	case 6:
		name = "noAccess"
	case 13:
		name = "resourceUnavailable"
	case 16:
		name = "authorizationError"
	default:
		name = "error-status " + strconv.Itoa(e.Status)
	}
	return "the device answered " + name
}

// NoSuchName tells whether the status is how v1 says that there is no such variable.
func (e *StatusError) NoSuchName() bool { return e.Status == statusNoSuchName }

// A trouble is a table that was read in part, and why.
type trouble string

func (t trouble) Error() string { return string(t) }

const (
	errNotIncreasing    trouble = "the device repeats itself: its identifiers do not increase"
	errTooManyRows      trouble = "the table has more rows than are read"
	errTooMany          trouble = "the table takes more requests than are sent"
	errNoName           trouble = "the device sends variables without a proper name"
	errTooManyVariables trouble = "there is more than is read"
	errTooManySeries    trouble = "the device has more series than are kept"
	errEmptied          trouble = "the device shows none of its rows"
	errEmptyAnswer      trouble = "the device answers without variables"
)
