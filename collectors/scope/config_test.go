package scope

import (
	"net/netip"
	"testing"
)

func TestConfigValidate(t *testing.T) {
	good := Config{
		Managed:  []string{"192.168.10.0/24", "10.0.0.0/8", "192.168.20.7", "fd12:3456::/32", "127.0.0.0/8", "::1", "169.254.0.0/16", "fe80::/10", "fc00::/7"},
		Excluded: []string{"192.168.10.50", "10.9.0.0/16", "0.0.0.0/0", "::/0"},
		External: []string{"outlook.office365.com:443", "Status.Example.COM.", "9.9.9.9:53", "1.1.1.1", "2620:fe::fe", "[2620:fe::fe]:853", "_dmarc.example.com"},
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
	const neither = "is neither a network such as 192.168.10.0/24 nor an address"
	const noService = "is not a name or an address with or without a port"
	for _, c := range []struct {
		where, entry, want string
	}{
		{"managed", "", neither},
		{"managed", "core-sw1", neither},
		{"managed", "192.168.10.0/33", neither},
		{"managed", "192.168.010.1", neither},
		{"managed", "192.168.10.5/24", "has bits set behind its mask: write 192.168.10.0/24 for the network or 192.168.10.5 for the address"},
		{"managed", "fe80::1%eth0", "addresses with a zone cannot be used"},
		{"managed", "::ffff:10.0.0.1", "write it as 10.0.0.1"},
		{"managed", "::ffff:10.0.0.0/104", "write the network in its IPv4 form"},
		{"managed", "0.0.0.0/0", "can never be contacted"},
		{"managed", "64.0.0.0/2", "is too wide for a site: at most a /8, for IPv6 a /7"},
		{"managed", "2000::/3", "is too wide for a site: at most a /8, for IPv6 a /7"},
		{"managed", "224.0.0.0/8", "can never be contacted"},
		{"managed", "ff02::1", "can never be contacted"},
		{"managed", "255.255.255.255", "can never be contacted"},
		{"excluded", "10.0.0.300", neither},
		{"external", "https://example.com", noService + " (no scheme, path or network)"},
		{"external", "10.0.0.0/8", noService + " (no scheme, path or network)"},
		{"external", "example.com:https", "its port is not a number from 1 to 65535"},
		{"external", "example.com:0", "its port is not a number from 1 to 65535"},
		{"external", "example.com:65536", "its port is not a number from 1 to 65535"},
		{"external", "10.1.2.3:443", "is not a public address: what is inside belongs under managed"},
		{"external", "[::ffff:10.1.2.3]:443", "is not a public address: what is inside belongs under managed"},
		{"external", "[2620:fe::fe:853", "a bracket is open"},
		{"external", "a..b:443", noService},
		{"external", "*.example.com:443", noService},
		{"external", "exa mple.com", noService},
		{"external", "127.1:80", noService},
		{"external", "0x7f000001:80", noService},
		{"external", "2130706433", noService},
		{"external", ":443", noService},
	} {
		cfg := Config{}
		switch c.where {
		case "managed":
			cfg.Managed = []string{"10.0.0.0/8", c.entry}
		case "excluded":
			cfg.Excluded = []string{c.entry}
		case "external":
			cfg.External = []string{c.entry}
		}
		want := c.where + `: "` + c.entry + `": ` + c.want
		if err := cfg.Validate(); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if _, err := New(cfg, nil); err == nil || err.Error() != "read scope: "+want {
			t.Errorf("New: %v", err)
		}
	}
}

func TestVerdict(t *testing.T) {
	r, err := Config{
		Managed:  []string{"192.168.10.0/24", "10.0.0.0/8", "10.255.255.255", "172.16.0.0/31", "fd00::/8", "169.0.0.0/8", "100.64.0.0/10", "64:ff9b::/96"},
		Excluded: []string{"192.168.10.50", "10.9.0.0/16", "9.9.9.10", "52.96.0.99"},
		External: []string{"mail.example:443", "any.example", "9.9.9.9:53", "9.9.9.10:53", "2620:fe::fe"},
	}.rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr string
		port uint16
		name string
		ok   bool
	}{
		{"192.168.10.1", 161, "", true},
		{"192.168.10.1", 0, "", true},
		{"::ffff:192.168.10.1", 161, "", true},
		{"192.168.11.1", 161, "", false},
		{"192.168.10.50", 161, "", false},
		{"::ffff:192.168.10.50", 161, "", false},
		{"10.1.2.3", 1, "", true},
		{"10.9.1.1", 1, "", false},
		{"192.168.10.255", 161, "", false}, // broadcast of a managed network
		{"192.168.10.0", 161, "", false},
		{"10.255.255.255", 161, "", true}, // the same, but listed by itself
		{"172.16.0.1", 161, "", true},     // a /31 has none
		{"fd00::1", 161, "", true},
		{"fd00::1%eth0", 161, "", false},
		{"fd00:ec2::254", 80, "", false}, // metadata
		{"100.100.100.200", 80, "", false},
		{"100.100.100.201", 80, "", true},
		{"169.1.1.1", 80, "", true},
		{"169.254.1.1", 80, "", false}, // managed by accident only
		{"169.254.169.254", 80, "", false},
		{"127.0.0.1", 80, "", false},
		{"::1", 80, "", false},
		{"::ffff:127.0.0.1", 80, "", false},
		{"fe80::1", 80, "", false},
		{"fe80::1%eth0", 80, "", false},
		{"0.0.0.0", 80, "", false},
		{"0.1.2.3", 80, "", false},
		{"::", 80, "", false},
		{"224.0.0.251", 5353, "", false},
		{"ff02::fb", 5353, "", false},
		{"255.255.255.255", 80, "", false},
		{"8.8.8.8", 53, "", false},
		{"9.9.9.9", 53, "", true},
		{"9.9.9.9", 443, "", false},
		{"9.9.9.10", 53, "", false}, // excluded beats external
		{"2620:fe::fe", 853, "", true},
		{"52.96.0.1", 443, "mail.example", true},
		{"52.96.0.99", 443, "mail.example", false}, // excluded
		{"52.96.0.1", 25, "mail.example", false},
		{"52.96.0.1", 443, "", false}, // the address without the name
		{"52.96.0.1", 443, "mail.example.evil", false},
		{"52.96.0.1", 8443, "any.example", true},
		{"52.96.0.1", 0, "any.example", true},
		{"52.96.0.1", 0, "mail.example", false},
		{"10.1.1.1", 443, "mail.example", true}, // inside, but managed
		{"192.168.99.1", 443, "mail.example", false},
		{"127.0.0.1", 443, "mail.example", false},
		{"169.254.169.254", 443, "mail.example", false},
		{"fe80::1", 443, "mail.example", false},
		{"198.18.0.1", 443, "mail.example", false},
		{"::127.0.0.1", 443, "mail.example", false},
		{"2002:7f00:1::1", 443, "mail.example", false}, // 6to4 to loopback
		{"2002:3460:1::1", 443, "mail.example", true},  // 6to4 to 52.96.0.1
		{"64:ff9b::3460:1", 443, "mail.example", true}, // NAT64 of the same
		{"64:ff9b::3460:63", 443, "", false},           // of the excluded one, though managed
		{"64:ff9b::a09:1", 443, "", false},             // of one in an excluded network
		{"2603:1006::1", 443, "mail.example", true},
		{"3fff:ffff::1", 443, "mail.example", true},
		{"4000::1", 443, "mail.example", false},
	} {
		why := r.verdict(netip.MustParseAddr(c.addr), c.port, c.name)
		if (why == "") != c.ok {
			t.Errorf("%s port %d name %q: %q", c.addr, c.port, c.name, why)
		}
	}
	if why := r.verdict(netip.Addr{}, 1, "mail.example"); why == "" {
		t.Error("the zero address is allowed")
	}
}

func TestExplicitlyManaged(t *testing.T) {
	r, err := Config{Managed: []string{"127.0.0.0/8", "::1", "169.254.0.0/16", "fe80::/10", "169.254.170.2"}, Excluded: []string{"127.0.0.9"}}.rules()
	if err != nil {
		t.Fatal(err)
	}
	for addr, ok := range map[string]bool{
		"127.0.0.1": true, "127.8.9.10": true, "127.0.0.9": false, "::ffff:127.0.0.9": false, "127.255.255.255": false, "::1": true,
		"169.254.3.4": true, "169.254.169.254": false, "169.254.170.2": true, "fe80::1": true, "fe80::1%lo": false, "::2": false,
	} {
		if why := r.verdict(netip.MustParseAddr(addr), 80, ""); (why == "") != ok {
			t.Errorf("%s: %q", addr, why)
		}
	}
}
