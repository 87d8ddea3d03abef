package check

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// directory is an LDAP server of one entry. It uses the long form of lengths, as Active
// Directory does.
type directory struct {
	cert     *tls.Certificate
	bind     byte // result of a bind
	starttls byte
	entries  int
}

func long(tag byte, contents ...[]byte) []byte {
	c := bytes.Join(contents, nil)
	return append([]byte{tag, 0x84, 0, byte(len(c) >> 16), byte(len(c) >> 8), byte(len(c))}, c...)
}

func (d directory) serve(t *testing.T) string {
	result := func(code byte) []byte {
		return bytes.Join([][]byte{berSmall(berEnumerated, code), berText(berOctets, ""), berText(berOctets, "")}, nil)
	}
	return serveTCP(t, func(conn net.Conn) {
		for {
			var head [2]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				return
			}
			if head[1] > 0x7f {
				t.Errorf("a request of %x", head)
				return
			}
			body := make([]byte, head[1])
			if _, err := io.ReadFull(conn, body); err != nil {
				return
			}
			id, op := body[2], body[3]
			say := func(tag byte, contents ...[]byte) {
				_, _ = conn.Write(long(berSequence, berSmall(berInteger, id), long(tag, contents...)))
			}
			switch op {
			case ldapBind:
				say(ldapBindDone, result(d.bind))
			case ldapSearch:
				for range d.entries {
					say(ldapEntry, berText(berOctets, ""), long(berSequence,
						long(berSequence, berText(berOctets, "objectClass"), long(berSet, berText(berOctets, "top"))),
						long(berSequence, berText(berOctets, "namingContexts"), long(berSet, berText(berOctets, "DC=acme,DC=example"), berText(berOctets, "DC=x")))))
				}
				say(ldapSearchDone, result(0))
			case ldapExtended:
				say(ldapExtendedDone, result(d.starttls))
				if d.starttls == 0 {
					conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*d.cert}})
				}
			case ldapUnbind:
				return
			}
		}
	})
}

func TestLDAP(t *testing.T) {
	ca, now := newAuthority(t), time.Now()
	cert := ca.issue(t, "dc1.test", now.Add(-time.Hour), now.Add(time.Hour))
	secured := LDAP{StartTLS: true, ServerName: "dc1.test", CA: ca.file, BindDN: "cn=probe", Password: "hush"}
	for _, test := range []struct {
		name   string
		cfg    LDAP
		server directory
		reason string
		also   []string
	}{
		{"anonymous", LDAP{Base: "dc=acme,dc=example"}, directory{entries: 1}, "", []string{"probe_ldap_result_code=0", "probe_ldap_duration_seconds/search=*", "probe_ldap_duration_seconds/bind=*"}},
		{"another base", LDAP{Base: "dc=other"}, directory{entries: 1}, "ldap: expected naming context is missing", nil},
		{"no entry", LDAP{}, directory{}, "ldap: no root DSE", nil},
		{"wrong password", secured, directory{cert: &cert, bind: 49}, "ldap: invalid credentials", []string{"probe_ldap_result_code=49", "probe_ssl_earliest_cert_expiry=*"}},
		{"password", secured, directory{cert: &cert, entries: 1}, "", []string{"probe_ldap_duration_seconds/tls=*"}},
		{"no anonymous binds", LDAP{}, directory{bind: 8}, "ldap: it wants TLS", nil},
		{"odd result", LDAP{}, directory{bind: 80}, "ldap: result 80", nil},
		{"no starttls", secured, directory{starttls: 2}, "starttls: not offered", nil},
		{"starttls refused", secured, directory{starttls: 52}, "starttls: refused", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Address = test.server.serve(t)
			r := collect(t, mustNew(t, Config{LDAP: &test.cfg}, &scope{}, Options{}))
			if test.reason == "" {
				r.up()
			} else {
				r.down(test.reason)
			}
			r.want(test.also...)
		})
	}
}

// What a server sends is read within its bounds, whatever it says of lengths.
func FuzzLDAPAnswer(f *testing.F) {
	f.Add(long(berSequence, berSmall(berInteger, 3), long(ldapEntry, berText(berOctets, ""), long(berSequence))))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := berReader(b)
		for {
			tag, value, ok := r.next()
			if !ok {
				break
			}
			_, _ = ldapResult(tag, value, ldapSearchDone)
			_ = namingContexts(value)
		}
	})
}
