package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/runbook"
)

// message is what is sent at once: one incident, a digest of several, or a test.
type message struct {
	Notice string
	What   string // whatOpen, whatUpdate, whatClose, whatDigest or whatTest
	Site   Site
	At     time.Time
	Sure   bool // the clock that At is of
	Lost   int  // messages that were lost before this one
	Cards  *runbook.Cards
	Items  []item // none in a test
}

// delivery names the message: the same when it is sent again, another one when it says
// something else.
func (m *message) delivery() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s", m.Site.Tenant, m.Site.Name, m.Notice, m.What)
	for _, x := range m.Items {
		fmt.Fprintf(h, "\x00%s\x00%s\x00%d\x00%d\x00%s", x.Note.ID, x.What, x.Before, x.Note.Severity, x.Note.Cause)
	}
	if len(m.Items) == 0 {
		fmt.Fprintf(h, "\x00%d", m.At.UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// card is the incident's card, filled in.
func (m *message) card(n *Note) runbook.Card {
	v := m.Site.Vars
	v.Site, v.What, v.Owner = m.Site.Name, nameOf(n.Source), n.Owner
	return m.Cards.Card(v, n.Runbook, n.Cause, string(n.Kind))
}

// title is "Device does not answer: core-sw1".
func title(c *runbook.Card, n *Note) string {
	if name := plain(nameOf(n.Source)); name != "" && !strings.Contains(c.Title, name) {
		return c.Title + ": " + name
	}
	return c.Title
}

// inCharge is who has to act, by name where it is known.
func (m *message) inCharge(o diagnosis.Owner) string {
	name := ""
	switch o {
	case diagnosis.ISP:
		name = m.Site.Vars.ISP
	case diagnosis.MSP:
		name = m.Site.Vars.Support.Name
	}
	if name = plain(name); name != "" {
		return name
	}
	w := m.Cards.Words()
	if s := w.Owners[o]; s != "" {
		return s
	}
	return w.Owners[diagnosis.Nobody]
}

// plain makes what a device, a person or a target has said one line of printable text.
func plain(s string) string { return runbook.Clean(s) }

// subject says in one line what, where and whose.
func (m *message) subject() string {
	p := phrasesOf(m.Cards.Lang())
	at := "[" + m.Site.Name + "] "
	switch m.What {
	case whatTest:
		return at + fmt.Sprintf(p.testSubject, m.Notice)
	case whatDigest:
		open, over := 0, 0
		for _, x := range m.Items {
			if x.Note.Over {
				over++
			} else {
				open++
			}
		}
		return at + fmt.Sprintf(p.digestSubject, len(m.Items), open, over)
	}
	x := &m.Items[0]
	return at + m.line(p, x)
}

// line is an incident in one line. Of what is over nobody is in charge.
func (m *message) line(p *phrases, x *item) string {
	c := m.card(&x.Note)
	s := p.prefix(x.What) + title(&c, &x.Note)
	if !x.Note.Over {
		s += " (" + p.inCharge + ": " + m.inCharge(x.Note.Owner) + ")"
	}
	return s
}

// textWidth is that of lines in mails, in characters.
const textWidth = 74

// maxListed bounds the incidents that a digest names.
const maxListed = 50

// body is the message as plain text.
func (m *message) body() string {
	p := phrasesOf(m.Cards.Lang())
	var b strings.Builder
	switch m.What {
	case whatTest:
		b.WriteString(runbook.Wrap(fmt.Sprintf(p.test, m.Notice), textWidth, "", "") + "\n")
	case whatDigest:
		b.WriteString(runbook.Wrap(p.digest, textWidth, "", "") + "\n\n")
		for _, x := range m.Items[:min(len(m.Items), maxListed)] {
			m.listed(&b, p, &x)
		}
		if more := len(m.Items) - maxListed; more > 0 {
			fmt.Fprintf(&b, p.more+"\n", more)
		}
	default:
		m.single(&b, p, &m.Items[0])
	}
	if m.Lost > 0 {
		b.WriteString("\n" + runbook.Wrap(fmt.Sprintf(p.lost, m.Lost), textWidth, "", "") + "\n")
	}
	// The signature's mark has a blank at its end.
	b.WriteString("\n-- \nsiteprobe, " + m.Site.Name + " (" + m.Site.Tenant + ")\n")
	if len(m.Items) == 1 {
		b.WriteString(p.incident + " " + plain(m.Items[0].Note.ID) + "\n")
	}
	return b.String()
}

// single is the text about one incident.
func (m *message) single(b *strings.Builder, p *phrases, x *item) {
	n := &x.Note
	c := m.card(n)
	summary := plain(n.Summary)
	sentence := title(&c, n) + "."
	if p.lang == "en" && summary != "" { // the engine speaks English
		sentence, summary = summary, ""
	}
	b.WriteString(runbook.Wrap(p.prefix(x.What)+sentence, textWidth, "", "") + "\n\n")
	facts := [][2]string{{p.since, m.time(p, n.First, n.Sure)}}
	if n.Over {
		facts = append(facts, [2]string{p.until, m.time(p, n.Closed, n.Sure) + " (" + span(n.Closed.Sub(n.First)) + ")"})
	}
	facts = append(facts, [2]string{p.charge, m.inCharge(n.Owner)}, [2]string{p.affected, affected(p, n)}, [2]string{p.message, summary})
	width := 0
	for _, f := range facts {
		width = max(width, len([]rune(f[0])))
	}
	for _, f := range facts {
		if f[1] != "" {
			pad := strings.Repeat(" ", width-len([]rune(f[0]))+2)
			b.WriteString(runbook.Wrap(f[1], textWidth, f[0]+pad, strings.Repeat(" ", width+2)) + "\n")
		}
	}
	if x.Missed > 0 {
		b.WriteString("\n" + runbook.Wrap(fmt.Sprintf(p.missed, x.Missed), textWidth, "", "") + "\n")
	}
	if n.Over {
		return
	}
	b.WriteString("\n" + c.Body(textWidth))
}

// affected names what an incident concerns beside its root.
func affected(p *phrases, n *Note) string {
	if n.Count <= 1 {
		return ""
	}
	var names []string
	for _, a := range n.Affected {
		if name := plain(nameOf(a)); name != "" {
			names = append(names, name)
		}
	}
	out := fmt.Sprintf(p.devices, n.Count)
	if len(names) > 0 {
		out += ": " + strings.Join(names, ", ")
	}
	if more := n.Count - len(names); more > 0 && len(names) > 0 {
		out += " " + fmt.Sprintf(p.more, more)
	}
	return out
}

// listed is an incident's line of a digest.
func (m *message) listed(b *strings.Builder, p *phrases, x *item) {
	line := m.time(p, x.Note.First, x.Note.Sure) + " " + m.line(p, x)
	b.WriteString(runbook.Wrap(line, textWidth, "- ", "  ") + "\n")
}

// time writes a time as people at the site read it.
func (m *message) time(p *phrases, t time.Time, sure bool) string {
	t = t.In(m.Site.Location)
	s := p.weekdays[t.Weekday()] + " " + t.Format(p.layout)
	if !sure {
		s += " (" + p.unsure + ")"
	}
	return s
}

// span writes how long something lasted.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}
