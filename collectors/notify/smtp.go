package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mailer sends mails.
type mailer struct {
	cfg SMTP
	*dialer
}

// send puts one mail to all recipients. It is refused for what it says where the server
// refuses the content.
func (s *mailer) send(ctx context.Context, m *message) error {
	conn, err := s.dial(ctx, "tcp")
	if err != nil {
		return err
	}
	defer conn.Close()
	c, err := s.open(ctx, conn)
	if err != nil {
		return err
	}
	if s.cfg.Username != "" {
		if err := s.login(c); err != nil {
			return err
		}
	}
	from := s.cfg.from()
	if err := c.Mail(from, nil); err != nil {
		return replied("naming the sender "+from, err)
	}
	var refused error
	taken := 0
	for _, to := range s.cfg.To {
		if err := c.Rcpt(to, nil); err != nil {
			refused = replied("naming the recipient "+to, err)
			continue
		}
		taken++
	}
	if taken == 0 {
		return refused
	}
	w, err := c.Data()
	if err != nil {
		return replied("beginning the mail", err)
	}
	if _, err := w.Write(s.mail(m)); err != nil {
		return replied("sending the mail", err)
	}
	if err := w.Close(); err != nil {
		f := replied("handing over the mail", err)
		var code *smtp.SMTPError
		f.Refused = errors.As(err, &code) && code.Code/100 == 5
		return f
	}
	_ = c.Quit() // it has the mail
	var f *Failure
	if errors.As(refused, &f) {
		f.Sent = true
		return f
	}
	return nil
}

// open greets the server, over TLS if it is to be.
func (s *mailer) open(ctx context.Context, conn net.Conn) (*smtp.Client, error) {
	name := "localhost"
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok { // an address literal of RFC 5321, section 4.1.3
		if name = "[" + a.IP.String() + "]"; a.IP.To4() == nil {
			name = "[IPv6:" + a.IP.String() + "]"
		}
	}
	var c *smtp.Client
	switch s.cfg.Security {
	case UseTLS:
		t, err := handshake(ctx, conn, s.cfg.TLS, s.host)
		if err != nil {
			return nil, err
		}
		c = smtp.NewClient(t)
	case Plain:
		c = smtp.NewClient(conn)
	default:
		cfg, err := s.cfg.TLS.config(s.host)
		if err != nil {
			return nil, err
		}
		if c, err = smtp.NewClientStartTLS(conn, cfg); err != nil {
			return nil, noStartTLS(err)
		}
	}
	if err := c.Hello(name); err != nil {
		return nil, explainHello(err)
	}
	return c, nil
}

// noStartTLS explains why STARTTLS failed; the library has no error for a server that
// does not offer it.
func noStartTLS(err error) error {
	if err.Error() == "smtp: server doesn't support STARTTLS" {
		return &Failure{Doing: "asking for TLS", Err: errors.New("the server does not offer STARTTLS"),
			Hint: "set security: tls for port 465, or security: none on a LAN that you trust"}
	}
	return explainHello(err)
}

// explainHello tells errors of TLS, whose handshake happens with the first word, from
// those of SMTP.
func explainHello(err error) error {
	if f, is := tlsFailure(err); is {
		return f
	}
	return replied("greeting the server", err)
}

// login authenticates, over TLS only (Config.Validate).
func (s *mailer) login(c *smtp.Client) error {
	var way sasl.Client
	switch {
	case c.SupportsAuth(sasl.Plain):
		way = sasl.NewPlainClient("", s.cfg.Username, s.cfg.Password.Reveal())
	case c.SupportsAuth(sasl.Login):
		way = sasl.NewLoginClient(s.cfg.Username, s.cfg.Password.Reveal())
	default:
		return &Failure{Doing: "logging in", Err: errors.New("the server offers neither PLAIN nor LOGIN"), Hint: "leave username and password out if the server wants none from this address"}
	}
	if err := c.Auth(way); err != nil {
		return replied("logging in", err)
	}
	return nil
}

// replied explains a reply of the server by its number. Its text is left out: a hostile
// or a chatty server may have put the password into it.
func replied(doing string, err error) *Failure {
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) {
		return &Failure{Doing: doing, Err: brief(err)}
	}
	f := &Failure{Doing: doing, Err: fmt.Errorf("the server answers %d", reply.Code)}
	if e := reply.EnhancedCode; e != smtp.NoEnhancedCode && e != smtp.EnhancedCodeNotSet {
		f.Err = fmt.Errorf("the server answers %d %d.%d.%d", reply.Code, e[0], e[1], e[2])
	}
	switch reply.Code {
	case 421, 450, 451, 452, 454:
		f.Hint = "the server is busy or holds back strangers for a while; it is tried again"
	case 530:
		f.Hint = "the server wants a login: set username and password"
	case 534, 535:
		f.Hint = "the server does not take username and password"
	case 550, 551, 553, 554:
		f.Hint = "the server does not take this sender or recipient from this box: allow its address to send (relay) in the mail server, or set username and password"
	case 552:
		f.Hint = "the mailbox is full, or the mail too large for the server"
	}
	return f
}

// messageID is that of an incident's first mail to this notice, or of a later one.
func messageID(m *message, id string, number int, domain string) string {
	h := sha256.Sum256([]byte(m.Site.Tenant + "\x00" + m.Site.Name + "\x00" + m.Notice + "\x00" + id))
	return "<" + hex.EncodeToString(h[:12]) + "." + strconv.Itoa(number) + ".siteprobe@" + domain + ">"
}

// mail is the message as RFC 5322 has it. Mails about one incident are one thread: those
// after the first refer to it.
func (s *mailer) mail(m *message) []byte {
	from := s.cfg.from()
	domain := domainOf(from)
	var b bytes.Buffer
	head := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	head("From", mime.QEncoding.Encode("utf-8", "siteprobe "+m.Site.Name)+" <"+from+">")
	head("To", strings.Join(s.cfg.To, ",\r\n "))
	head("Subject", encoded(m.subject()))
	head("Date", m.At.In(m.Site.Location).Format(time.RFC1123Z))
	if len(m.Items) == 1 {
		x := &m.Items[0]
		head("Message-ID", messageID(m, x.Note.ID, x.Before, domain))
		if x.Before > 0 {
			first := messageID(m, x.Note.ID, 0, domain)
			head("In-Reply-To", first)
			head("References", first)
		}
	} else {
		head("Message-ID", "<"+m.delivery()+".siteprobe@"+domain+">")
	}
	head("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	head("X-Auto-Response-Suppress", "All")
	head("Content-Language", m.Cards.Words().Lang)
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(strings.ReplaceAll(m.body(), "\n", "\r\n"))) // to memory: it cannot fail
	_ = q.Close()
	return b.Bytes()
}

// maxSubject bounds a subject, in bytes before it is encoded.
const maxSubject = 180

// encoded makes a header's value: one line, encoded by RFC 2047 where it is not ASCII,
// folded between its encoded words.
func encoded(s string) string {
	if s = plain(s); len(s) > maxSubject {
		s = strings.ToValidUTF8(s[:maxSubject], "") + "..."
	}
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}
