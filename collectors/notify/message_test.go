package notify

import (
	"bytes"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/runbook"
)

// berlin is in force in these tests: times are shown in the site's zone.
func berlin(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	return loc
}

func testSite(t testing.TB) Site {
	return Site{Tenant: "northwind", Name: "acme-berlin", Location: berlin(t), Vars: runbook.Vars{
		ISP: "Telekom", Circuit: "49-30-1234", Hotline: "+49 800 330 1000",
		Contacts: []runbook.Contact{{Name: "Front desk", Phone: "+49 30 1234"}}, Support: runbook.Contact{Name: "Northwind IT", Phone: "+49 40 1"}}}
}

// noon is the middle of the day in Berlin.
var noon = time.Date(2025, 11, 26, 11, 0, 0, 0, time.UTC)

func messageOf(t testing.TB, lang string, items ...item) *message {
	cards, _ := runbook.Open("", lang)
	m := &message{Notice: "mail", What: whatDigest, Site: testSite(t), At: noon, Sure: true, Cards: cards, Items: items}
	switch len(items) {
	case 0:
		m.What = whatTest
	case 1:
		m.What = items[0].What
	}
	return m
}

func switchDown() Note {
	return Note{ID: "device/core-sw1@7f3a", Key: "device/core-sw1", Kind: incident.KindDevice, Cause: "device_down", Owner: diagnosis.Customer,
		Severity: collectors.Error, Summary: "core-sw1 does not answer; 3 devices behind it cannot be seen.", Source: "device/core-sw1",
		Affected: []string{"device/core-sw1", "device/nvr", "device/web1", "check/intranet"}, Count: 4,
		First: noon.Add(-3 * time.Minute), Sure: true}
}

func lineDown() Note {
	return Note{ID: "line@91", Key: "line", Kind: incident.KindLine, Cause: string(diagnosis.AccessDown), Owner: diagnosis.ISP, Severity: collectors.Error,
		Summary: "The internet line is dead: Telekom has to act.", Source: "line", Affected: []string{"line"}, Count: 1, First: noon.Add(-90 * time.Minute), Sure: true}
}

// mailText is a mail as its reader sees it: the headers that matter, and the text.
func mailText(t *testing.T, m *message) string {
	t.Helper()
	s := &mailer{cfg: SMTP{Server: "mail", To: []string{"it@acme.example", "boss@acme.example"}}}
	raw := s.mail(m)
	for _, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 200 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a line of %d bytes: %q", len(line), line)
		}
	}
	in, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(in.Body))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "Content-Language", "Content-Type"} {
		if v := in.Header.Get(name); v != "" {
			text, err := new(mime.WordDecoder).DecodeHeader(v)
			if err != nil {
				t.Error(err)
			}
			b.WriteString(name + ": " + text + "\n")
		}
	}
	return b.String() + "\n" + strings.ReplaceAll(string(body), "\r\n", "\n")
}

// TestMails compares mails to the letter with the files of testdata, in every language;
// SITEPROBE_UPDATE=1 writes them anew.
func TestMails(t *testing.T) {
	over := switchDown()
	over.Over, over.Closed = true, noon.Add(69*time.Minute)
	unsure := lineDown()
	unsure.Sure, unsure.First = false, time.Unix(300, 0)
	flapped := lineDown()
	for name, items := range map[string][]item{
		"open":   {{What: whatOpen, Note: switchDown()}},
		"close":  {{What: whatClose, Note: over, Before: 1}},
		"line":   {{What: whatUpdate, Note: flapped, Before: 1, Missed: 4}},
		"unsure": {{What: whatOpen, Note: unsure}},
		"digest": {{What: whatOpen, Note: switchDown()}, {What: whatClose, Note: over}, {What: whatUpdate, Note: lineDown()}},
		"test":   nil,
	} {
		for _, p := range languages {
			m := messageOf(t, p.lang, items...)
			if name == "digest" {
				m.Lost = 7
			}
			got := mailText(t, m)
			file := "testdata/" + name + "." + p.lang + ".txt"
			if os.Getenv("SITEPROBE_UPDATE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s: -want +got\n%s", file, d)
			}
		}
	}
}

// What devices call themselves opens no header, no line and no element, and is no HTML.
func TestHostileNames(t *testing.T) {
	n := switchDown()
	evil := "x\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script>\x00\x1b[2J\u202e\u2028 ]\" \\ =?utf-8?q?=0d=0aX:?= ü" + strings.Repeat("é", 300)
	n.ID, n.Key, n.Summary, n.Source, n.Cause, n.Evidence = evil, evil, evil, "device/"+evil, evil, evil
	n.Affected = []string{"device/" + evil, evil}
	n.bound()
	for _, what := range []string{whatOpen, whatClose} {
		x := item{What: what, Note: n, Before: 3}
		m := messageOf(t, "en", x)
		s := &mailer{cfg: SMTP{To: []string{"it@acme.example"}}}
		in, err := mail.ReadMessage(bytes.NewReader(s.mail(m)))
		if err != nil {
			t.Fatal(err)
		}
		if in.Header.Get("Bcc") != "" || in.Header.Get("X") != "" || len(in.Header) != 13 {
			t.Errorf("headers %q", in.Header)
		}
		if ct := in.Header.Get("Content-Type"); ct != "text/plain; charset=utf-8" {
			t.Errorf("the mail is %s", ct)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(in.Body))
		if err != nil || !utf8.Valid(body) {
			t.Errorf("%v %q", err, body)
		}
		if i := bytes.IndexAny(body, "\x00\x1b\u202e\u2028"); i >= 0 {
			t.Errorf("%q is in the text", body[i:i+3])
		}
		for _, line := range strings.Split(string(body), "\r\n") {
			if strings.HasPrefix(line, "Bcc:") {
				t.Errorf("a line of the device's making: %q", line)
			}
		}
		l := &logger{}
		for _, line := range l.lines(m) {
			if len(line) > maxDatagram || bytes.ContainsAny(line, "\r\n\x00\x1b") || !utf8.Valid(line) {
				t.Errorf("%d bytes: %q", len(line), line)
			}
		}
	}
}
