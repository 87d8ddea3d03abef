package check

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// serveTCP hands each connection to a function, and ends all of them with the test.
func serveTCP(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			all.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close() // most are closed
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// scripted is a server that speaks in lines: it says "S: ..." and expects to be told
// "C: ..."; "TLS" begins TLS. After the last line it reads until the end.
func scripted(t *testing.T, cert *tls.Certificate, script string) string {
	t.Helper()
	return serveTCP(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for line := range strings.Lines(script) {
			who, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch who {
			case "S:":
				if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
					return
				}
			case "C:":
				got, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if got = strings.TrimSpace(got); got != text {
					t.Errorf("the client says %q, want %q", got, text)
					return
				}
			case "TLS":
				secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*cert}})
				if secured.Handshake() != nil {
					return
				}
				conn, in = secured, bufio.NewReader(secured)
			}
		}
		_, _ = io.Copy(io.Discard, in)
	})
}

func TestBanner(t *testing.T) {
	ca, now := newAuthority(t), time.Now()
	good := ca.issue(t, "mail.test", now.Add(-time.Hour), now.Add(time.Hour))
	old := ca.issue(t, "mail.test", now.Add(-2*time.Hour), now.Add(-time.Hour))
	secured := func(protocol string) Banner {
		return Banner{Protocol: protocol, StartTLS: true, ServerName: "mail.test", CA: ca.file}
	}
	const smtp = "S: 220-mail.test ESMTP\nS: 220 ready\nC: EHLO siteprobe\nS: 250-mail.test\nS: 250-SIZE 1\nS: 250 starttls\nC: STARTTLS\nS: 220 go\nTLS\nC: QUIT"
	for _, test := range []struct {
		name   string
		cfg    Banner
		cert   tls.Certificate
		script string
		reason string
		also   []string
	}{
		{"smtp", Banner{Protocol: "smtp", Expect: "^mail.test ESMTP"}, good, "S: 220 mail.test ESMTP\nC: QUIT", "",
			[]string{"probe_failed_due_to_regex=0", "probe_banner_duration_seconds/greeting=*", "probe_ssl_earliest_cert_expiry="}},
		{"smtp, another", Banner{Protocol: "smtp", Expect: "Exchange"}, good, "S: 220 mail.test ESMTP", "greeting does not match", []string{"probe_failed_due_to_regex=1"}},
		{"smtp refuses", Banner{Protocol: "smtp"}, good, "S: 554 go away", "greeting refuses service", nil},
		{"smtp that is ssh", Banner{Protocol: "smtp"}, good, "S: SSH-2.0-OpenSSH_9.2", "greeting of another protocol", nil},
		{"smtp with starttls", secured("smtp"), good, smtp, "", []string{"probe_ssl_earliest_cert_expiry=*", "probe_tls_version_info/TLS 1.3=1", "probe_tls_version_info/TLS 1.2=", "probe_banner_duration_seconds/tls=*"}},
		{"smtp with an old certificate", secured("smtp"), old, smtp, "certificate expired", []string{"probe_ssl_earliest_cert_expiry=*"}},
		{"smtp without starttls", secured("smtp"), good, "S: 220 x\nC: EHLO siteprobe\nS: 250 SIZE", "starttls: not offered", nil},
		{"smtp that wants no tls now", secured("smtp"), good, "S: 220 x\nC: EHLO siteprobe\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no", "starttls: refused", nil},
		{"smtp that says too much", secured("smtp"), good, "S: 220 x\nC: EHLO siteprobe\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nS: 250 and take this", "starttls: data before the handshake", nil},
		{"imap", Banner{Protocol: "imap"}, good, "S: * OK [CAPABILITY IMAP4rev1] ready\nC: z LOGOUT", "", nil},
		{"imap says bye", Banner{Protocol: "imap"}, good, "S: * BYE", "greeting refuses service", nil},
		{"imap with starttls", secured("imap"), good, "S: * OK\nC: a STARTTLS\nS: * CAPABILITY\nS: a OK\nTLS\nC: z LOGOUT", "", []string{"probe_ssl_last_chain_expiry_timestamp_seconds=*"}},
		{"imap without starttls", secured("imap"), good, "S: * OK\nC: a STARTTLS\nS: a BAD", "starttls: not offered", nil},
		{"imaps", Banner{Protocol: "imap", TLS: true, ServerName: "mail.test", CA: ca.file}, good, "TLS\nS: * OK\nC: z LOGOUT", "", []string{"probe_ssl_earliest_cert_expiry=*"}},
		{"pop3 with starttls", secured("pop3"), good, "S: +OK\nC: STLS\nS: +OK\nTLS\nC: QUIT", "", nil},
		{"pop3 refuses", Banner{Protocol: "pop3"}, good, "S: -ERR", "greeting refuses service", nil},
		{"ftp with starttls", secured("ftp"), good, "S: 220 x\nC: AUTH TLS\nS: 234 go\nTLS\nC: QUIT", "", nil},
		{"ssh", Banner{Protocol: "ssh", Expect: "OpenSSH"}, good, "S: Authorised use only\nS: SSH-2.0-OpenSSH_9.2p1 Debian\nC: SSH-2.0-siteprobe", "", nil},
		{"ssh of old", Banner{Protocol: "ssh"}, good, "S: SSH-1.5-x", "ssh: version too old", nil},
		{"ssh that is http", Banner{Protocol: "ssh"}, good, "S: HTTP/1.0 400 Bad Request", "greeting of another protocol", nil},
		{"nothing", Banner{Protocol: "smtp"}, good, "", "timeout: greeting", []string{"probe_banner_duration_seconds/connect=*"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Address = scripted(t, &test.cert, test.script)
			timeout := 10 * time.Second
			if strings.HasPrefix(test.reason, "timeout") {
				timeout = 100 * time.Millisecond
			}
			r := collect(t, mustNew(t, Config{Timeout: timeout, Banner: &test.cfg}, &scope{}, Options{}))
			if test.reason == "" {
				r.up()
			} else {
				r.down(test.reason)
			}
			r.want(test.also...)
		})
	}
}

func TestTLS(t *testing.T) {
	ca, other, now := newAuthority(t), newAuthority(t), time.Now()
	good := ca.issue(t, "web.test", now.Add(-time.Hour), now.Add(36*time.Hour))
	const both = "probe_ssl_chain_valid=1 probe_ssl_name_matches=1"
	for _, test := range []struct {
		name   string
		cfg    TLS
		cert   tls.Certificate
		most   uint16
		reason string
		also   string
	}{
		{"good", TLS{}, good, 0, "", both + " probe_ssl_earliest_cert_expiry=* probe_ssl_last_chain_expiry_timestamp_seconds=*"},
		{"days enough", TLS{MinDays: 1}, good, 0, "", both},
		{"too few days", TLS{MinDays: 2}, good, 0, "certificate expires soon", both},
		{"expired", TLS{}, ca.issue(t, "web.test", now.Add(-2*time.Hour), now.Add(-time.Hour)), 0, "certificate expired",
			"probe_ssl_chain_valid=0 probe_ssl_name_matches=1 probe_ssl_earliest_cert_expiry=* probe_ssl_last_chain_expiry_timestamp_seconds="},
		{"not yet", TLS{}, ca.issue(t, "web.test", now.Add(time.Hour), now.Add(2*time.Hour)), 0, "certificate not yet valid", "probe_ssl_chain_valid=0"},
		{"another authority", TLS{CA: other.file}, good, 0, "certificate of an unknown authority", "probe_ssl_chain_valid=0 probe_ssl_name_matches=1"},
		{"another name", TLS{Name: "www.test"}, good, 0, "certificate of another name", "probe_ssl_chain_valid=1 probe_ssl_name_matches=0"},
		{"too old", TLS{}, good, tls.VersionTLS11, "tls: version too old", both},
		{"old is fine", TLS{MinVersion: "1.0"}, good, tls.VersionTLS11, "", both},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.cfg.CA == "" {
				test.cfg.CA = ca.file
			}
			test.cfg.ServerName = "web.test"
			test.cfg.Address = serveTCP(t, func(conn net.Conn) {
				s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{test.cert}, MinVersion: tls.VersionTLS10, MaxVersion: test.most})
				_, _ = io.Copy(io.Discard, s) // which shakes hands first
			})
			r := collect(t, mustNew(t, Config{TLS: &test.cfg}, &scope{}, Options{}))
			if test.reason == "" {
				r.up()
			} else {
				r.down(test.reason)
			}
			r.want(strings.Fields(test.also)...)
		})
	}
	cert := ca.issue(t, "db.test", now.Add(-time.Hour), now.Add(time.Hour))
	postgres := serveTCP(t, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "S")
		_, _ = io.Copy(io.Discard, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}}))
	})
	r := collect(t, mustNew(t, Config{TLS: &TLS{Address: postgres, ServerName: "db.test", CA: ca.file, StartTLS: "postgres"}}, &scope{}, Options{}))
	r.up()
	r.want("probe_tls_duration_seconds/starttls=*")
	smtp := scripted(t, &cert, "S: 220 x\nC: EHLO siteprobe\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nTLS")
	collect(t, mustNew(t, Config{TLS: &TLS{Address: smtp, ServerName: "db.test", CA: ca.file, StartTLS: "smtp"}}, &scope{}, Options{})).up()
	if err := refuse(t, mustNew(t, Config{TLS: &TLS{Address: smtp, CA: "/nowhere"}}, &scope{}, Options{})); errors.As(err, new(*down)) {
		t.Errorf("a CA file that is not there: %v", err)
	}
}
