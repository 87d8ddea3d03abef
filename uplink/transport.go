package uplink

import (
	"context"
	"strings"
)

// MaxMessage is the largest payload that may be published: a link that stalls is
// noticed by a write that times out, and a small message bounds how long that
// takes.
const MaxMessage = 64 << 10

// Message is one MQTT message, always QoS 1.
type Message struct {
	Topic   string
	Payload []byte
	Retain  bool
}

// Hello is what a connection is opened with.
type Hello struct {
	ClientID string
	Will     *Message // published by the broker when the connection breaks
}

// A Transport opens connections. The MQTT one is uplink/mqtt.
type Transport interface {
	// Dial opens one connection to server (a URL of Config.Servers). Its errors
	// are a *LinkError.
	Dial(ctx context.Context, server string, hello Hello) (Conn, error)
}

// A Conn is one connection: it is never reconnected, and what was in flight when
// it ends has failed.
type Conn interface {
	// Subscribe asks for the topics and waits for the broker's SUBACK; a topic
	// that is refused is an error. The handler is called from one goroutine at a
	// time and must not block: it may not publish and wait.
	Subscribe(ctx context.Context, topics []string, handler func(Message)) error
	// Publish hands one message to the connection and returns at once or, when
	// the peer does not read, after the write timeout. A payload over
	// [MaxMessage] is an error of the token.
	Publish(Message) Token
	// Done is closed when the connection has ended, Err then says why.
	Done() <-chan struct{}
	Err() error
	// Close ends the connection. With a clean goodbye the broker keeps the will
	// to itself. Every token is done when it returns.
	Close(goodbye bool)
}

// A Token follows one published message.
type Token interface {
	Done() <-chan struct{} // closed on PUBACK or failure
	Err() error            // nil after Done means that the broker has sent the PUBACK
}

// Stage tells how far a connection came.
type Stage string

// The stages of a connection, in their order.
const (
	StageResolve   Stage = "resolve"
	StageDial      Stage = "dial"
	StageTLS       Stage = "tls"
	StageConnack   Stage = "connack"
	StageSubscribe Stage = "subscribe"
	StageSession   Stage = "session"
)

// Reason is what the other side said, where it said something.
type Reason string

// The reasons that change what the sender does next.
const (
	ReasonNone        Reason = ""
	ReasonCredentials Reason = "credentials refused" // slow backoff
	ReasonBusy        Reason = "server unavailable"
	ReasonClientID    Reason = "client id refused"
	ReasonProtocol    Reason = "protocol refused"
	ReasonDenied      Reason = "topic refused" // the ACL denies a subscription
	ReasonCertificate Reason = "certificate not valid"
	ReasonTimeout     Reason = "no answer in time"
)

// LinkError is why a connection could not be opened or has ended.
type LinkError struct {
	Stage  Stage
	Reason Reason
	Hint   string // what a person can do about it; may be empty
	Err    error  // holds no secret
}

func (e *LinkError) Error() string {
	s := string(e.Stage)
	if e.Reason != ReasonNone {
		s += ": " + string(e.Reason)
	}
	if e.Err != nil {
		s += ": " + strings.TrimPrefix(e.Err.Error(), string(e.Stage)+" ") // package net says "dial", too
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *LinkError) Unwrap() error { return e.Err }
