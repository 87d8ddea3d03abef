package syslog

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// failure is somebody who tried to log in and failed.
type failure struct {
	user string
	from string // an address where the message has one
}

// patterns are the words in which devices say so. Whatever they capture is shown only
// where it is what it should be.
var patterns = []struct {
	app  string // whose words they are; empty: anybody's
	text *regexp.Regexp
}{
	{"sshd", regexp.MustCompile(`Failed (?:password|publickey|keyboard-interactive/pam|none) for (?:invalid user )?(?P<user>\S*) from (?P<from>\S+)`)},
	{"sshd", regexp.MustCompile(`Invalid user (?P<user>\S*) from (?P<from>\S+)`)},
	{"sshd", regexp.MustCompile(`maximum authentication attempts exceeded for (?:invalid user )?(?P<user>\S*) from (?P<from>\S+)`)},
	{"dropbear", regexp.MustCompile(`[Bb]ad (?:PAM )?password attempt for '(?P<user>[^']*)' from (?P<from>[0-9a-fA-F.:]+?)(?::\d+)?$`)},
	{"", regexp.MustCompile(`authentication failure;.*\brhost=(?P<from>\S*)(?:.*\buser=(?P<user>\S+))?`)},
	{"", regexp.MustCompile(`FAILED (?:LOGIN|SU)`)},
	{"", regexp.MustCompile(`%SEC_LOGIN(?:-SW\d+)?-\d-LOGIN_FAILED:.*?\[user: (?P<user>[^\]]*)\] \[Source: (?P<from>[^\]]*)\]`)},
	{"", regexp.MustCompile(`%(?:SEC_LOGIN-\d-LOGIN_FAILED|SSH-\d-SSH2_USERAUTH_FAIL|AAA-\d-BADREG|AUTHPRIV-\d-SYSTEM_MSG: pam_aaa:Authentication failed)`)},
	{"", regexp.MustCompile(`%ASA-\d-(?:605004|113015):.*?(?:from (?P<from>[0-9a-fA-F.:]+?)(?:/\d+)? to .*?|user IP = (?P<ip>\S+).*?)?(?:for user "(?P<user>[^"]*)")?$`)},
	{"", regexp.MustCompile(`login failure for user (?P<user>\S*) from (?P<from>\S+) via`)}, // MikroTik
	{"", regexp.MustCompile(`(?:Event ?ID[ :=]*"?4625\b|An account failed to log on)(?:.*?Account For Which Logon Failed:.*?Account Name:\s*(?P<user>\S+))?(?:.*?Source Network Address:\s*(?P<from>\S+))?`)},
	{"", regexp.MustCompile(`User \[(?P<user>[^\]]*)\] from \[(?P<from>[^\]]*)\] failed to (?:log|sign) ?in`)},                 // Synology
	{"", regexp.MustCompile(`Users: (?P<user>[^,]*), Source IP: (?P<from>[^,]*),.*Action: Login Fail`)},                        // QNAP
	{"", regexp.MustCompile(`(?i)\b(?:[Uu]ser (?P<user>\S+) )?failed to log ?in\b(?:.*?\bfrom (?P<from>[0-9a-fA-F.:]{7,}))?`)}, // Sophos
	{"", regexp.MustCompile(`(?i)\b(?:login|logon|log-in|authentication|password) (?:attempt )?(?:failed|failure|rejected|denied)\b(?:.*?\bfrom (?:ip )?(?P<from>[0-9a-fA-F.:]{7,}))?`)},
}

// loginFailure tells whether a message says that somebody could not log in.
func loginFailure(m *Message) (f failure, ok bool) {
	if m.Fields == nil {
		return inWords(m.App, m.whole)
	}
	if f, ok = fortinet(m.Fields); ok {
		return f, true
	}
	for _, text := range m.says() {
		if f, ok = inWords(m.App, text); ok {
			f.fill(m.Fields)
			return f, true
		}
	}
	return f, false
}

// inWords looks for one of the patterns.
func inWords(app, text string) (f failure, ok bool) {
	for _, p := range patterns {
		if p.app != "" && !strings.HasPrefix(app, p.app) {
			continue
		}
		found := p.text.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		for i, name := range p.text.SubexpNames() {
			switch name {
			case "user":
				f.user = userName(found[i])
			case "from", "ip":
				if a := address(found[i]); a != "" {
					f.from = a
				}
			}
		}
		return f, true
	}
	return f, false
}

// fill takes who it was and from where out of the fields, as SonicWall (usr, src with a
// port and an interface behind it), Sophos (user_name, src_ip) and others call them.
func (f *failure) fill(fields map[string]string) {
	for _, key := range []string{"user", "usr", "user_name", "username"} {
		if f.user == "" {
			f.user = userName(fields[key])
		}
	}
	for _, key := range []string{"srcip", "src_ip", "src", "srcV6", "remip"} {
		if f.from == "" {
			f.from = address(fields[key])
		}
		if host, _, _ := strings.Cut(fields[key], ":"); f.from == "" {
			f.from = address(host)
		}
	}
}

// fortinet: logdesc="Admin login failed" user="root" srcip=203.0.113.9, or ui="ssh(203.0.113.9)".
func fortinet(fields map[string]string) (f failure, ok bool) {
	desc := strings.ToLower(fields["logdesc"])
	failed := strings.Contains(desc, "login failed") || strings.Contains(desc, "login fail") || fields["action"] == "ssl-login-fail" ||
		fields["action"] == "login" && fields["status"] == "failed"
	if !failed {
		return f, false
	}
	f.user, f.from = userName(fields["user"]), address(fields["srcip"])
	if _, in, found := strings.Cut(fields["ui"], "("); f.from == "" && found {
		f.from = address(strings.TrimSuffix(in, ")"))
	}
	if f.from == "" {
		f.from = address(fields["remip"])
	}
	return f, true
}

// address is what is one; everything else is left out.
func address(s string) string {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// userName leaves out what may be a password typed in place of a name: blanks and
// more than a name's length.
func userName(s string) string {
	if len(s) > 32 || strings.ContainsAny(s, " \t") {
		return ""
	}
	return pdu.CleanText([]byte(s))
}
