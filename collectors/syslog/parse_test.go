package syslog

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
)

const (
	sonicWall = `<134>id=firewall sn=0017C5000001 time="2026-03-20 09:10:11 UTC" fw=192.0.2.1 pri=1 c=32 m=30 msg="Administrator login denied due to bad credentials" n=7 usr="admin" src=203.0.113.9:52345:X1 dst=192.0.2.1:443:X0 proto=tcp/https`
	sophos    = `<30>device="SFW" date=2026-03-20 time=09:10:11 timezone="CET" device_name="XG135" device_id=C01 log_id=062910617703 log_type="Event" log_component="GUI" log_subtype="Admin" status="Failed" priority=Notice user_name="root" src_ip=203.0.113.9 message="User root failed to login to WebAdmin using Local authentication because of wrong credentials"`
)

// lines are messages as devices send them, and what they say.
var lines = []struct {
	line string
	want Message
}{
	// RFC 5424's own examples (6.5).
	{`<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - ` + "\xef\xbb\xbf" + `'su root' failed for lonvick on /dev/pts/8`,
		Message{Facility: "auth", Severity: 2, Host: "mymachine.example.com", App: "su", ID: "ID47", Text: "'su root' failed for lonvick on /dev/pts/8"}},
	{`<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.`,
		Message{Facility: "local4", Severity: 5, Host: "192.0.2.1", App: "myproc", Text: "%% It's time to make the do-nuts."}},
	{`<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Appl\"]ication"][x@1 y="z"] An application event log entry...`,
		Message{Facility: "local4", Severity: 5, Host: "mymachine.example.com", App: "evntslog", ID: "ID47", Text: "An application event log entry..."}},
	{`<165>1 - - - - - [x@1 all="it says"]`, Message{Facility: "local4", Severity: 5, Text: `[x@1 all="it says"]`}},
	{`<11>1 - sw1 - - - -`, Message{}},
	// RFC 3164's (5.4).
	{`<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8`,
		Message{Facility: "auth", Severity: 2, Host: "mymachine", App: "su", Text: "'su root' failed for lonvick on /dev/pts/8"}},
	{`Use the BFG!`, Message{Facility: "user", Severity: 5, Text: "Use the BFG!"}},
	{`<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!`, Message{Facility: "user", Severity: 5, Host: "10.0.0.99", Text: "Use the BFG!"}},
	{`<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time to make the do-nuts.`,
		Message{Facility: "local4", Severity: 5, Host: "CST", Text: "1987 mymachine myproc[10]: %% It's time to make the do-nuts."}}, // a header of no form
	{`<38>Mar  1 09:00:00 web1 sshd[812]: Accepted publickey for ops`, Message{Facility: "auth", Severity: 6, Host: "web1", App: "sshd", Text: "Accepted publickey for ops"}},
	{`<38>Mar  1 09:00:00 sshd[812]: no name of its own`, Message{Facility: "auth", Severity: 6, App: "sshd", Text: "no name of its own"}},
	{`<30>2026-03-01T09:00:00.123+01:00 web1 systemd: Started.`, Message{Facility: "daemon", Severity: 6, Host: "web1", App: "systemd", Text: "Started."}},
	{`<30>Foo 99 99:99:99 web1 app: a bad date`, Message{Facility: "daemon", Severity: 6, Text: "Foo 99 99:99:99 web1 app: a bad date"}},
	{`<999>too much`, Message{Facility: "user", Severity: 5, Text: "<999>too much"}},
	{`<>x`, Message{Facility: "user", Severity: 5, Text: "<>x"}},
	{"<13>bell\x07 and \x1b[31mcolour", Message{Facility: "user", Severity: 5, Text: "0x62656c6c0720616e64201b5b33316d636f6c6f7572"}},
	{"<13>trailing\n\x00", Message{Facility: "user", Severity: 5, Text: "trailing"}},
	// Cisco IOS, NX-OS, ASA.
	{`<189>45: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured from console by vty2 (10.34.195.36)`,
		Message{Facility: "local7", Severity: 5, App: "SYS", ID: "SYS-5-CONFIG_I", Text: "%SYS-5-CONFIG_I: Configured from console by vty2 (10.34.195.36)"}},
	{`<187>000123: sw1: 000124: Mar 20 2026 09:10:11.123 UTC: %LINK-3-UPDOWN: Interface GigabitEthernet1/0/1, changed state to down`,
		Message{Facility: "local7", Severity: 3, Host: "sw1", App: "LINK", ID: "LINK-3-UPDOWN", Text: "%LINK-3-UPDOWN: Interface GigabitEthernet1/0/1, changed state to down"}},
	{`<187>124: Mar 20 2026 09:10:11.123 UTC: %LINK-3-UPDOWN: Interface Gi1/0/1, changed state to down`,
		Message{Facility: "local7", Severity: 3, App: "LINK", ID: "LINK-3-UPDOWN", Text: "%LINK-3-UPDOWN: Interface Gi1/0/1, changed state to down"}},
	{`<166>Mar 20 2026 09:10:11 fw1 : %ASA-4-106023: Deny tcp src outside`, Message{Facility: "local4", Severity: 4, Host: "fw1", App: "ASA", ID: "ASA-4-106023", Text: "%ASA-4-106023: Deny tcp src outside"}},
	{`<189>: 2026 Mar 20 09:10:11 UTC: %ETHPORT-5-IF_DOWN_LINK_FAILURE: Interface Ethernet1/1 is down`,
		Message{Facility: "local7", Severity: 5, App: "ETHPORT", ID: "ETHPORT-5-IF_DOWN_LINK_FAILURE", Text: "%ETHPORT-5-IF_DOWN_LINK_FAILURE: Interface Ethernet1/1 is down"}},
	// FortiOS.
	{`<188>date=2026-03-20 time=09:10:11 devname="FGT60F" devid="FGT60FTK" logid="0100032002" type="event" subtype="system" level="alert" vd="root" logdesc="Admin login failed" user="root" ui="ssh(203.0.113.9)" msg="Administrator root login failed from ssh(203.0.113.9)"`,
		Message{Facility: "local7", Severity: 1, Host: "FGT60F", ID: "0100032002"}},
	// SonicWall and Sophos, whose own severity counts.
	{sonicWall, Message{Facility: "local0", Severity: 1}},
	{sophos, Message{Facility: "daemon", Severity: 5, Host: "XG135", ID: "062910617703"}},
	// MikroTik.
	{`<28>system,error,critical login failure for user admin from 203.0.113.9 via ssh`,
		Message{Facility: "daemon", Severity: 4, Text: "system,error,critical login failure for user admin from 203.0.113.9 via ssh"}},
}

func TestParse(t *testing.T) {
	for _, c := range lines {
		m, ok := Parse([]byte(c.line))
		if ok != (c.want.Facility != "") {
			t.Errorf("%q: ok %v", c.line, ok)
			continue
		}
		if !ok {
			continue
		}
		if m.Fields != nil {
			c.want.Text = m.Text // all of it
			if strings.Contains(c.line, "FGT60F") && (m.Fields["user"] != "root" || !strings.HasPrefix(m.Fields["msg"], "Administrator root login failed")) {
				t.Errorf("%q: %v", c.line, m.Fields)
			}
			m.Fields = nil
		}
		if m.Facility != c.want.Facility || m.Severity != c.want.Severity || m.Host != c.want.Host || m.App != c.want.App || m.ID != c.want.ID || m.Text != c.want.Text {
			t.Errorf("%q:\n got %+v\nwant %+v", c.line, m, c.want)
		}
	}
	for _, s := range []string{"", "\n", "<13>", "<13> ", "\x00\x00", "<13>Oct 11 22:14:15 "} {
		if m, ok := Parse([]byte(s)); ok {
			t.Errorf("%q is taken for %+v", s, m)
		}
	}
}

func TestLoginFailure(t *testing.T) {
	for _, c := range []struct{ line, user, from string }{
		{`<38>Mar  1 09:00:00 web1 sshd[812]: Failed password for root from 203.0.113.9 port 22022 ssh2`, "root", "203.0.113.9"},
		{`<38>Mar  1 09:00:00 web1 sshd[812]: Failed password for invalid user oracle from 2001:db8::9 port 22022 ssh2`, "oracle", "2001:db8::9"},
		{`<38>Mar  1 09:00:00 web1 sshd-session[812]: Invalid user admin from 203.0.113.9 port 1`, "admin", "203.0.113.9"},
		{`<38>Mar  1 09:00:00 web1 sshd[812]: error: maximum authentication attempts exceeded for root from 203.0.113.9 port 1 ssh2 [preauth]`, "root", "203.0.113.9"},
		{`<86>Mar  1 09:00:00 web1 sshd[812]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root`, "root", "203.0.113.9"},
		{`<38>Mar  1 09:00:00 ap1 dropbear[812]: Bad password attempt for 'root' from 203.0.113.9:4711`, "root", "203.0.113.9"},
		{`<188>124: Mar 20 09:10:11.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: cisco] [Source: 203.0.113.9] [localport: 22] [Reason: Login Authentication Failed] at 09:10:11 UTC Fri Mar 20 2026`, "cisco", "203.0.113.9"},
		{`<166>Mar 20 2026 09:10:11 fw1 : %ASA-6-605004: Login denied from 203.0.113.9/4711 to outside:192.0.2.1/ssh for user "root"`, "root", "203.0.113.9"},
		{`<28>system,error,critical login failure for user admin from 203.0.113.9 via ssh`, "admin", "203.0.113.9"},
		{`<28>system,error,critical login failure for user admin from 0A:00:27:00:00:01 via winbox`, "admin", ""},
		{lines[len(lines)-4].line, "root", "203.0.113.9"},
		{`<188>date=2026-03-20 logid="x" type="event" action="ssl-login-fail" user="vpn" remip=203.0.113.9 level=alert`, "vpn", "203.0.113.9"},
		{`<13>1 2026-03-20T09:10:11Z dc1 Security 612 4625 - EventID: 4625 An account failed to log on. Account For Which Logon Failed: Security ID: S-1-0-0 Account Name: bob Failure: x Source Network Address: 203.0.113.9 Source Port: 1`, "bob", "203.0.113.9"},
		{`<13>1 2026-03-20T09:10:11Z dc1 Security 612 4625 - EventID: 4625 An account failed to log on. ` + strings.Repeat("Subject: Logon ID: 0x0 ", 20) +
			`Account For Which Logon Failed: Security ID: S-1-0-0 Account Name: bob Failure: x Source Network Address: 203.0.113.9 Source Port: 1`, "bob", "203.0.113.9"},
		{`<13>Mar  1 09:00:00 nas1 webgui: Login failed for admin from 203.0.113.9`, "", "203.0.113.9"},
		{sonicWall, "admin", "203.0.113.9"},
		{`<134>  id=firewall sn=0017C5000001 fw=192.0.2.1 pri=1 m=200 msg="Administrator login denied from 203.0.113.9; logins disabled from this interface" n=1 src=203.0.113.9`, "", "203.0.113.9"},
		{sophos, "root", "203.0.113.9"},
		{`<14>Mar  1 09:00:00 nas1 Connection: User [admin] from [203.0.113.9] failed to log in via [DSM] due to authorization failure.`, "admin", "203.0.113.9"},
		{`<14>1 2026-03-20T09:10:11+01:00 nas1 Connection - - - User [guest] from [203.0.113.9] failed to sign in to [DSM] via [password] due to authorization failure.`, "guest", "203.0.113.9"},
		{`<14>Mar  1 09:00:00 nas2 qlogd[812]: conn log: Users: admin, Source IP: 203.0.113.9, Computer name: ---, Connection type: HTTP, Accessed resources: Administration, Action: Login Fail`, "admin", "203.0.113.9"},
		{`<38>Mar  1 09:00:00 web1 login: FAILED LOGIN (1) on '/dev/tty1' FOR 'x', Authentication failure`, "", ""},
	} {
		m, ok := Parse([]byte(c.line))
		f, failed := loginFailure(&m)
		if !ok || !failed || f.user != c.user || f.from != c.from {
			t.Errorf("%q: %v %+v, want %q from %q", c.line, failed, f, c.user, c.from)
		}
	}
	for _, line := range []string{
		strings.Replace(sonicWall, "login denied due to bad credentials", "login allowed", 1),
		strings.NewReplacer("failed to login", "logged in", "Failed", "Successful", "because of wrong credentials", "").Replace(sophos),
		`<14>Mar  1 09:00:00 nas1 Connection: User [admin] from [203.0.113.9] logged in successfully via [DSM].`,
		`<38>Mar  1 09:00:00 web1 sshd[812]: Accepted publickey for ops from 203.0.113.9 port 1 ssh2`,
		`<38>Mar  1 09:00:00 web1 cron[812]: Failed password for root from 203.0.113.9 port 22022 ssh2`, // not sshd's to say
		`<13>Mar  1 09:00:00 nas1 webgui: backup failed`,
		`<188>date=2026-03-20 logid="x" type="event" logdesc="Admin login successful" user="root" level=information`,
	} {
		if m, _ := Parse([]byte(line)); true {
			if f, failed := loginFailure(&m); failed {
				t.Errorf("%q is taken for %+v", line, f)
			}
		}
	}
}

// FuzzSyslog: whatever comes is text within the bounds, or nothing.
func FuzzSyslog(f *testing.F) {
	for _, c := range lines {
		f.Add([]byte(c.line))
	}
	f.Add([]byte("<0>1 - - - - - ["))
	f.Add([]byte("<0>1 - - - - - [a \\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := Parse(b)
		fail, failed := loginFailure(&m)
		if !ok {
			return
		}
		n := note(&m, sw1, fail, failed)
		e := collectors.Event{Kind: n.Kind, Severity: n.Severity, Text: n.Text, Labels: n.Labels}
		x := collectors.Batch{Source: Source, Events: []collectors.Event{e}}
		for _, l := range n.Labels {
			if !utf8.ValidString(l.Value) || collectors.Printable(l.Value) != l.Value {
				t.Errorf("label %s=%q", l.Name, l.Value)
			}
		}
		if err := x.Validate(); err != nil || n.Text == "" || collectors.Printable(n.Text) != n.Text {
			t.Errorf("%+v: %v", n, err)
		}
	})
}
