package notify

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// logger sends syslog messages.
type logger struct {
	cfg Syslog
	*dialer
}

// facilities are those of RFC 5424 by their number, as syslog.conf names them.
var facilities = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

const defaultFacility = 3 // daemon

// Severities of RFC 5424.
const (
	logError   = 3
	logWarning = 4
	logNotice  = 5
	logInfo    = 6
)

// maxDatagram bounds a message over UDP: every receiver takes 2048 bytes (RFC 5424,
// section 6.1, says should).
const maxDatagram = 2048

// send sends the message: one line for each incident. Over UDP nobody confirms it; over
// TCP that the other side has hung up orderly is taken for that.
func (s *logger) send(ctx context.Context, m *message) error {
	network := "udp"
	if s.cfg.Transport == TCP || s.cfg.Transport == UseTLS {
		network = "tcp"
	}
	conn, err := s.dial(ctx, network)
	if err != nil {
		return err
	}
	defer conn.Close()
	lines := s.lines(m)
	if network == "udp" {
		return s.datagrams(conn, lines)
	}
	var out bytes.Buffer
	for _, l := range lines {
		fmt.Fprintf(&out, "%d %s", len(l), l) // octet counting
	}
	if s.cfg.Transport == UseTLS {
		t, err := handshake(ctx, conn, s.cfg.TLS, s.host)
		if err != nil {
			return err
		}
		return s.stream(t, t.CloseWrite, out.Bytes())
	}
	half := func() error { return nil }
	if t, ok := conn.Conn.(*net.TCPConn); ok {
		half = t.CloseWrite
	}
	return s.stream(conn, half, out.Bytes())
}

// settle is how long the end of a connection is waited for: a receiver that is gone says
// so within it.
const settle = 2 * time.Second

func (s *logger) stream(conn net.Conn, closeWrite func() error, data []byte) error {
	_, err := conn.Write(data)
	if err == nil {
		err = closeWrite()
	}
	if err == nil {
		err = drain(conn, settle)
	}
	if err != nil {
		return &Failure{Doing: "sending to " + s.address(), Err: brief(err), Hint: "the receiver hung up: does it take syslog over this transport?"}
	}
	return nil
}

func (s *logger) datagrams(conn net.Conn, lines [][]byte) error {
	for _, l := range lines {
		_, err := conn.Write(l)
		if err == nil { // a port that is closed says so at once on a LAN
			one := make([]byte, 1)
			_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			if _, err = conn.Read(one); os.IsTimeout(err) {
				err = nil
			}
		}
		if err != nil {
			return &Failure{Doing: "sending to " + s.address(), Err: brief(err), Hint: "nothing receives there: is it the right port, and does the service listen over UDP?"}
		}
	}
	return nil
}

// lines are the message's, one for each incident.
func (s *logger) lines(m *message) (out [][]byte) {
	if m.What == whatTest {
		return append(out, s.line(m, logNotice, "", m.subject()))
	}
	for i := range m.Items {
		x := &m.Items[i]
		n := &x.Note
		text := m.line(phrasesOf(m.Cards.Lang()), x)
		if plain(n.Summary) != "" {
			text += " - " + plain(n.Summary)
		}
		severity := map[collectors.Severity]int{collectors.Error: logError, collectors.Warning: logWarning}[n.Severity]
		if severity == 0 {
			severity = logInfo
		}
		if n.Over {
			severity = logNotice
		}
		out = append(out, s.line(m, severity, s.structured(m, x), text))
	}
	return out
}

// structured is the incident as an element of structured data. 32473 is the enterprise
// number that RFC 5612 has for those without one.
func (s *logger) structured(m *message, x *item) string {
	n := &x.Note
	var b strings.Builder
	b.WriteString("[siteprobe@32473")
	put := func(name, value string) {
		if value = plain(value); value != "" {
			b.WriteString(" " + name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(value) + `"`)
		}
	}
	put("what", x.What)
	put("id", n.ID)
	put("key", n.Key)
	put("kind", string(n.Kind))
	put("cause", n.Cause)
	put("owner", string(n.Owner))
	put("severity", n.Severity.String())
	put("source", n.Source)
	put("affected", strconv.Itoa(n.Count))
	put("since", n.First.UTC().Format(time.RFC3339))
	if n.Over {
		put("until", n.Closed.UTC().Format(time.RFC3339))
	}
	if x.Missed > 0 {
		put("missed", strconv.Itoa(x.Missed))
	}
	if m.Lost > 0 {
		put("lost", strconv.Itoa(m.Lost))
	}
	if !n.Sure {
		put("clock", "unsure")
	}
	b.WriteByte(']')
	return b.String()
}

// line is one message of RFC 5424. One that is too long loses the end of its text, then
// its structured data.
func (s *logger) line(m *message, severity int, data, text string) []byte {
	facility := defaultFacility
	if i := slices.Index(facilities, s.cfg.Facility); i >= 0 {
		facility = i
	}
	when := "-" // section 6.2.3: where there is no clock
	if m.Sure {
		when = m.At.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if data == "" {
		data = "-"
	}
	msgID := "incident_" + m.What
	if m.What == whatTest {
		msgID = whatTest
	}
	head := fmt.Sprintf("<%d>1 %s %s siteprobe - %s ", facility*8+severity, when, m.Site.Name, msgID)
	if len(head)+len(data)+len(text)+8 > maxDatagram {
		if room := maxDatagram - len(head) - len(data) - 8; room > 0 {
			text = collectors.Clip(text, room)
		} else {
			data, text = "-", collectors.Clip(text, maxDatagram-len(head)-9)
		}
	}
	return []byte(head + data + " \ufeff" + text) // with its mark: the text is UTF-8
}
