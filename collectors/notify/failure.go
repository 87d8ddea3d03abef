package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/scope"
)

// Failure is why a message has not gone out. Nothing that a target answered is in its
// text but numbers, and no secret.
type Failure struct {
	Doing string
	Err   error
	Hint  string // what a person may do about it
	// Refused: the target works and refuses this message for what it says.
	Refused bool
	// Sent: it went out all the same, though not to all.
	Sent bool
}

func (f *Failure) Error() string { return f.Doing + ": " + f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// HintOf gives the hint of an error of this package, or nothing.
func HintOf(err error) string {
	var f *Failure
	if errors.As(err, &f) {
		return f.Hint
	}
	return ""
}

// notReached explains why there is no connection.
func notReached(address string, err error) error {
	f := &Failure{Doing: "connecting to " + address, Err: brief(err)}
	var refused *scope.RefusedError
	var dns *net.DNSError
	switch {
	case errors.As(err, &refused):
		f.Hint = "name it by its address, or put that address under scope.managed; a webhook's must be at the site"
	case errors.As(err, &dns):
		f.Hint = "the name cannot be looked up; an address works without a name server, also when the line is down"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Hint = "nothing listens there: is it the right port, and does the service run?"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		f.Hint = "nothing answers there: is the address right, the machine on, a firewall in between?"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		f.Hint = "there is no way to this address: check the address and the box's network"
	}
	return f
}

// badTLS explains why a handshake failed.
func badTLS(err error) error {
	f, _ := tlsFailure(err)
	return f
}

// tlsFailure explains an error that may be of TLS, and tells whether it is.
func tlsFailure(err error) (f *Failure, is bool) {
	f = &Failure{Doing: "speaking TLS", Err: brief(err)}
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &name):
		f.Err = errors.New("the certificate is of another name")
		f.Hint = "set tls.name to the name that the certificate is of"
	case errors.As(err, &authority):
		f.Err = errors.New("the certificate is signed by somebody unknown")
		f.Hint = "set tls.ca to a PEM file with the CA, or with the server's own certificate if it signed itself"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.Err = errors.New("the certificate is not valid at this time")
		f.Hint = "renew the server's certificate, and look whether the box's clock is right (siteprobe status)"
	case errors.As(err, &invalid), errors.As(err, &verify):
		f.Err = errors.New("the certificate is not valid for this")
		f.Hint = "the server needs a certificate for servers, signed by a CA"
	case errors.As(err, &record):
		f.Err = errors.New("what answers does not speak TLS")
		f.Hint = "is it the right port, and does it speak TLS from the beginning? Port 587 mostly wants starttls"
	case errors.As(err, &alert):
		f.Hint = "the server ended the handshake: its log says why"
	default:
		return f, false
	}
	return f, true
}

// brief is an error without what the other side may have put into it: of those that are
// known their kind.
func brief(err error) error {
	var refused *scope.RefusedError
	var dns *net.DNSError
	var no syscall.Errno
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, errTooMuch):
		return errTooMuch
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return errors.New("there is no such name")
		}
		return errors.New("the name cannot be looked up")
	case errors.As(err, &no):
		return no
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("no answer in time")
	case errors.Is(err, net.ErrClosed):
		return errors.New("no answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the other side hung up")
	}
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return alert
	}
	return fmt.Errorf("it failed (%s)", typeOf(err))
}

// typeOf names an error by its types, which say something to its makers and hold nothing
// that was received.
func typeOf(err error) string {
	var out []string
	for e := err; e != nil && len(out) < 4; e = errors.Unwrap(e) {
		out = append(out, strings.TrimPrefix(fmt.Sprintf("%T", e), "*"))
	}
	return collectors.Clip(strings.Join(out, ", "), 100)
}
