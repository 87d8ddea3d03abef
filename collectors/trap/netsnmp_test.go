package trap

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// What net-snmp's snmptrap sends without a key.
func TestPlainFromNetSnmp(t *testing.T) {
	r := start(t, credentials())
	if out, err := snmptrap(t, append([]string{"-v", "2c", "-c", "canary-community", r.addr}, linkDown("7")...)...); err != nil {
		t.Fatal(err, out)
	}
	e := r.await(t, 1)[0]
	mustHold(t, &e, "trap", "linkDown ifIndex.7=7 ifOperStatus.7=down ifName.7=Gi1/0/7",
		"device", "sw1", "source", "127.0.0.1", "trap", "linkDown", "version", "2c", "hint", "true", "ifName", "Gi1/0/7", "ifIndex", "7")
	if e.Severity != collectors.Warning {
		t.Error(e.Severity)
	}
	// SNMPv1: generic and of an enterprise (RFC 3584, 3.1).
	for _, args := range [][]string{
		{"1.3.6.1.4.1.8072.3.2.10", "192.0.2.7", "2", "0", "55", "1.3.6.1.2.1.2.2.1.1.9", "i", "9"},
		{"1.3.6.1.4.1.8072.4", "127.0.0.1", "6", "2", "55"},
		{"1.3.6.1.4.1.99999.1", "0.0.0.0", "6", "300", "55"},
	} {
		if out, err := snmptrap(t, append([]string{"-v", "1", "-c", "canary-community", r.addr}, args...)...); err != nil {
			t.Fatal(err, out)
		}
	}
	es := r.await(t, 4)
	mustHold(t, &es[1], "trap", "linkDown ifIndex.9=9", "version", "1", "agent", "192.0.2.7", "hint", "true")
	mustHold(t, &es[2], "trap", "nsNotifyShutdown", "agent", "")
	mustHold(t, &es[3], "trap", "1.3.6.1.4.1.99999.1.0.300", "agent", "")

	// An inform is answered; one with a wrong community is not.
	if out, err := snmptrap(t, append([]string{"-Ci", "-v", "2c", "-c", "canary-community", r.addr}, linkDown("8")...)...); err != nil {
		t.Fatal(err, out)
	}
	if out, err := snmptrap(t, append([]string{"-Ci", "-r", "0", "-v", "2c", "-c", "another", r.addr}, linkDown("8")...)...); err == nil {
		t.Error("an inform with a wrong community is answered", out)
	}
	es = r.await(t, 6)
	mustHold(t, &es[4], "trap", "ifName.8", "inform", "true")
	mustHold(t, &es[5], "trap_refused", "community", "reason", "wrong_community", "security", "true", "device", "sw1")
	for _, e := range es {
		if s := fmt.Sprint(e); strings.Contains(s, "canary-community") || strings.Contains(s, "another") {
			t.Errorf("a community is told: %s", s)
		}
	}
	if s := r.Stats(); s.Traps != 4 || s.Informs != 1 || s.Answered != 1 || s.Refused["wrong_community"] != 1 {
		t.Errorf("%+v", s)
	}
}

// Every pair of protocols, as a trap and as an inform; the last two privacy protocols
// are Cisco's, which net-snmp names with a C.
func TestSecuredFromNetSnmp(t *testing.T) {
	requireTool(t, "snmptrap")
	var creds []snmp.Credential
	var pairs []pair
	add := func(auth, priv string) {
		a := snmp.Auth{Version: "3", Username: "u" + auth + priv, AuthProtocol: auth, PrivProtocol: priv}
		if auth != "" {
			a.AuthPassword = "authpass1234"
		}
		if priv != "" {
			a.PrivPassword = "privpass1234"
		}
		if err := a.Validate(); err != nil {
			t.Fatal(err)
		}
		creds = append(creds, snmp.Credential{Name: a.Username, Auth: a})
		pairs = append(pairs, pair{a.Username, auth, priv})
	}
	add("", "")
	for _, auth := range []string{"MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512"} {
		for _, priv := range []string{"", "DES", "AES", "AES192", "AES256", "AES192C", "AES256C"} {
			add(auth, priv)
		}
	}
	r := start(t, creds)
	var senders sync.WaitGroup
	slots := make(chan bool, 8)
	for i, p := range pairs {
		senders.Go(func() {
			slots <- true
			defer func() { <-slots }()
			send(t, r, i, p)
		})
	}
	senders.Wait()
	want := map[string]bool{}
	for _, e := range r.await(t, 2*len(pairs)) {
		if e.Kind != "trap" {
			t.Errorf("%+v", e)
		}
		want[label(&e, "ifIndex")] = true
	}
	s := r.Stats()
	t.Logf("%d pairs; %d traps, %d informs, %d answered, refused %v, dropped %v", len(pairs), s.Traps, s.Informs, s.Answered, s.Refused, s.Dropped)
	if len(want) != 2*len(pairs) || s.Answered != s.Informs {
		t.Errorf("%d of %d came, %d informs answered of %d", len(want), 2*len(pairs), s.Answered, s.Informs)
	}
}

// theirs is what net-snmp calls the protocols.
var theirs = map[string]string{"MD5": "MD5", "SHA": "SHA", "SHA224": "SHA-224", "SHA256": "SHA-256", "SHA384": "SHA-384", "SHA512": "SHA-512",
	"DES": "DES", "AES": "AES", "AES192": "AES-192", "AES256": "AES-256", "AES192C": "AES-192-C", "AES256C": "AES-256-C"}

type pair struct{ user, auth, priv string }

// send sends a trap and an inform of one user.
func send(t *testing.T, r *rig, i int, p pair) {
	t.Helper()
	args := []string{"-v", "3", "-u", p.user, "-l", "noAuthNoPriv"}
	switch {
	case p.priv != "":
		args = append(args[:4], "-l", "authPriv", "-a", theirs[p.auth], "-A", "authpass1234", "-x", theirs[p.priv], "-X", "privpass1234")
	case p.auth != "":
		args = append(args[:4], "-l", "authNoPriv", "-a", theirs[p.auth], "-A", "authpass1234")
	}
	trap := append(append([]string{"-e", fmt.Sprintf("0x8000000001020304%02x", i)}, args...), r.addr)
	if out, err := snmptrap(t, append(trap, linkDown(fmt.Sprint(2*i+1))...)...); err != nil {
		if strings.Contains(out, "nvalid privacy protocol") {
			t.Logf("%s %s: this net-snmp has it not", p.auth, p.priv)
		} else {
			t.Errorf("%+v: trap: %v %s", p, err, out)
		}
	}
	inform := append(append([]string{"-Ci"}, args...), r.addr)
	if out, err := snmptrap(t, append(inform, linkDown(fmt.Sprint(2*i+2))...)...); err != nil && !strings.Contains(out, "nvalid privacy protocol") {
		t.Errorf("%+v: inform: %v %s", p, err, out)
	}
}
