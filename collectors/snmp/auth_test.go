package snmp

import (
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestAuthValidate(t *testing.T) {
	const secret = "s3cret-enough"
	user := func(change func(*Auth)) Auth {
		a := Auth{Version: "3", Username: "probe", SecurityLevel: authPriv, AuthProtocol: "SHA256",
			AuthPassword: secret, PrivProtocol: "AES", PrivPassword: secret}
		change(&a)
		return a
	}
	for _, test := range []struct {
		name string
		auth Auth
		want string // "": valid
	}{
		{"v2c", Auth{Version: "2c", Community: secret}, ""},
		{"v1", Auth{Version: "1", Community: secret}, ""},
		{"v3", user(func(*Auth) {}), ""},
		{"v3, level worked out", user(func(a *Auth) { a.SecurityLevel = "" }), ""},
		{"v3, user only", Auth{Version: "3", Username: "probe"}, ""},
		{"no version", Auth{Community: secret}, `version is missing: "1", "2c" or "3"`},
		{"version 2", Auth{Version: "2", Community: secret}, `version: 2 is unknown; community-based SNMPv2 is "2c"`},
		{"version 4", Auth{Version: "4"}, `version: "4" is unknown (known: "1", "2c", "3")`},
		{"no community", Auth{Version: "2c"}, "community is missing"},
		{"a long community", Auth{Version: "2c", Community: collectors.Secret(strings.Repeat("x", 128))}, "community: 128 bytes (at most 127)"},
		{"v2c with a user", Auth{Version: "2c", Community: secret, Username: "probe"}, "username: only version 3 has it, and this is version 2c"},
		{"no user", user(func(a *Auth) { a.Username = "" }), "username is missing"},
		{"a long user", user(func(a *Auth) { a.Username = strings.Repeat("u", 33) }), "username: 33 bytes (at most 32)"},
		{"v3 with a community", user(func(a *Auth) { a.Community = secret }), "community: only versions 1 and 2c have one; version 3 has username and passwords"},
		{"a level", user(func(a *Auth) { a.SecurityLevel = "high" }), `security_level: "high" is unknown (known: noAuthNoPriv, authNoPriv, authPriv)`},
		{"an auth protocol", user(func(a *Auth) { a.AuthProtocol = "SHA-256" }), `auth_protocol: "SHA-256" is unknown (known: MD5, SHA, SHA224, SHA256, SHA384, SHA512)`},
		{"a priv protocol", user(func(a *Auth) { a.PrivProtocol = "AES128" }), `priv_protocol: "AES128" is unknown (known: DES, AES, AES192, AES256, AES192C, AES256C)`},
		{"a short password", user(func(a *Auth) { a.PrivPassword = "s3cret" }), "priv_password: 6 characters (SNMPv3 wants at least 8)"},
		{"no password", user(func(a *Auth) { a.AuthPassword = "" }), "auth_password is missing"},
		{"no protocol", user(func(a *Auth) { a.AuthProtocol = "" }), "auth_protocol is missing (known: MD5, SHA, SHA224, SHA256, SHA384, SHA512)"},
		{"more than the level", user(func(a *Auth) { a.SecurityLevel = authNoPriv }), "priv_protocol and priv_password: security_level authNoPriv has none"},
	} {
		err := test.auth.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || err.Error() != test.want):
			t.Errorf("%s:\n got %v\nwant %s", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error tells the secret", test.name)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	valid := Config{Device: "sw1", Address: "192.0.2.1", Credentials: []Credential{v2c("public")}}
	if err := valid.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"device: a name of 1 to 121 bytes is wanted":       func(c *Config) { c.Device = "" },
		"address: it is missing":                           func(c *Config) { c.Address = "" },
		`address: "99999" is not a port`:                   func(c *Config) { c.Address = "sw1:99999" },
		"credentials: at least one is wanted":              func(c *Config) { c.Credentials = nil },
		`credential "x": community is missing`:             func(c *Config) { c.Credentials = []Credential{{"x", Auth{Version: "1"}}} },
		"timeout: 2m0s (at most 1m)":                       func(c *Config) { c.Timeout = 2 * time.Minute },
		"retries: 11 (0 to 10)":                            func(c *Config) { c.Retries = 11 },
		"max repetitions: 128 (0 to 127)":                  func(c *Config) { c.MaxRepetitions = 128 },
		"labels: 12 (at most 11)":                          func(c *Config) { c.Labels = make([]collectors.Label, 12) },
		`label "": its name or value is empty or too long`: func(c *Config) { c.Labels = make([]collectors.Label, 1) },
		"max rows: 100000 (0 to 65536)":                    func(c *Config) { c.MaxRows = 100000 },
		"max columns: -1 (0 to 60)":                        func(c *Config) { c.MaxColumns = -1 },
		"names every: -1s":                                 func(c *Config) { c.NamesEvery = -time.Second },
		"max requests: -1 (0 to 1048576)":                  func(c *Config) { c.MaxRequests = -1 },
		`address: "[::1" is not host or host:port`:         func(c *Config) { c.Address = "[::1" },
	} {
		c := valid
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	for in, want := range map[string]struct {
		host string
		port uint16
	}{
		"192.0.2.1":        {"192.0.2.1", 161},
		"192.0.2.1:1161":   {"192.0.2.1", 1161},
		"sw1.example":      {"sw1.example", 161},
		"sw1:161":          {"sw1", 161},
		"2001:db8::1":      {"2001:db8::1", 161},
		"[2001:db8::1]":    {"2001:db8::1", 161},
		"[2001:db8::1]:99": {"2001:db8::1", 99},
		"fe80::1%eth0":     {"fe80::1%eth0", 161},
	} {
		if host, port, err := splitAddress(in); err != nil || host != want.host || port != want.port {
			t.Errorf("splitAddress(%q) = %q, %d, %v", in, host, port, err)
		}
	}
}
