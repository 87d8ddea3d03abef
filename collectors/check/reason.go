package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Why a check could not be performed. Collect's errors wrap them.
var (
	ErrOutOfScope   = errors.New("out of scope")
	ErrNotPermitted = errors.New("not permitted")
)

// down is the finding that a service does not work. Its reason is a fixed phrase.
type down struct{ reason string }

func (d *down) Error() string { return d.reason }

// because makes a finding. Only words of this package may go into it.
func because(reason string) error { return &down{reason} }

func isDown(err error) bool {
	var finding *down
	return errors.As(err, &finding)
}

// judge turns a network error met while doing something (a fixed word such as
// "connect") with target (a host and port) into a finding, or into the error that
// the check could not be performed. err's own text is dropped: it may quote a URL
// or what a server sent.
func judge(doing, target string, err error) error {
	var refusal Refusal
	var finding *down
	switch {
	case errors.As(err, &finding), errors.Is(err, ErrOutOfScope), errors.Is(err, ErrNotPermitted):
		return err // judged already
	case errors.As(err, &refusal) && refusal.OutOfScope():
		return fmt.Errorf("%s is %w", strconv.Quote(collectors.Clip(target, 100)), ErrOutOfScope)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		// The kernel of this box refused: a packet filter, the unit's sandbox.
		return fmt.Errorf("%s: %w on this box", doing, ErrNotPermitted)
	}
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return fmt.Errorf("%s: this box is out of resources: %w", doing, e)
		}
	}
	return because(reason(doing, err))
}

// reason is the phrase for an error that is the service's or the network's.
func reason(doing string, err error) string {
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		switch {
		case lookup.IsNotFound:
			return "dns: NXDOMAIN"
		case lookup.IsTimeout:
			return "timeout: dns"
		}
		return "dns: lookup failed"
	}
	var netErr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &netErr) && netErr.Timeout():
		return "timeout: " + doing
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return "host unreachable"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN):
		return "network unreachable"
	}
	if s := tlsReason(err); s != "" {
		return s
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "connection closed"
	}
	return doing + " failed"
}

// tlsReason is the phrase for an error of a TLS handshake, or empty.
func tlsReason(err error) string {
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		other     *tls.CertificateVerificationError
		alert     *net.OpError // how crypto/tls reports an alert
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate expired"
	case errors.As(err, &name):
		return "certificate of another name"
	case errors.As(err, &authority):
		return "certificate of an unknown authority"
	case errors.As(err, &invalid), errors.As(err, &other):
		return "certificate invalid"
	case errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error"):
		return "tls: handshake refused"
	case errors.As(err, &record):
		return "tls: not a TLS server"
	}
	return ""
}

// certificateFailure judges an error of a handshake. What x509 calls expired may
// be a certificate from the future, which is rather a clock that is wrong.
func certificateFailure(target string, certs []*x509.Certificate, now time.Time, err error) error {
	verdict := judge("tls", target, err)
	var finding *down
	if errors.As(verdict, &finding) && finding.reason == "certificate expired" {
		for _, c := range certs {
			if now.Before(c.NotBefore) {
				return because("certificate not yet valid")
			}
		}
	}
	return verdict
}
