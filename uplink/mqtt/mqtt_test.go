package mqtt_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/mqtt"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
)

func TestMosquitto(t *testing.T) {
	uplinktest.TestTransport(t, func(t *testing.T) (uplink.Transport, string) {
		// Enough in flight that mosquitto's queue for a subscriber does not overflow.
		m := uplinktest.StartMosquitto(t, "max_queued_messages 0", "max_inflight_messages 0")
		return mqtt.New(mqtt.Options{}), m.URL("mqtt")
	})
}

func TestMosquittoTLS(t *testing.T) {
	uplinktest.TestTransport(t, func(t *testing.T) (uplink.Transport, string) {
		pki := uplinktest.NewPKI(t)
		lines := uplinktest.TLSLines(pki, time.Time{}, true)
		m := uplinktest.StartMosquitto(t, append(lines, "max_queued_messages 0", "max_inflight_messages 0")...)
		return mqtt.New(mqtt.Options{TLS: pki.TLS("t/s")}), m.URL("mqtts")
	})
}

// wantLinkError fails the test unless err is a LinkError with this stage and
// reason whose text has the hint.
func wantLinkError(t *testing.T, err error, stage uplink.Stage, reason uplink.Reason, hint string) {
	t.Helper()
	e, ok := errors.AsType[*uplink.LinkError](err)
	switch {
	case !ok:
		t.Errorf("error %v, want a *LinkError", err)
	case e.Stage != stage || e.Reason != reason || !strings.Contains(e.Hint, hint):
		t.Errorf("stage %q, reason %q, hint %q (%v)\nwant stage %q, reason %q, hint with %q", e.Stage, e.Reason, e.Hint, e.Err, stage, reason, hint)
	}
}

func dial(t *testing.T, o mqtt.Options, server string) (uplink.Conn, error) {
	t.Helper()
	c, err := mqtt.New(o).Dial(t.Context(), server, uplink.Hello{ClientID: "t/s"})
	if err == nil {
		t.Cleanup(func() { c.Close(false) })
	}
	return c, err
}

func mustDial(t *testing.T, o mqtt.Options, server string) uplink.Conn {
	t.Helper()
	c, err := dial(t, o, server)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificates(t *testing.T) {
	pki, other := uplinktest.NewPKI(t), uplinktest.NewPKI(t)
	past := time.Now().Add(-time.Hour)
	good := uplinktest.StartMosquitto(t, uplinktest.TLSLines(pki, time.Time{}, true)...).URL("mqtts")
	expired := uplinktest.StartMosquitto(t, uplinktest.TLSLines(pki, past, false)...).URL("mqtts")
	plain := uplinktest.StartMosquitto(t)

	mine := pki.TLS("t/s")
	foreign := other.TLS("t/s")
	foreign.CA = pki.CA
	old := uplink.TLS{CA: pki.CA}
	old.Cert, old.Key = pki.Client("t/s", past)
	for name, c := range map[string]struct {
		server string
		tls    uplink.TLS
		now    func() time.Time
		stage  uplink.Stage
		reason uplink.Reason
		hint   string
	}{
		"another CA":            {server: good, tls: uplink.TLS{CA: other.CA}, stage: "tls", reason: uplink.ReasonCertificate, hint: "not signed by the configured CA"},
		"system's roots":        {server: good, stage: "tls", reason: uplink.ReasonCertificate, hint: "not signed by the configured CA"},
		"expired":               {server: expired, tls: mine, stage: "tls", reason: uplink.ReasonCertificate, hint: "has expired"},
		"clock a year behind":   {server: good, tls: mine, now: func() time.Time { return time.Now().AddDate(-1, 0, 0) }, stage: "tls", reason: uplink.ReasonCertificate, hint: "clock right?"},
		"another name":          {server: strings.Replace(good, "127.0.0.1", "127.0.0.2", 1), tls: mine, stage: "dial", hint: "port closed"},
		"no client certificate": {server: good, tls: uplink.TLS{CA: pki.CA}, stage: "tls", reason: uplink.ReasonCertificate, hint: "wants a client certificate"},
		"foreign client":        {server: good, tls: foreign, stage: "tls", reason: uplink.ReasonCertificate, hint: "does not accept this box's certificate"},
		"expired client":        {server: good, tls: old, stage: "tls", reason: uplink.ReasonCertificate, hint: "this box's certificate has expired"},
		"no such file":          {server: good, tls: uplink.TLS{CA: "missing.pem"}, stage: "tls", reason: uplink.ReasonCertificate, hint: "uplink.tls"},
		"TLS to a plain port":   {server: plain.URL("mqtts"), tls: mine, stage: "tls", hint: "closed during TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dial(t, mqtt.Options{TLS: c.tls, Now: c.now}, c.server)
			wantLinkError(t, err, c.stage, c.reason, c.hint)
		})
	}
	t.Run("rotated", func(t *testing.T) {
		files := pki.TLS("")
		files.Cert, files.Key = old.Cert, old.Key
		transport := mqtt.New(mqtt.Options{TLS: files})
		if _, err := transport.Dial(t.Context(), good, uplink.Hello{ClientID: "t/s"}); err == nil {
			t.Fatal("connected with an expired certificate")
		}
		copyFile(t, mine.Cert, files.Cert)
		copyFile(t, mine.Key, files.Key)
		c, err := transport.Dial(t.Context(), good, uplink.Hello{ClientID: "t/s"})
		if err != nil {
			t.Fatalf("with a new certificate in the same files: %v", err)
		}
		c.Close(true)
	})
}

func TestDialErrors(t *testing.T) {
	resolver := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: err}
		}
	}
	silent := listen(t)
	closed := listen(t)
	closed.Close()
	for name, c := range map[string]struct {
		server string
		o      mqtt.Options
		stage  uplink.Stage
		reason uplink.Reason
		hint   string
	}{
		"no such name":   {"mqtt://nowhere.invalid", mqtt.Options{Dial: resolver(&net.DNSError{IsNotFound: true})}, "resolve", "", "does not exist"},
		"DNS is silent":  {"mqtt://nowhere.invalid", mqtt.Options{Dial: resolver(&net.DNSError{IsTimeout: true})}, "resolve", uplink.ReasonTimeout, "DNS"},
		"port closed":    {"mqtt://" + closed.Addr().String(), mqtt.Options{}, "dial", "", "port closed"},
		"silent to MQTT": {"mqtt://" + silent.Addr().String(), mqtt.Options{ConnectTimeout: 50 * time.Millisecond}, "connack", uplink.ReasonTimeout, "nothing answers MQTT"},
		"silent to TLS":  {"mqtts://" + silent.Addr().String(), mqtt.Options{ConnectTimeout: 50 * time.Millisecond}, "tls", uplink.ReasonTimeout, "TLS is not answered"},
		"silent to HTTP": {"ws://" + silent.Addr().String(), mqtt.Options{ConnectTimeout: 50 * time.Millisecond}, "connack", uplink.ReasonTimeout, ""},
		"no server":      {"mqtt://", mqtt.Options{}, "resolve", "", "mqtts://"},
		"scheme":         {"tcp://localhost", mqtt.Options{}, "resolve", "", "scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dial(t, c.o, c.server)
			wantLinkError(t, err, c.stage, c.reason, c.hint)
		})
	}
	t.Run("secrets", func(t *testing.T) {
		_, err := dial(t, mqtt.Options{Username: "u", Password: "hunter2"}, "mqtt://u:hunter2@"+closed.Addr().String())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	})
	t.Run("canceled while waiting", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			c, err := silent.Accept()
			if err == nil {
				defer c.Close()
				c.Read(make([]byte, 1)) // the CONNECT has come
			}
			cancel()
		}()
		start := time.Now()
		_, err := mqtt.New(mqtt.Options{}).Dial(ctx, "mqtt://"+silent.Addr().String(), uplink.Hello{ClientID: "x"})
		if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A web server, a proxy or a captive portal in place of the broker.
func TestWebSocketRefused(t *testing.T) {
	for status, reason := range map[int]uplink.Reason{
		200: uplink.ReasonProtocol, 302: uplink.ReasonProtocol, 404: uplink.ReasonProtocol,
		401: uplink.ReasonCredentials, 403: uplink.ReasonCredentials, 503: uplink.ReasonBusy,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/mqtt" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.WriteHeader(status)
		}))
		_, err := dial(t, mqtt.Options{}, strings.Replace(s.URL, "http", "ws", 1))
		wantLinkError(t, err, "connack", reason, "")
		s.Close()
	}
}

func TestConnackCodes(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	p := uplinktest.NewProxy(t, m.Addr())
	for code, reason := range map[byte]uplink.Reason{
		1: uplink.ReasonProtocol, 2: uplink.ReasonClientID, 3: uplink.ReasonBusy,
		4: uplink.ReasonCredentials, 5: uplink.ReasonCredentials, 6: uplink.ReasonProtocol, 0x87: uplink.ReasonProtocol,
	} {
		p.SetRule(uplinktest.RefuseConnack(code))
		_, err := dial(t, mqtt.Options{}, p.URL())
		wantLinkError(t, err, "connack", reason, "")
	}
}

func TestPassword(t *testing.T) {
	m := uplinktest.StartMosquitto(t, "allow_anonymous false")
	_, err := dial(t, mqtt.Options{Username: "u", Password: "hunter2"}, m.URL("mqtt"))
	wantLinkError(t, err, "connack", uplink.ReasonCredentials, "TENANT/SITE")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error %q gives the password away", err)
	}
}

func TestSubscribeErrors(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	p := uplinktest.NewProxy(t, m.Addr())
	c := mustDial(t, mqtt.Options{ConnectTimeout: 200 * time.Millisecond}, p.URL())
	nothing := func(uplink.Message) {}

	wantLinkError(t, c.Subscribe(t.Context(), []string{"a/#/b"}, nothing), "subscribe", "", "")
	p.SetRule(uplinktest.DenySubscriptions)
	err := c.Subscribe(t.Context(), []string{"sp/v1/t/s/a"}, nothing)
	wantLinkError(t, err, "subscribe", uplink.ReasonDenied, "access list")
	if !strings.Contains(err.Error(), "sp/v1/t/s/a") {
		t.Errorf("%q does not name the topic", err)
	}
	if c.Err() != nil {
		t.Errorf("a subscription denied has ended the connection: %v", c.Err())
	}
	p.SetRule(uplinktest.Silence)
	wantLinkError(t, c.Subscribe(t.Context(), []string{"sp/v1/t/s/a"}, nothing), "subscribe", uplink.ReasonTimeout, "")
	uplinktest.Await(t, c.Done(), "the end of a connection without a SUBACK")
}
