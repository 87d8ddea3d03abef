package check

import (
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// The settings of the kinds beyond the first four: what is valid, and the exact words
// about what is not.
func TestKindsValidate(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{TLS: &TLS{Address: "web:443", Name: "www.acme.example", MinDays: 14, MinVersion: "1.3"}}, ""},
		{Config{TLS: &TLS{Address: "mail:25", StartTLS: "smtp"}}, ""},
		{Config{TLS: &TLS{Address: "web"}}, `tls: address: "web" is not host:port`},
		{Config{TLS: &TLS{Address: "web:443", ServerName: "a b"}}, `tls: server_name: "a b" is neither a host name nor an IP address`},
		{Config{TLS: &TLS{Address: "web:443", MinDays: -1}}, "tls: min_days: -1 is not between 0 and 3650"},
		{Config{TLS: &TLS{Address: "web:443", MinVersion: "1.4"}}, `tls: min_version: "1.4" is none of 1.0, 1.1, 1.2, 1.3`},
		{Config{TLS: &TLS{Address: "web:443", StartTLS: "ssh"}}, `tls: starttls: "ssh" is none of ftp, imap, ldap, pop3, postgres, smtp`},

		{Config{NTP: &NTP{Server: "192.0.2.1", MaxOffset: time.Second}}, ""},
		{Config{NTP: &NTP{}}, "ntp: server: is missing; name or IP address of the time server"},
		{Config{NTP: &NTP{Server: "a b"}}, `ntp: server: "a b" is neither a host name nor an IP address`},
		{Config{NTP: &NTP{Server: "a", MaxOffset: 1}}, "ntp: max_offset: must be at least 1ms"},

		{Config{Banner: &Banner{Protocol: "imap", Address: "mail:993", TLS: true}}, ""},
		{Config{Banner: &Banner{Protocol: "irc", Address: "mail:993"}}, `banner: protocol: "irc" is none of ftp, imap, pop3, smtp, ssh`},
		{Config{Banner: &Banner{Protocol: "ssh", Address: "gw:22", StartTLS: true}}, "banner: starttls: there is none in ssh"},
		{Config{Banner: &Banner{Protocol: "smtp", Address: "mail:25", StartTLS: true, TLS: true}}, "banner: starttls: has no use together with tls"},
		{Config{Banner: &Banner{Protocol: "smtp", Address: "mail:25", CA: "/x"}}, "banner: ca and server_name have no use without tls or starttls"},
		{Config{Banner: &Banner{Protocol: "smtp", Address: "mail:25", Expect: "("}}, "banner: expect: not a regular expression: error parsing regexp: missing closing ): `(`"},

		{Config{LDAP: &LDAP{Address: "dc1"}}, ""},
		{Config{LDAP: &LDAP{Address: "dc1:636", TLS: true, BindDN: "cn=probe", Password: "hush"}}, ""},
		{Config{LDAP: &LDAP{}}, "ldap: address: is missing; name or IP address of the directory"},
		{Config{LDAP: &LDAP{Address: "dc1", BindDN: "cn=probe"}}, "ldap: bind_dn: goes together with a password"},
		{Config{LDAP: &LDAP{Address: "dc1", BindDN: "cn=probe", Password: "hush"}}, "ldap: password: would be sent in the clear; add starttls: true or tls: true"},

		{Config{Prometheus: &Prometheus{URL: "http://db1:9100/metrics", Metrics: []Pick{{Name: "node_load1"}}}}, ""},
		{Config{Prometheus: &Prometheus{URL: "db1:9100", Metrics: []Pick{{Name: "x"}}}}, "prometheus: url: must be like https://intranet.example.com/health"},
		{Config{Prometheus: &Prometheus{URL: "http://db1:9100/metrics"}}, "prometheus: metrics: 1 to 50 are needed: what is to be taken, such as {name: node_load1}"},
		{Config{Prometheus: &Prometheus{URL: "http://db1:9100/", Metrics: []Pick{{Name: "("}}}}, "prometheus: metrics: name: not a regular expression: error parsing regexp: missing closing ): `^(?:()$`"},

		{Config{Systemd: &Systemd{Units: []string{"chrony.service", "backup@nas.timer"}}}, ""},
		{Config{Systemd: &Systemd{}}, "systemd: units: 1 to 64 are needed"},
		{Config{Systemd: &Systemd{Units: []string{"chrony"}}}, `systemd: units: "chrony" is not a unit such as chrony.service`},
		{Config{Systemd: &Systemd{Units: []string{"a.timer", "a.timer"}}}, `systemd: units: "a.timer" is there twice`},

		{Config{Path: &Path{Address: "gw"}}, ""},
		{Config{Path: &Path{Address: "gw", Count: 1}}, "path: count: 1 is not between 2 and 100"},
		{Config{Path: &Path{Address: "gw", Over: time.Hour}}, "path: over: must be at most 1m"},
		{Config{Path: &Path{Address: "gw", Over: 100 * time.Millisecond}}, "path: over: must leave at least 10ms between two requests"},

		{Config{Service: "zoom"}, ""},
		{Config{Service: "zum"}, `service: "zum" is none of ` + names(services())},
	} {
		test.cfg.Name = "c"
		got := ""
		if err := test.cfg.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		if _, err := New(test.cfg, &scope{}, Options{}); (err == nil) != (test.want == "") {
			t.Errorf("New: %v, Validate: %q", err, test.want)
		}
	}
}

// Each kind's schema keeps to the bounds, and says where its check goes first.
func TestKindsHaveSchemasAndTargets(t *testing.T) {
	for target, cfg := range map[string]Config{
		"mail:25":           {Banner: &Banner{Protocol: "smtp", Address: "mail:25"}},
		"web:443":           {TLS: &TLS{Address: "web:443"}},
		"192.0.2.1:123":     {NTP: &NTP{Server: "192.0.2.1"}},
		"[2001:db8::1]:123": {NTP: &NTP{Server: "2001:db8::1"}},
		"dc1:389":           {LDAP: &LDAP{Address: "dc1"}},
		"dc2:636":           {LDAP: &LDAP{Address: "dc2", TLS: true}},
		"db1:9100":          {Prometheus: &Prometheus{URL: "http://db1:9100/metrics", Metrics: []Pick{{Name: ".*"}}}},
		"":                  {Systemd: &Systemd{Units: []string{"chrony.service"}}},
		"gw":                {Path: &Path{Address: "gw"}},
		"zoom.us:443":       {Service: "zoom"},
	} {
		c := mustNew(t, cfg, &scope{}, Options{})
		if c.Target() != target {
			t.Errorf("target %q, want %q", c.Target(), target)
		}
		if err := c.layout.schema.Validate(); err != nil {
			t.Errorf("%s: %v", target, err)
		}
		seen := map[string]bool{}
		for i := range c.layout.schema.Series {
			name := c.layout.schema.Series[i].String()
			if seen[name] {
				t.Errorf("%s: %s is there twice", target, name)
			}
			seen[name] = true
		}
	}
}

func TestServicesAreHostsOfNames(t *testing.T) {
	for name, hosts := range services() {
		if len(hosts) == 0 || len(hosts) > 8 {
			t.Errorf("%s has %d hosts", name, len(hosts))
		}
		for _, h := range hosts {
			if validHost("host", h) != nil || !strings.Contains(h, ".") || h != collectors.Clip(strings.ToLower(h), 100) {
				t.Errorf("%s: %q is no host", name, h)
			}
		}
	}
}
