package syslog

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Severity is how bad a message is, 0 (emergency) to 7 (debug), RFC 5424, 6.2.1.
type Severity int

// The severities that matter here.
const (
	Emergency Severity = 0
	Error     Severity = 3
	Warning   Severity = 4
	Notice    Severity = 5
	Debug     Severity = 7
)

// severityNames are those of RFC 5424 in the short forms that syslog.conf has.
var severityNames = [8]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityNames) {
		return "severity " + strconv.Itoa(int(s))
	}
	return severityNames[s]
}

// severityNamed knows these names and those that devices write.
func severityNamed(name string) (Severity, bool) {
	switch strings.ToLower(name) {
	case "emergency", "panic":
		return 0, true
	case "critical":
		return 2, true
	case "error":
		return 3, true
	case "warn":
		return 4, true
	case "notification":
		return 5, true
	case "information", "informational":
		return 6, true
	}
	for i, n := range severityNames {
		if n == strings.ToLower(name) {
			return Severity(i), true
		}
	}
	return 0, false
}

var facilityNames = [24]string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

// Message is a syslog message. Its texts are clean (pdu.CleanText).
type Message struct {
	Facility string
	Severity Severity
	Host     string // as it calls itself; empty where it does not say
	App      string // who wrote it: sshd, or a module
	ID       string // RFC 5424's MSGID, or Cisco's mnemonic such as LINK-3-UPDOWN
	Text     string
	Fields   map[string]string // of a message of key=value, such as FortiOS's

	whole string // what Text is the beginning of, within maxWhole, not clean
}

// maxWhole bounds how much of a message is searched for what it says, in bytes.
const maxWhole = 2048

// setText takes the text of a message.
func (m *Message) setText(b []byte) {
	m.Text, m.whole = pdu.CleanText(b), collectors.Clip(string(b[:min(len(b), 2*maxWhole)]), maxWhole)
}

// Parse reads a message as it came, of RFC 5424, of RFC 3164, or of none: whatever does
// not look like a header is text. A message without a priority is a notice of a user,
// as RFC 3164, 4.3.3 has it. ok is false where there is no text at all.
func Parse(b []byte) (m Message, ok bool) {
	b = bytes.TrimRight(b, "\x00\r\n \t")
	m.Severity, m.Facility = Notice, "user"
	rest, had := priority(b, &m)
	if had && bytes.HasPrefix(rest, []byte("1 ")) && m.rfc5424(rest[2:]) {
		if m.Text == "" {
			m.Text = m.ID
		}
		m.specials()
		return m, m.Text != ""
	}
	m.rfc3164(rest)
	m.specials()
	return m, m.Text != ""
}

// priority reads "<PRI>".
func priority(b []byte, m *Message) (rest []byte, ok bool) {
	if len(b) < 3 || b[0] != '<' {
		return b, false
	}
	n, i := 0, 1
	for ; i < len(b) && i < 5 && '0' <= b[i] && b[i] <= '9'; i++ {
		n = n*10 + int(b[i]-'0')
	}
	if i == 1 || i >= len(b) || b[i] != '>' || n > 191 {
		return b, false
	}
	m.Facility, m.Severity = facilityNames[n/8], Severity(n%8)
	return b[i+1:], true
}

// rfc5424 reads TIMESTAMP HOSTNAME APP PROCID MSGID SD [MSG].
func (m *Message) rfc5424(b []byte) bool {
	var fields [5][]byte
	for i := range fields {
		var ok bool
		if fields[i], b, ok = bytes.Cut(b, []byte(" ")); !ok || len(fields[i]) == 0 {
			return false
		}
	}
	data, text, ok := structured(b)
	if !ok {
		return false
	}
	m.Host, m.App, m.ID = word(fields[1]), word(fields[2]), word(fields[4])
	text = bytes.TrimPrefix(bytes.TrimLeft(text, " "), []byte("\xef\xbb\xbf"))
	if m.setText(text); m.Text == "" {
		m.setText(data) // some devices say all they have to say there
	}
	return true
}

// structured splits the structured data off: "-", or elements in brackets.
func structured(b []byte) (data, rest []byte, ok bool) {
	if bytes.HasPrefix(b, []byte("-")) {
		return nil, b[1:], len(b) == 1 || b[1] == ' '
	}
	i, quoted := 0, false
	for i < len(b) && b[i] == '[' {
		for i++; i < len(b) && (quoted || b[i] != ']'); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				quoted = !quoted
			}
		}
		if i >= len(b) {
			return nil, nil, false
		}
		i++
	}
	return b[:i], b[i:], i > 0 && (i == len(b) || b[i] == ' ')
}

// word is a header's field; "-" is none.
func word(b []byte) string {
	if len(b) == 1 && b[0] == '-' {
		return ""
	}
	if len(b) > 128 {
		b = b[:128]
	}
	return pdu.CleanText(b)
}

// rfc3164 reads what most devices send: perhaps a number in front, a date of some
// form, a name, a tag, and text.
func (m *Message) rfc3164(b []byte) {
	b = sequence(bytes.TrimPrefix(b, []byte(": ")))
	b, dated := date(b)
	if !dated {
		// Cisco's "logging origin-id": a number, a name, another number, and the date.
		if name, rest, ok := bytes.Cut(b, []byte(": ")); ok && len(name) < 64 && !bytes.ContainsAny(name, " %[]=") {
			if rest, ok := date(sequence(rest)); ok {
				m.Host = word(name)
				m.tag(rest)
				return
			}
		}
	} else {
		b = m.hostname(b)
	}
	m.tag(b)
}

// sequence drops Cisco's sequence numbers and its time since the start: "45: ",
// "000123: ", "*" and "." before a date whose clock is not sure.
func sequence(b []byte) []byte {
	for range 2 {
		i := 0
		for i < len(b) && i < 11 && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		if i == 0 || i >= len(b) || b[i] != ':' || i+1 >= len(b) || b[i+1] != ' ' {
			break
		}
		b = bytes.TrimLeft(b[i+1:], " ")
	}
	if len(b) > 1 && (b[0] == '*' || b[0] == '.') {
		b = b[1:]
	}
	return b
}

// date drops a date: "Oct 11 22:14:15", with a year, fractions of a second or a zone as
// Cisco has them, or an RFC 3339 one. When it was is told by the box: devices' clocks are
// often wrong.
func date(b []byte) (rest []byte, ok bool) {
	if first, rest, found := bytes.Cut(b, []byte(" ")); found && len(first) >= 19 && len(first) <= 40 {
		if _, err := time.Parse("2006-01-02T15:04:05", string(first[:19])); err == nil {
			return rest, true
		}
	}
	if f, after := field(b); len(f) == 4 && isNumber(f) && len(after) > 3 && after[3] == ' ' { // NX-OS has the year first
		if rest, ok := date(after); ok {
			return rest, true
		}
		return b, false
	}
	if len(b) < 15 || !bytes.Contains([]byte("JanFebMarAprMayJunJulAugSepOctNovDec"), b[:3]) || b[3] != ' ' {
		return b, false
	}
	rest = bytes.TrimLeft(b[4:], " ")
	for _, want := range []func([]byte) bool{isNumber, isYearOrTime} {
		var f []byte
		f, rest = field(rest)
		if !want(f) {
			return b, false
		}
		if len(f) == 4 && isNumber(f) { // a year; the time follows
			if f, rest = field(rest); !isTime(f) {
				return b, false
			}
		}
	}
	// Cisco's zone, and the colon that ends its date: "UTC:".
	if f, after := field(rest); len(f) >= 3 && len(f) <= 6 && f[len(f)-1] == ':' && bytes.Equal(bytes.ToUpper(f), f) && !bytes.ContainsAny(f, "%0123456789") {
		rest = after
	}
	return rest, true
}

func field(b []byte) (f, rest []byte) {
	f, rest, _ = bytes.Cut(b, []byte(" "))
	return f, bytes.TrimLeft(rest, " ")
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 4
}

func isTime(b []byte) bool {
	if len(b) < 7 || bytes.Count(b[:7], []byte(":")) < 1 {
		return false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && c != ':' && c != '.' {
			return false
		}
	}
	return true
}

func isYearOrTime(b []byte) bool { return isNumber(b) && len(b) == 4 || isTime(b) }

// hostname takes the name that follows a date, unless that is a tag already: it ends
// with a colon, has a process number, or is Cisco's "%".
func (m *Message) hostname(b []byte) []byte {
	f, rest := field(b)
	if len(f) == 0 || len(f) > 255 || len(rest) == 0 || f[0] == '%' || bytes.ContainsAny(f, "[]=\"") {
		return b
	}
	if f[len(f)-1] == ':' {
		// "sw1: %LINK-3-UPDOWN: ..." is a name all the same, and so is "sw1 : %...".
		if !bytes.HasPrefix(rest, []byte("%")) {
			return b
		}
		f = f[:len(f)-1]
	}
	m.Host = word(f)
	return bytes.TrimPrefix(rest, []byte(": "))
}

// tag reads "app[pid]: text".
func (m *Message) tag(b []byte) {
	i := 0
	for i < len(b) && i < 48 && (b[i] > ' ' && b[i] != ':' && b[i] != '[' && b[i] != '=' && b[i] < utf8.RuneSelf) {
		i++
	}
	app, rest := b[:i], b[i:]
	if i > 0 && len(rest) > 0 && rest[0] == '[' {
		if end := bytes.IndexByte(rest, ']'); end > 0 && end < 32 {
			rest = rest[end+1:]
		}
	}
	if i > 0 && app[0] != '%' && bytes.HasPrefix(rest, []byte(":")) {
		m.App, b = pdu.CleanText(app), rest[1:]
	}
	m.setText(b)
}

// specials reads what some makers write into the text.
func (m *Message) specials() {
	if i := strings.IndexByte(m.Text, '%'); i >= 0 && i < 64 {
		m.cisco(m.Text[i+1:])
	}
	if m.App != "" || !strings.Contains(m.whole, "=") {
		return
	}
	if m.Fields = keyValues(strings.TrimSpace(m.whole)); m.Fields == nil {
		return
	}
	m.fieldSeverity()
	if m.Host == "" {
		m.Host = cmp.Or(m.Fields["devname"], m.Fields["device_name"])
	}
	m.ID = cmp.Or(m.Fields["logid"], m.Fields["log_id"])
}

// fieldSeverity reads the maker's own severity: FortiOS's level, Sophos' priority or
// severity, SonicWall's pri, which is a number.
func (m *Message) fieldSeverity() {
	for _, key := range []string{"level", "pri", "priority", "severity"} {
		v := m.Fields[key]
		if s, ok := severityNamed(v); ok {
			m.Severity = s
			return
		}
		if key == "pri" && len(v) == 1 && v[0] >= '0' && v[0] <= '7' {
			m.Severity = Severity(v[0] - '0')
			return
		}
	}
}

// says gives the fields that are text for a person; where there is none, the text.
func (m *Message) says() (out []string) {
	for _, key := range []string{"msg", "message", "logdesc"} {
		if s := m.Fields[key]; s != "" {
			out = append(out, s)
		}
	}
	if out == nil {
		out = []string{m.Text}
	}
	return out
}

// cisco reads "FAC-SEV-MNEMONIC: text", whose severity is the message's own.
func (m *Message) cisco(s string) {
	id, _, ok := strings.Cut(s, ":")
	if !ok || len(id) > 96 || strings.ContainsAny(id, " \t=") {
		return
	}
	parts := strings.Split(id, "-")
	for i := 1; i+1 < len(parts); i++ {
		if p := parts[i]; len(p) == 1 && p[0] >= '0' && p[0] <= '7' {
			m.ID, m.Severity = id, Severity(p[0]-'0')
			if m.App == "" {
				m.App = parts[0]
			}
			return
		}
	}
	// ASA: "%ASA-4-106023: ..." is of the same form.
}

// maxFields bounds how many keys of a message are read.
const maxFields = 64

// keyValues reads a text of key=value, where values may stand in quotes. nil: it is
// none.
func keyValues(s string) map[string]string {
	out := map[string]string{}
	for len(out) < maxFields {
		s = strings.TrimLeft(s, " ,;")
		key, rest, ok := strings.Cut(s, "=")
		if !ok || key == "" || len(key) > 32 || strings.ContainsAny(key, " \"") {
			break
		}
		var value string
		if quoted, found := strings.CutPrefix(rest, `"`); found {
			value, s, _ = strings.Cut(quoted, `"`)
		} else {
			value, s, _ = strings.Cut(rest, " ")
		}
		out[key] = pdu.CleanText([]byte(value))
	}
	if len(out) < 3 { // some text has an equals sign
		return nil
	}
	return out
}
