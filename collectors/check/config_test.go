package check

import (
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestConfigValidate(t *testing.T) {
	tcp := &TCP{Address: "db1:5432"}
	web := func(h HTTP) Config {
		if h.URL == "" {
			h.URL = "https://intranet.example.com/"
		}
		return Config{Name: "c", HTTP: &h}
	}
	ask := func(d DNS) Config {
		if d.Server == "" {
			d.Server = "192.0.2.53"
		}
		if d.Name == "" {
			d.Name = "dc1.example.com"
		}
		return Config{Name: "c", DNS: &d}
	}
	const kinds = "exactly one of icmp, tcp, http, dns, tls, ntp, banner, ldap, prometheus, systemd, path, service"
	for _, test := range []struct {
		cfg  Config
		want string // the exact message; empty: valid
	}{
		{Config{Name: "c", TCP: tcp, Interval: time.Minute, Timeout: time.Second}, ""},
		{Config{Name: "c", TCP: &TCP{Address: "[2001:db8::1]:22"}}, ""},
		{Config{Name: "c", ICMP: &ICMP{Address: "fe80::1%eth0"}}, ""},
		{web(HTTP{Status: []int{200, 401}, Body: "^ok", Method: "GET", CA: "/etc/ca.pem"}), ""},
		{ask(DNS{Type: "MX", Expect: []string{"10 mail.example.com"}}), ""},
		{ask(DNS{Type: "PTR", Name: "192.0.2.7", Expect: []string{"host.example.com."}}), ""},
		{ask(DNS{Server: "[2001:db8::1]:5353", Rcode: "NXDOMAIN"}), ""},
		{ask(DNS{Server: "2001:db8::1", Type: "TXT", Expect: []string{"v=spf1 -all"}}), ""},

		{Config{TCP: tcp}, "name: must be 1 to 100 printable characters without a slash"},
		{Config{Name: "a/b", TCP: tcp}, "name: must be 1 to 100 printable characters without a slash"},
		{Config{Name: "c", Device: "x\n", TCP: tcp}, "device: must be 1 to 100 printable characters without a slash"},
		{Config{Name: "c"}, kinds + " is needed, not 0 of them"},
		{Config{Name: "c", TCP: tcp, ICMP: &ICMP{Address: "gw"}}, kinds + " is needed, not 2 of them"},
		{Config{Name: "c", TCP: tcp, Interval: time.Millisecond}, "interval: must be at least 1s"},
		{Config{Name: "c", TCP: tcp, Timeout: time.Hour}, "timeout: must be between 10ms and 5m"},
		{Config{Name: "c", TCP: tcp, Timeout: time.Minute, Interval: time.Second}, "timeout: must not be longer than the interval"},
		{Config{Name: "c", TCP: tcp, Labels: map[string]string{"2x": ""}}, `labels: name "2x" must be letters, digits and underscores`},
		{Config{Name: "c", TCP: tcp, Labels: map[string]string{"check": "a"}}, `labels: "check" is one that the probe sets itself`},
		{Config{Name: "c", TCP: tcp, Labels: map[string]string{"a": strings.Repeat("x", 256)}}, `labels: value of "a" must be at most 255 bytes of UTF-8`},
		{Config{Name: "c", TCP: &TCP{Address: "db1"}}, `tcp: address: "db1" is not host:port`},
		{Config{Name: "c", TCP: &TCP{Address: "db1:99999"}}, `tcp: address: port "99999" is not between 1 and 65535`},
		{Config{Name: "c", ICMP: &ICMP{Address: "a b"}}, `icmp: address: "a b" is neither a host name nor an IP address`},
		{Config{Name: "c", ICMP: &ICMP{Address: "gw", Count: 101}}, "icmp: count: 101 is not between 1 and 100"},
		{web(HTTP{URL: "ftp://x/"}), "http: url: must be like https://intranet.example.com/health"},
		{web(HTTP{URL: "https://u:hush@x/"}), "http: url: must hold no user or password; use basic_auth"},
		{web(HTTP{URL: "https://x:0/"}), `http: url: port "0" is not between 1 and 65535`},
		{web(HTTP{Method: "DELETE"}), `http: method: "DELETE" is none of GET, HEAD, OPTIONS (a check changes nothing)`},
		{web(HTTP{Status: []int{2}}), "http: status: 2 is not between 100 and 599"},
		{web(HTTP{Body: "("}), "http: body: not a regular expression: error parsing regexp: missing closing ): `(`"},
		{web(HTTP{Headers: map[string]collectors.Secret{"A b": "x"}}), `http: headers: name or value of "A b" has characters that a header cannot have`},
		{web(HTTP{Headers: map[string]collectors.Secret{"X": "a\r\nb"}}), `http: headers: name or value of "X" has characters that a header cannot have`},
		{web(HTTP{BasicAuth: &BasicAuth{}}), "http: basic_auth: needs a username"},
		{web(HTTP{CA: "/x", Insecure: true}), "http: ca: has no use together with insecure"},
		{web(HTTP{Method: "HEAD", Body: "x"}), "http: body: a HEAD response has none"},
		{Config{Name: "c", DNS: &DNS{Name: "x"}}, "dns: server: is missing; name or IP address of the DNS server"},
		{ask(DNS{Server: "a b"}), `dns: server: "a b" is neither a host name nor an IP address`},
		{Config{Name: "c", DNS: &DNS{Server: "x"}}, `dns: name: "" is not a domain name`},
		{ask(DNS{Name: "a..b"}), `dns: name: "a..b" is not a domain name`},
		{ask(DNS{Type: "ANY"}), `dns: type: "ANY" is none of A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT`},
		{ask(DNS{Rcode: "BADKEY"}), `dns: rcode: "BADKEY" is not a response code such as NOERROR, NXDOMAIN, SERVFAIL, REFUSED`},
		{ask(DNS{Rcode: "NXDOMAIN", Expect: []string{"192.0.2.1"}}), "dns: expect: a response with rcode NXDOMAIN holds no answer to compare"},
		{ask(DNS{Bogus: "a..b"}), `dns: bogus: "a..b" is not a domain name`},
		{ask(DNS{Expect: []string{"::1"}}), `dns: expect: "::1" is not the data of a record of type A, such as "192.0.2.1"`},
		{ask(DNS{Type: "MX", Expect: []string{"mail"}}), `dns: expect: "mail" is not the data of a record of type MX, such as "10 mail.example.com."`},
	} {
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

func TestPingValidate(t *testing.T) {
	if err := (Ping{Device: "nvr", Address: "2001:db8::1"}).Validate(); err != nil {
		t.Error(err)
	}
	err := (Ping{Device: "nvr", Address: ""}).Validate()
	if want := `address: "" is neither a host name nor an IP address`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
