package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/mqtt/wsconn"
)

// scheme is what a URL's scheme stands for.
type scheme struct {
	port    string
	tls, ws bool
}

func schemeOf(name string) (scheme, bool) {
	switch strings.ToLower(name) {
	case "mqtt":
		return scheme{port: "1883"}, true
	case "mqtts":
		return scheme{port: "8883", tls: true}, true
	case "ws":
		return scheme{port: "80", ws: true}, true
	case "wss":
		return scheme{port: "443", tls: true, ws: true}, true
	}
	return scheme{}, false
}

// open brings up everything below MQTT: TCP, TLS, WebSocket. It returns the TCP
// connection too, because closing that one never waits for the peer.
func (t *Transport) open(ctx context.Context, u *url.URL) (raw, conn net.Conn, lerr *uplink.LinkError) {
	s, ok := schemeOf(u.Scheme)
	if !ok {
		return nil, nil, &uplink.LinkError{Stage: uplink.StageResolve, Err: errServer, Hint: "the scheme must be mqtt, mqtts, ws or wss"}
	}
	port := u.Port()
	if port == "" {
		port = s.port
	}
	var config *tls.Config
	if s.tls { // before dialing: a file that is missing is no reason to bother the broker
		var err error
		if config, err = t.tlsConfig(u.Hostname()); err != nil {
			return nil, nil, &uplink.LinkError{Stage: uplink.StageTLS, Reason: uplink.ReasonCertificate, Err: err,
				Hint: "check the files that uplink.tls names"}
		}
		if port == "443" && !s.ws { // lets MQTT and HTTPS share the port that firewalls leave open
			config.NextProtos = []string{"mqtt"}
		}
	}

	stage, cancel := context.WithTimeout(ctx, t.opts.ConnectTimeout)
	defer cancel()
	raw, err := t.opts.Dial(stage, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, nil, dialError(err)
	}
	conn = raw
	if s.tls {
		stage, cancel := context.WithTimeout(ctx, t.opts.ConnectTimeout)
		defer cancel()
		tc := tls.Client(raw, config)
		if err := tc.HandshakeContext(stage); err != nil {
			raw.Close()
			return nil, nil, tlsError(err)
		}
		conn = tc
	}
	if s.ws {
		stage, cancel := context.WithTimeout(ctx, t.opts.ConnectTimeout)
		defer cancel()
		ws, lerr := upgrade(stage, conn, u)
		if lerr != nil {
			raw.Close()
			return nil, nil, lerr
		}
		conn = ws
	}
	return raw, conn, nil
}

// tlsConfig is made anew for each connection: certificates rotate.
func (t *Transport) tlsConfig(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, Time: t.opts.Now}
	files := t.opts.TLS
	if files.CA != "" {
		pem, err := os.ReadFile(files.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the CA: %s holds no certificate", files.CA)
		}
	}
	if files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// upgrade makes the connection a WebSocket. TLS, if any, is there already, so the
// dialer is told ws in either case.
func upgrade(ctx context.Context, conn net.Conn, u *url.URL) (net.Conn, *uplink.LinkError) {
	target := url.URL{Scheme: "ws", Host: u.Host, Path: u.Path, RawQuery: u.RawQuery}
	if target.Path == "" {
		target.Path = "/mqtt"
	}
	d := websocket.Dialer{
		Subprotocols:   []string{wsconn.Protocol},
		NetDialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	ws, resp, err := d.DialContext(ctx, target.String(), nil)
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			return nil, httpError(resp.StatusCode)
		}
		return nil, connackError(err)
	}
	return wsconn.New(ws, maxPacket+1<<10), nil
}

// httpError is a server that answered the WebSocket's request with something else.
func httpError(status int) *uplink.LinkError {
	e := &uplink.LinkError{Stage: uplink.StageConnack, Err: fmt.Errorf("WebSocket refused with HTTP %d %s", status, http.StatusText(status))}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Reason = uplink.ReasonCredentials
	case status == http.StatusNotFound:
		e.Reason, e.Hint = uplink.ReasonProtocol, "check the path of the server's URL"
	case status >= 500:
		e.Reason, e.Hint = uplink.ReasonBusy, "the proxy in front of the broker answers, the broker does not"
	default:
		e.Reason, e.Hint = uplink.ReasonProtocol, "is this a web server or a captive portal rather than the broker?"
	}
	return e
}
