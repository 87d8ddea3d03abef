package mqtt

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

	"github.com/siteprobe/siteprobe/uplink"
)

var (
	errServer     = errors.New("the server's address cannot be read")
	errClosed     = errors.New("closed by this side")
	errEnded      = errors.New("the connection has ended") // what paho is told; link.cause has the reason
	errNotReading = errors.New("the broker does not read what is sent to it")
	errNoSuback   = errors.New("no SUBACK")
	errInbox      = errors.New("messages come in faster than they are handled")
)

// isTimeout includes the end of a stage's context.
func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// dialError explains why there is no TCP connection.
func dialError(err error) *uplink.LinkError {
	e := &uplink.LinkError{Stage: uplink.StageDial, Err: err}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		e.Stage = uplink.StageResolve
		switch {
		case dns.IsNotFound:
			e.Hint = "the name does not exist: check its spelling in uplink.servers"
		case dns.IsTimeout:
			e.Reason, e.Hint = uplink.ReasonTimeout, "no DNS server answers: is the site's internet down?"
		default:
			e.Hint = "the DNS server cannot tell: check the box's DNS servers"
		}
	case errors.Is(err, context.Canceled):
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Hint = "port closed: is the broker running, and is it the right port?"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		e.Hint = "no way there: check the box's address and gateway"
	case isTimeout(err):
		e.Reason, e.Hint = uplink.ReasonTimeout, "no answer: a firewall drops it or the host is down"
	}
	return e
}

// tlsError explains why TLS did not come up, or was refused by the broker
// afterwards, as TLS 1.3 does with a client's certificate.
func tlsError(err error) *uplink.LinkError {
	e := &uplink.LinkError{Stage: uplink.StageTLS, Err: err}
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		e.Reason, e.Hint = uplink.ReasonCertificate, "the broker's certificate is not signed by the configured CA (uplink.tls.ca; without one, by one of the system's)"
	case errors.As(err, &host):
		e.Reason, e.Hint = uplink.ReasonCertificate, "the broker's certificate is for another name than the server's URL"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Reason, e.Hint = uplink.ReasonCertificate, "the broker's certificate has expired or is not valid yet; is this box's clock right?"
	case errors.As(err, &verify):
		e.Reason, e.Hint = uplink.ReasonCertificate, "the broker's certificate is not valid"
	case errors.As(err, &record):
		e.Reason, e.Hint = uplink.ReasonProtocol, "this port does not speak TLS: is it the plain one, or is a captive portal in between?"
	case refusedByAlert(err):
		e.Reason, e.Hint = alertReason(err)
	case errors.Is(err, context.Canceled):
	case isTimeout(err):
		e.Reason, e.Hint = uplink.ReasonTimeout, "the port is open but TLS is not answered: a firewall that inspects, or a broker that hangs?"
	case closedByPeer(err):
		e.Hint = "the connection was closed during TLS: a firewall that inspects, or a port without TLS?"
	}
	return e
}

// refusedByAlert tells whether the error is a TLS alert that the broker sent.
func refusedByAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// alertReason reads an alert by its text: crypto/tls keeps the type to itself.
func alertReason(err error) (uplink.Reason, string) {
	switch s := err.Error(); {
	case strings.Contains(s, "certificate required"):
		return uplink.ReasonCertificate, "the broker wants a client certificate: set uplink.tls.cert and uplink.tls.key"
	case strings.Contains(s, "expired certificate"):
		return uplink.ReasonCertificate, "this box's certificate has expired"
	case strings.Contains(s, "revoked certificate"):
		return uplink.ReasonCertificate, "this box's certificate has been revoked"
	case strings.Contains(s, "certificate"):
		return uplink.ReasonCertificate, "the broker does not accept this box's certificate: is it of the broker's CA?"
	case strings.Contains(s, "protocol"):
		return uplink.ReasonProtocol, "the broker speaks none of the TLS versions or protocols offered"
	}
	return uplink.ReasonNone, "the broker refused TLS; it may want a client certificate"
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// connackError explains why no CONNACK came.
func connackError(err error) *uplink.LinkError {
	if refusedByAlert(err) {
		return tlsError(err)
	}
	e := &uplink.LinkError{Stage: uplink.StageConnack, Err: err}
	switch {
	case errors.Is(err, context.Canceled):
	case isTimeout(err):
		e.Reason, e.Hint = uplink.ReasonTimeout, "connected, but nothing answers MQTT: is it a broker's port?"
	case closedByPeer(err):
		e.Hint = "the broker closed the connection without a word: its log may tell why"
	case errors.Is(err, errPacket):
		e.Reason, e.Hint = uplink.ReasonProtocol, "what answers is not an MQTT 3.1.1 broker"
	}
	return e
}

// refusal explains the code of a CONNACK.
func refusal(code byte) *uplink.LinkError {
	e := &uplink.LinkError{Stage: uplink.StageConnack, Err: fmt.Errorf("CONNACK code %d", code)}
	switch code {
	case 1:
		e.Reason, e.Hint = uplink.ReasonProtocol, "the broker does not speak MQTT 3.1.1"
	case 2:
		e.Reason, e.Hint = uplink.ReasonClientID, "the broker does not accept tenant and site as client id"
	case 3:
		e.Reason, e.Hint = uplink.ReasonBusy, "the broker is there but takes no connections now"
	case 4:
		e.Reason, e.Hint = uplink.ReasonCredentials, "username or password are wrong"
	case 5:
		e.Reason, e.Hint = uplink.ReasonCredentials, "the broker does not know this box: its user name and password, or the common name of uplink.tls.cert, must be this site's TENANT/SITE and known there"
	default:
		e.Reason = uplink.ReasonProtocol
	}
	return e
}

// sessionError explains why an open connection has ended.
func sessionError(err error) *uplink.LinkError {
	if e, ok := errors.AsType[*uplink.LinkError](err); ok {
		return e
	}
	e := &uplink.LinkError{Stage: uplink.StageSession, Err: err}
	switch {
	case errors.Is(err, errClosed):
	case errors.Is(err, errNotReading):
		e.Reason, e.Hint = uplink.ReasonTimeout, "the line is dead or very slow"
	case errors.Is(err, errInbox), errors.Is(err, errPacket):
	case refusedByAlert(err):
		return tlsError(err)
	case strings.Contains(err.Error(), "pingresp"): // paho's own, it has no variable for it
		e.Reason, e.Hint = uplink.ReasonTimeout, "the broker no longer answers"
	case closedByPeer(err):
		e.Hint = "the broker closed the connection: restarted, a second box with this id, or a topic that it denies"
	case isTimeout(err):
		e.Reason = uplink.ReasonTimeout
	}
	return e
}
