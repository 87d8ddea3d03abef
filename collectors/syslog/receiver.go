package syslog

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/receive"
)

// Source is the source of the events.
const Source = "syslog"

// maxMessage bounds what is read of a message: RFC 5424, 6.1 asks for 2048 octets, some
// firewalls send more.
const maxMessage = 8 << 10

// Options of New: what the site file does not say.
type Options struct {
	Socket   *receive.Socket  // nil: not over UDP. It stays open when Run has ended, and
	Listener *net.TCPListener // so does this; nil: not over TCP
	Sources  receive.Sources
	Buffer   receive.Buffer
	Clock    receive.Clock
	Log      *slog.Logger
}

// Receiver receives messages while Run runs.
type Receiver struct {
	opt   Options
	least Severity
	desk  *receive.Desk

	mu         sync.Mutex
	severities [8]uint64
	conns      map[netip.Addr]int
	open       int
}

// Stats counts since the start.
type Stats struct {
	receive.Stats
	Severities map[string]uint64 // messages that were read, by severity
}

// New makes a receiver. The error is of settings.
func New(cfg Config, opt Options) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Receiver{opt: opt, least: cfg.least(), conns: map[netip.Addr]int{},
		desk: receive.NewDesk(receive.Options{What: Source, Clock: opt.Clock, Sources: opt.Sources, Buffer: opt.Buffer})}, nil
}

// Update has others heard from now on than Options.Sources; windows, bursts and counts
// stay.
func (r *Receiver) Update(s receive.Sources) { r.desk.Hear(s) }

// Run receives until ctx is done; then what was received goes to the buffer.
func (r *Receiver) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var desk, receivers sync.WaitGroup
	desking, stopDesk := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDesk()
	desk.Go(func() { r.desk.Run(desking) })
	var udp, tcp error
	if r.opt.Socket != nil {
		receivers.Go(func() {
			udp = r.opt.Socket.Serve(ctx, maxMessage, r.datagram, r.desk.Lost)
		})
	}
	if r.opt.Listener != nil {
		receivers.Go(func() { tcp = r.serveTCP(ctx) })
	}
	receivers.Wait()
	stopDesk() // nobody tells it anything any more
	desk.Wait()
	return errors.Join(udp, tcp)
}

// Stats counts what came and what became of it.
func (r *Receiver) Stats() Stats {
	s := Stats{Stats: r.desk.Stats(), Severities: map[string]uint64{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, n := range r.severities {
		s.Severities[Severity(i).String()] = n
	}
	return s
}

// datagram takes a message that came over UDP. What is longer than is read is cut: its
// beginning is worth more than nothing.
func (r *Receiver) datagram(d *receive.Datagram) { r.message(d.From.Addr(), d.Data) }

// message takes one message.
func (r *Receiver) message(from netip.Addr, b []byte) {
	if !r.desk.Admit(from) {
		return
	}
	m, ok := Parse(b)
	if !ok {
		r.desk.Drop(receive.Malformed, from, 1)
		return
	}
	r.mu.Lock()
	r.severities[m.Severity]++
	r.mu.Unlock()
	f, failed := loginFailure(&m)
	if m.Severity > r.least && !failed {
		return
	}
	r.desk.Tell(note(&m, from, f, failed))
}

// note makes a note of a message. That somebody could not log in is one kind of
// message, whatever name and port he tried; the desk leaves out what differs.
func note(m *Message, from netip.Addr, f failure, failed bool) receive.Note {
	n := receive.Note{From: from, Kind: "syslog", Severity: severityOf(m.Severity), Text: m.Text, Key: m.App + "\x00" + m.ID + "\x00" + m.Text}
	if m.Fields != nil {
		n.Key = fieldsKey(m)
		n.Text = fieldsText(m)
	}
	if m.App != "" && m.ID == "" {
		n.Text = collectors.Clip(m.App+": "+n.Text, collectors.MaxText)
	}
	label := func(name, value string) {
		if value != "" {
			n.Labels = append(n.Labels, collectors.Label{Name: name, Value: value})
		}
	}
	label("severity", m.Severity.String())
	label("facility", m.Facility)
	label("hint", "true") // anyone on the LAN could have sent it
	if failed {
		n.Kind, n.Key, n.Alarm, n.Culprit = "login_failure", "", receive.LoginFailures, f.from
		n.Severity = max(n.Severity, collectors.Warning)
		label("security", "true")
		label("user", f.user)
		label("from", f.from)
	}
	label("host", m.Host)
	label("app", m.App)
	label("id", m.ID)
	return n
}

// severityOf is the event's: errors and worse, warnings, and the rest.
func severityOf(s Severity) collectors.Severity {
	switch {
	case s <= Error:
		return collectors.Error
	case s == Warning:
		return collectors.Warning
	}
	return collectors.Info
}

// fieldsText is what a message of key=value has to say to a person.
func fieldsText(m *Message) string {
	s := m.says()[0]
	if d := m.Fields["logdesc"]; d != "" && d != s && s != m.Text {
		s = d + ": " + s
	}
	return collectors.Clip(s, collectors.MaxText)
}

// fieldsKey leaves out the fields that number and date each message.
func fieldsKey(m *Message) string {
	keys := []string{"logid", "type", "subtype", "level", "vd", "logdesc", "action", "status", "user", "msg",
		"log_id", "log_type", "log_component", "log_subtype", "priority", "user_name", "message", "pri", "c", "m", "usr"}
	var b strings.Builder
	for _, key := range keys {
		b.WriteString(m.Fields[key])
		b.WriteByte(0)
	}
	if b.Len() == len(keys) { // none of them: another maker's keys
		return m.Text
	}
	return b.String()
}
