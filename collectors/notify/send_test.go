package notify

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/scope"
)

// canary is the secret of all tests: it may be nowhere but on its way.
const canary = "canary-5e1d-Ünder"

// certificate makes one that signed itself, and the file with it.
func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// mailServer is a mail server that keeps what it is given.
type mailServer struct {
	mu    sync.Mutex
	mails []string
	to    [][]string
	users []string
	only  string // the one recipient that is taken; empty: all
	full  bool   // what was sent is refused
}

func (s *mailServer) NewSession(*smtp.Conn) (smtp.Session, error) { return &mailSession{s: s}, nil }

type mailSession struct {
	s    *mailServer
	user string
	to   []string
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != canary {
			// As some servers do, it tells what it was given.
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no, " + password}
		}
		s.user = user
		return nil
	}), nil
}

func (s *mailSession) Reset()                               {}
func (s *mailSession) Logout() error                        { return nil }
func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.s.only != "" && to != s.s.only {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "relay access denied " + canary}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.s.full {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "no " + canary}
	}
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	s.s.mails, s.s.to, s.s.users = append(s.s.mails, string(b)), append(s.s.to, s.to), append(s.s.users, s.user)
	return nil
}

func (s *mailServer) start(t *testing.T, cert *tls.Certificate, implicit bool) string {
	t.Helper()
	l := listen(t)
	server := smtp.NewServer(s)
	server.Domain, server.AllowInsecureAuth, server.ErrorLog = "mx", false, quiet{}
	if cert != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	address := l.Addr().String()
	if implicit {
		l = tls.NewListener(l, server.TLSConfig)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return address
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// try sends one message by a notice and returns the error.
func try(t *testing.T, c Config, m *message) error {
	t.Helper()
	return tryWithin(t, c, m, 20*time.Second)
}

func tryWithin(t *testing.T, c Config, m *message, within time.Duration) error {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := newSender(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	err = s.send(ctx, m)
	if err != nil {
		for _, secret := range []string{canary, "canary", "Y2FuYXJ5"} { // as it is, in part, in base64
			if strings.Contains(err.Error()+HintOf(err), secret) {
				t.Errorf("the error tells the secret: %v", err)
			}
		}
		if strings.ContainsFunc(err.Error(), control) || len(err.Error()) > 300 {
			t.Errorf("the error is not for a log: %q", err)
		}
	}
	return err
}

func TestMailIsSent(t *testing.T) {
	cert, ca := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	m := messageOf(t, "de", item{What: whatOpen, Note: switchDown()})
	for name, c := range map[string]struct {
		cert     bool
		implicit bool
		smtp     SMTP
	}{
		"plain":    {smtp: SMTP{Security: Plain}},
		"starttls": {cert: true, smtp: SMTP{TLS: TLS{CA: ca}, Username: "box", Password: canary}},
		"tls":      {cert: true, implicit: true, smtp: SMTP{Security: UseTLS, TLS: TLS{CA: ca}, Username: "box", Password: canary}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &mailServer{}
			var with *tls.Certificate
			if c.cert {
				with = &cert
			}
			c.smtp.Server, c.smtp.To = s.start(t, with, c.implicit), []string{"it@acme.example", "boss@acme.example"}
			if err := try(t, Config{Name: "x", SMTP: &c.smtp}, m); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.mails) != 1 || len(s.to[0]) != 2 || s.users[0] != c.smtp.Username {
				t.Fatalf("%d mails to %v by %q", len(s.mails), s.to, s.users)
			}
			if !strings.Contains(s.mails[0], "Subject: =?utf-8?q?[acme-berlin]_Ger=C3=A4t_antwortet_nicht") {
				t.Error(s.mails[0])
			}
		})
	}
}

func TestMailIsNotSent(t *testing.T) {
	good, ca := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	other, otherCA := certificate(t, "mx.acme.example", time.Now().Add(time.Hour))
	old, oldCA := certificate(t, "127.0.0.1", time.Now().Add(-time.Hour))
	to := []string{"it@acme.example", "boss@acme.example"}
	for name, c := range map[string]struct {
		server   *mailServer
		cert     *tls.Certificate
		implicit bool
		smtp     SMTP
		want     string
		hint     string
		refused  bool
		sent     bool
	}{
		"a wrong password":   {cert: &good, smtp: SMTP{TLS: TLS{CA: ca}, Username: "box", Password: "x" + canary}, want: "logging in: the server answers 535 5.7.8", hint: "does not take"},
		"no STARTTLS":        {smtp: SMTP{}, want: "does not offer STARTTLS", hint: "security"},
		"no login":           {smtp: SMTP{Username: "box", Password: canary, Security: UseTLS, TLS: TLS{CA: ca}}, cert: &good, implicit: true, server: &mailServer{only: "nobody"}, want: "naming the recipient boss@acme.example: the server answers 550 5.7.1", hint: "relay"},
		"some recipients":    {smtp: SMTP{Security: Plain}, server: &mailServer{only: to[0]}, want: "naming the recipient boss@acme.example", sent: true},
		"a refused mail":     {smtp: SMTP{Security: Plain}, server: &mailServer{full: true}, want: "handing over the mail: the server answers 554", refused: true},
		"an unknown CA":      {cert: &good, smtp: SMTP{}, want: "signed by somebody unknown", hint: "tls.ca"},
		"another name":       {cert: &other, smtp: SMTP{TLS: TLS{CA: otherCA}}, want: "of another name", hint: "tls.name"},
		"an old certificate": {cert: &old, smtp: SMTP{TLS: TLS{CA: oldCA}}, want: "not valid at this time", hint: "clock"},
		"TLS where none is":  {smtp: SMTP{Security: UseTLS}, want: "does not speak TLS", hint: "port"},
		"no CA file":         {cert: &good, smtp: SMTP{TLS: TLS{CA: "/nonexistent/ca.pem"}}, want: "reading tls.ca"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.server == nil {
				c.server = &mailServer{}
			}
			c.smtp.Server, c.smtp.To = c.server.start(t, c.cert, c.implicit), to
			err := try(t, Config{Name: "x", SMTP: &c.smtp}, messageOf(t, "en"))
			var f *Failure
			if !errors.As(err, &f) || !strings.Contains(err.Error(), c.want) || !strings.Contains(f.Hint, c.hint) || f.Refused != c.refused || f.Sent != c.sent {
				t.Errorf("%v (%+v), want %q", err, f, c.want)
			}
		})
	}
	l := listen(t)
	address := l.Addr().String()
	_ = l.Close()
	if err := try(t, Config{Name: "x", SMTP: &SMTP{Server: address, To: to}}, messageOf(t, "en")); !strings.Contains(HintOf(err), "nothing listens") {
		t.Errorf("%v", err)
	}
	if err := try(t, Config{Name: "x", SMTP: &SMTP{Server: "mx.acme.example", To: to, TLS: TLS{Name: "mx"}}}, messageOf(t, "en")); err == nil {
		t.Error("a name that is not there")
	}
}

// hostile plays a server that says whatever it likes.
func hostile(t *testing.T, play func(net.Conn)) string {
	l := listen(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				play(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// forEver writes a text until the other side is gone.
func forEver(text string, every time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		tick := time.NewTicker(max(every, time.Nanosecond))
		defer tick.Stop()
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
			if every > 0 {
				<-tick.C
			}
		}
	}
}

// Whatever a target does, it ends in time, within bounds, and with an error that says
// nothing but what is known.
func TestHostileTargets(t *testing.T) {
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	echo := func(c net.Conn) { _, _ = io.Copy(c, c) }
	for name, play := range map[string]func(net.Conn){
		"hangs":            hang,
		"hangs up":         func(net.Conn) {},
		"drips":            forEver("2", 5*time.Millisecond),
		"drips lines":      forEver("220-x\r\n", 5*time.Millisecond),
		"floods":           forEver(strings.Repeat("x", 4096), 0),
		"floods lines":     forEver("220-"+strings.Repeat("x", 500)+"\r\n", 0),
		"echoes":           echo,
		"speaks controls":  forEver("220 \x1b[2J\x00 "+canary+"\r\n500 \x07"+canary+"\r\n", time.Millisecond),
		"refuses itself":   forEver("554 go away "+canary+"\r\n", time.Millisecond),
		"a wild HTTP":      forEver("HTTP/1.1 200 OK\r\nA: "+strings.Repeat(canary, 50)+"\r\n", 0),
		"an endless body":  func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 500 X\r\n\r\n"); forEver(canary, 0)(c) },
		"a wild status":    forEver("HTTP/1.1 "+canary+"\r\n\r\n", time.Millisecond),
		"promises TLS":     forEver("220 x\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n"+canary+"\r\n", time.Millisecond),
		"a malformed code": forEver("2xx "+canary+"\r\n", time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := hostile(t, play)
			for _, c := range []Config{
				{Name: "plain", SMTP: &SMTP{Server: address, To: []string{"a@b.example"}, Security: Plain}},
				{Name: "starttls", SMTP: &SMTP{Server: address, To: []string{"a@b.example"}, Username: "u", Password: canary}},
				{Name: "tls", SMTP: &SMTP{Server: address, To: []string{"a@b.example"}, Security: UseTLS, Username: "u", Password: canary}},
				{Name: "syslog", Syslog: &Syslog{Server: address, Transport: UseTLS}},
				{Name: "http", Webhook: &Webhook{URL: "http://" + address + "/" + canary, Secret: canary}},
				{Name: "https", Webhook: &Webhook{URL: "https://" + address + "/" + canary, Secret: canary}},
			} {
				begun := time.Now()
				err := tryWithin(t, c, messageOf(t, "en"), 400*time.Millisecond)
				if err == nil {
					t.Errorf("%s: it was taken for a success", c.Name)
				}
				if d := time.Since(begun); d > 5*time.Second {
					t.Errorf("%s: it took %v", c.Name, d)
				}
			}
		})
	}
}

// What a target may be is the site file's and the scope's word.
func TestWhereTo(t *testing.T) {
	site := scope.Config{Managed: []string{"192.168.10.0/24"}, Excluded: []string{"192.168.10.50"}, External: []string{"203.0.113.7"}}
	mail := func(s string) Config { return Config{SMTP: &SMTP{Server: s, To: []string{"a@b.example"}}} }
	hook := func(s string) Config { return Config{Webhook: &Webhook{URL: "https://" + s + "/", Secret: canary}} }
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{mail("192.168.10.20"), ""}, {mail("10.1.2.3:2525"), ""}, {mail("198.51.100.1"), ""}, {mail("[2001:db8::1]:25"), ""}, {mail("127.0.0.1"), ""},
		{mail("192.168.10.50"), "under scope.excluded"}, {mail("0.0.0.0"), "cannot be"}, {mail("224.0.0.1"), "cannot be"}, {mail("mx.acme.example"), ""},
		{hook("192.168.10.20"), ""}, {hook("10.1.2.3"), ""}, {hook("203.0.113.7"), ""}, {hook("198.51.100.1"), "stays at the site"}, {hook("192.168.10.50"), "excluded"},
	} {
		if err := c.cfg.Reachable(site); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.cfg.What(), err, c.want)
		}
	}
}

// A secret is in no way of printing a Config.
func TestConfigHidesSecrets(t *testing.T) {
	c := Config{Name: "x", SMTP: &SMTP{Password: collectors.Secret(canary)}, Webhook: &Webhook{Secret: collectors.Secret(canary)}}
	var b bytes.Buffer
	for _, x := range []any{c, *c.SMTP, *c.Webhook} {
		fmt.Fprintf(&b, "%v %+v %#v", x, x, x)
	}
	if strings.Contains(b.String(), "canary") {
		t.Error(b.String())
	}
}
