package check

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// protocol is what a check says in one, up to the TLS of its STARTTLS.
type protocol struct {
	// greet reads the greeting and returns its first line (of SSH, its version).
	greet func(s *session) (string, error)
	// starttls asks for TLS; nil where there is no such command.
	starttls func(s *session) error
	// bye ends the conversation, so that the server's log has nothing to complain of.
	bye string
}

// protocols are those that have a greeting.
func protocols() map[string]protocol {
	return map[string]protocol{
		"smtp": {greetCode, startSMTP, "QUIT\r\n"},
		"imap": {greetIMAP, startIMAP, "z LOGOUT\r\n"},
		"pop3": {greetPOP3, startPOP3, "QUIT\r\n"},
		"ftp":  {greetCode, startFTP, "QUIT\r\n"},
		"ssh":  {greetSSH, nil, ""},
	}
}

// starters are the protocols that can be asked for TLS.
func starters() map[string]func(s *session) error {
	out := map[string]func(*session) error{
		"ldap":     func(s *session) error { return startLDAP(s, 1) },
		"postgres": startPostgres,
	}
	for name, p := range protocols() {
		if p.starttls == nil {
			continue
		}
		out[name] = func(s *session) error {
			if _, err := p.greet(s); err != nil {
				return err
			}
			return p.starttls(s)
		}
	}
	return out
}

func names[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// Findings that the protocols share.
var (
	errOther   = because("greeting of another protocol")
	errRefuses = because("greeting refuses service")
	errNoTLS   = because("starttls: not offered")
	errTLSNo   = because("starttls: refused")
	errTooMany = because("answer of too many lines")
	errSecond  = because("unexpected answer")
)

const (
	maxLines    = 100 // of one answer
	clientIdent = "siteprobe"
)

// coded reads an answer of SMTP or FTP: lines that begin with the same three digits,
// the last of them followed by a blank (RFC 5321 4.2, RFC 959 4.2).
func coded(s *session, doing string) (code string, lines []string, err error) {
	for len(lines) < maxLines {
		l, err := s.line(doing)
		if err != nil {
			return "", nil, err
		}
		if len(lines) == 0 {
			if len(l) < 3 || strings.Trim(l[:3], "0123456789") != "" {
				return "", nil, errOther
			}
			code = l[:3]
		}
		text := strings.TrimPrefix(l, code)
		lines = append(lines, strings.TrimSpace(strings.TrimLeft(text, "- ")))
		if strings.HasPrefix(l, code) && !strings.HasPrefix(text, "-") {
			return code, lines, nil
		}
	}
	return "", nil, errTooMany
}

func greetCode(s *session) (string, error) {
	code, lines, err := coded(s, "greeting")
	switch {
	case err != nil:
		return "", err
	case code != "220":
		return "", errRefuses
	}
	return lines[0], nil
}

func startSMTP(s *session) error {
	if err := s.say("ehlo", "EHLO "+clientIdent+"\r\n"); err != nil {
		return err
	}
	code, lines, err := coded(s, "ehlo")
	switch {
	case err != nil:
		return err
	case code != "250":
		return because("ehlo refused")
	case !slices.ContainsFunc(lines, func(l string) bool { return strings.EqualFold(l, "STARTTLS") }):
		return errNoTLS
	}
	return startByCode(s, "STARTTLS\r\n", "220")
}

func startFTP(s *session) error { return startByCode(s, "AUTH TLS\r\n", "234") }

func startByCode(s *session, command, want string) error {
	if err := s.say("starttls", command); err != nil {
		return err
	}
	code, _, err := coded(s, "starttls")
	if err == nil && code != want {
		err = errTLSNo
	}
	return err
}

// greetIMAP reads the greeting of RFC 3501 7.1.
func greetIMAP(s *session) (string, error) {
	l, err := s.line("greeting")
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(l, "* OK"), strings.HasPrefix(l, "* PREAUTH"):
		return strings.TrimPrefix(l, "* "), nil
	case strings.HasPrefix(l, "* BYE"):
		return "", errRefuses
	}
	return "", errOther
}

func startIMAP(s *session) error {
	if err := s.say("starttls", "a STARTTLS\r\n"); err != nil {
		return err
	}
	for range maxLines {
		l, err := s.line("starttls")
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(l, "a OK"):
			return nil
		case strings.HasPrefix(l, "a BAD"):
			return errNoTLS
		case !strings.HasPrefix(l, "*"):
			return errTLSNo
		}
	}
	return errTooMany
}

// greetPOP3 reads the greeting of RFC 1939 4.
func greetPOP3(s *session) (string, error) {
	l, err := s.line("greeting")
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(l, "+OK"):
		return strings.TrimSpace(l[3:]), nil
	case strings.HasPrefix(l, "-ERR"):
		return "", errRefuses
	}
	return "", errOther
}

func startPOP3(s *session) error {
	if err := s.say("starttls", "STLS\r\n"); err != nil {
		return err
	}
	l, err := s.line("starttls")
	if err == nil && !strings.HasPrefix(l, "+OK") {
		err = errNoTLS
	}
	return err
}

// greetSSH exchanges versions (RFC 4253 4.2): the server may send lines before its own.
func greetSSH(s *session) (string, error) {
	for range maxLines {
		l, err := s.line("greeting")
		switch {
		case err != nil:
			return "", err
		case strings.HasPrefix(l, "SSH-2.0-"), strings.HasPrefix(l, "SSH-1.99-"):
			return l, s.say("greeting", "SSH-2.0-"+clientIdent+"\r\n")
		case strings.HasPrefix(l, "SSH-"):
			return "", because("ssh: version too old")
		case l == "" || strings.HasPrefix(l, "220") || strings.HasPrefix(l, "HTTP/"):
			return "", errOther
		}
	}
	return "", errTooMany
}

// startPostgres sends an SSLRequest, which PostgreSQL answers with one letter
// (Frontend/Backend Protocol, SSL Session Encryption).
func startPostgres(s *session) error {
	const sslRequest = 80877103
	b := binary.BigEndian.AppendUint32(nil, 8)
	if err := s.say("starttls", string(binary.BigEndian.AppendUint32(b, sslRequest))); err != nil {
		return err
	}
	answer, err := s.octets("starttls", 1)
	switch {
	case err != nil:
		return err
	case answer[0] == 'N':
		return errNoTLS
	case answer[0] != 'S':
		return errSecond
	}
	return nil
}
