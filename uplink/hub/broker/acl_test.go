package broker

import (
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestACL(t *testing.T) {
	site := identity{tenant: "acme", site: "berlin"}
	hub := identity{hub: true}
	nobody := identity{}
	for _, c := range []struct {
		id          identity
		topic       string
		write, read bool
	}{
		{site, "sp/v1/acme/berlin/d/l", true, false},
		{site, "sp/v1/acme/berlin/d/b", true, false},
		{site, "sp/v1/acme/berlin/d/x", false, false},
		{site, "sp/v1/acme/berlin/sch", true, false},
		{site, "sp/v1/acme/berlin/ev", true, false},
		{site, "sp/v1/acme/berlin/acc", true, false},
		{site, "sp/v1/acme/berlin/st", true, false},
		{site, "sp/v1/acme/berlin/c/r/17", true, false},
		{site, "sp/v1/acme/berlin/c/r/", false, false},
		{site, "sp/v1/acme/berlin/c/r/1/2", false, false},
		{site, "sp/v1/acme/berlin/c/r/+", false, false},
		{site, "sp/v1/acme/berlin/cf/r", true, false},
		{site, "sp/v1/acme/berlin/a", false, true},
		{site, "sp/v1/acme/berlin/c/q", false, true},
		{site, "sp/v1/acme/berlin/cf/d", false, true},
		{site, "sp/v1/acme/flow", false, true},
		{site, "sp/v1/other/flow", false, false},
		{site, "sp/v1/acme/paris/d/l", false, false},
		{site, "sp/v1/acme/paris/a", false, false},
		{site, "sp/v1/acme/berlin2/a", false, false},
		{site, "sp/v1/acme/+/a", false, false},
		{site, "sp/v1/acme/berlin/#", false, false},
		{site, "sp/v1/acme/berlin/+", false, false},
		{site, "$share/g/sp/v1/acme/berlin/a", false, false},
		{site, "#", false, false},
		{site, "$SYS/broker/version", false, false},
		{hub, "sp/v1/acme/berlin/a", true, true},
		{hub, "sp/v1/+/+/d/l", true, true},
		{hub, "$share/hub/sp/v1/+/+/d/l", false, true},
		{hub, "$SYS/#", false, false},
		{hub, "#", false, false},
		{nobody, "sp/v1///st", false, false},
		{nobody, "sp/v1//flow", false, false},
		{nobody, "sp/v1/acme/berlin/st", false, false},
	} {
		if got := c.id.mayWrite(c.topic); got != c.write {
			t.Errorf("%v may write %s: %v", c.id, c.topic, got)
		}
		if got := c.id.mayRead(c.topic); got != c.read {
			t.Errorf("%v may read %s: %v", c.id, c.topic, got)
		}
	}
}

func TestIdentities(t *testing.T) {
	for _, s := range []string{"", "acme", "acme/", "/berlin", "acme/a/b", "acme/+", "#/x", "acme/ber lin", "acme/b\x00", strings.Repeat("x", 64) + "/a"} {
		if id, ok := parseIdentity(s); ok {
			t.Errorf("%q is an identity: %v", s, id)
		}
	}
	id, ok := parseIdentity("acme/berlin-1")
	if !ok {
		t.Fatal("acme/berlin-1 is none")
	}
	for clientID, want := range map[string]bool{
		"acme/berlin-1": true, "acme/berlin-1/spare": true,
		"acme/berlin-12": false, "acme/berlin": false, "": false, "hub": false,
	} {
		if got := id.ownsClientID(clientID); got != want {
			t.Errorf("%v owns the client id %q: %v", id, clientID, got)
		}
	}
}

func TestParseUsers(t *testing.T) {
	users, err := parseUsers(strings.NewReader("# sites\n\nacme/berlin:a:b\n acme/paris:x \n"))
	if err != nil || len(users) != 2 || users["acme/berlin"].Reveal() != "a:b" || users["acme/paris"].Reveal() != "x" {
		t.Errorf("%v, %v", len(users), err)
	}
	for text, want := range map[string]string{
		"acme/berlin":                    "line 1 is not tenant/site:password",
		"#\nacme:hunter2":                "line 2 is not tenant/site:password",
		"acme/berlin:":                   "line 1 is not tenant/site:password",
		"acme/berlin:x\nacme/berlin:y\n": "line 2: acme/berlin is there twice",
	} {
		if _, err := parseUsers(strings.NewReader(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, c := range map[string]Config{
		"":                                 {Listen: "127.0.0.1:0"},
		"cert and key go together":         {Cert: "x"},
		"a clients' CA needs a cert":       {ClientCA: "x"},
		"anybody may be any site":          {Listen: ":1883"},
		"is not tenant/site":               {Users: map[string]collectors.Secret{"x": "y"}},
		"is not host:port":                 {Listen: "localhost"},
		"0.0.0.0:0 needs a clients' CA":    {Listen: "127.0.0.1:0", WebSocket: "0.0.0.0:0"},
		"max clients is -1 (at most 20000": {MaxClients: -1},
	} {
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
