package snmp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/gosnmp/gosnmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// session is a fetcher over gosnmp: one socket, one credential, one device. It
// must not be used by two goroutines at once.
type session struct {
	dialing
	conn *conn

	// What gosnmp has made of the credential and, of SNMPv3, learned of the engine.
	version gosnmp.SnmpVersion
	flags   gosnmp.SnmpV3MsgFlags
	model   gosnmp.SnmpV3SecurityModel
	params  gosnmp.SnmpV3SecurityParameters
	engine  string

	names  []string // of this request
	dotted []byte
	converter
}

// dialing is all that a session needs to come about.
type dialing struct {
	target      netip.AddrPort // within the scope: the caller has seen to it
	auth        Auth
	timeout     time.Duration
	retries     int
	unconnected bool // take answers from other addresses
	within      func(netip.Addr) bool
	control     func(network, address string, c syscall.RawConn) error
}

// idle holds GoSNMPs that no request needs. Each has 64 KB to receive into, which
// is more than all else that is kept of a device: so a session has none of its own
// but is lent one for each request. It keeps its socket and SNMPv3's state itself.
var idle sync.Pool

// connect opens a socket to the device with a GoSNMP, which has then been made
// ready for requests: there is no other way.
func (d *dialing) connect(ctx context.Context, g *gosnmp.GoSNMP) (*net.UDPConn, error) {
	g.Target, g.Port, g.Transport = d.target.Addr().String(), d.target.Port(), "udp"
	g.Timeout, g.Context, g.Control = d.timeout, ctx, d.control
	g.MaxOids = math.MaxUint8
	if err := g.Connect(); err != nil {
		_ = g.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("opening a session: %w", ctx.Err())
		}
		return nil, dialFailure(err)
	}
	udp, ok := g.Conn.(*net.UDPConn)
	if !ok {
		return nil, ErrSend
	}
	return udp, nil
}

// borrow gives a GoSNMP with the session's settings.
func (s *session) borrow(ctx context.Context) (*gosnmp.GoSNMP, error) {
	g, ok := idle.Get().(*gosnmp.GoSNMP)
	if !ok {
		g = &gosnmp.GoSNMP{Version: gosnmp.Version2c} // until it has settings
		udp, err := s.connect(ctx, g)
		if err != nil {
			return nil, err
		}
		_ = udp.Close()
	}
	g.Version, g.Community = s.version, s.auth.Community.Reveal()
	g.MsgFlags, g.SecurityModel, g.SecurityParameters = s.flags, s.model, s.params
	g.ContextName, g.ContextEngineID = s.auth.Context, s.engine
	g.Conn, g.Context, g.Timeout, g.Retries = s.conn, ctx, s.timeout, s.retries
	return g, nil
}

// giveBack ends borrow.
func (s *session) giveBack(g *gosnmp.GoSNMP) {
	s.engine = g.ContextEngineID
	release(g)
}

// release lets others have a GoSNMP, which then knows nothing of the session.
func release(g *gosnmp.GoSNMP) {
	g.Conn, g.Context, g.Control = nil, nil, nil
	g.Version, g.Community = gosnmp.Version2c, ""
	g.MsgFlags, g.SecurityModel, g.SecurityParameters = 0, 0, nil
	g.ContextName, g.ContextEngineID = "", ""
	idle.Put(g)
}

// dial opens a session. Nothing is sent yet.
func dial(ctx context.Context, d dialing) (*session, error) {
	g, ok := idle.Get().(*gosnmp.GoSNMP)
	if !ok {
		g = &gosnmp.GoSNMP{}
	}
	setAuth(g, &d.auth)
	udp, err := d.connect(ctx, g)
	if err != nil {
		return nil, err
	}
	s := &session{dialing: d, version: g.Version, flags: g.MsgFlags, model: g.SecurityModel, params: g.SecurityParameters}
	release(g)
	c := &conn{udp: udp, remote: d.target}
	if d.unconnected {
		// gosnmp's own unconnected socket has no hook and believes any sender.
		_ = udp.Close()
		network := "udp4"
		if d.target.Addr().Is6() {
			network = "udp6"
		}
		open, err := net.ListenUDP(network, nil)
		if err != nil {
			return nil, ErrSend
		}
		c.udp, c.within = open, d.within
	}
	s.conn = c
	return s, nil
}

// dialFailure says why no socket came about, without gosnmp's text.
func dialFailure(err error) error {
	switch {
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ErrUnreachable
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return ErrSend
	}
	return errNoSocket
}

func setAuth(g *gosnmp.GoSNMP, a *Auth) {
	switch a.Version {
	case "1":
		g.Version, g.Community = gosnmp.Version1, a.Community.Reveal()
		return
	case "2c":
		g.Version, g.Community = gosnmp.Version2c, a.Community.Reveal()
		return
	}
	usm := &gosnmp.UsmSecurityParameters{
		UserName:               a.Username,
		AuthenticationProtocol: gosnmp.NoAuth,
		PrivacyProtocol:        gosnmp.NoPriv,
	}
	g.Version, g.SecurityModel, g.MsgFlags = gosnmp.Version3, gosnmp.UserSecurityModel, gosnmp.NoAuthNoPriv
	g.ContextName, g.SecurityParameters = a.Context, usm
	level := a.level()
	if level == noAuthNoPriv {
		return
	}
	g.MsgFlags = gosnmp.AuthNoPriv
	usm.AuthenticationProtocol = map[string]gosnmp.SnmpV3AuthProtocol{
		"MD5": gosnmp.MD5, "SHA": gosnmp.SHA, "SHA224": gosnmp.SHA224,
		"SHA256": gosnmp.SHA256, "SHA384": gosnmp.SHA384, "SHA512": gosnmp.SHA512,
	}[a.AuthProtocol]
	usm.AuthenticationPassphrase = a.AuthPassword.Reveal()
	if level == authNoPriv {
		return
	}
	g.MsgFlags = gosnmp.AuthPriv
	usm.PrivacyProtocol = map[string]gosnmp.SnmpV3PrivProtocol{
		"DES": gosnmp.DES, "AES": gosnmp.AES, "AES192": gosnmp.AES192, "AES256": gosnmp.AES256,
		"AES192C": gosnmp.AES192C, "AES256C": gosnmp.AES256C,
	}[a.PrivProtocol]
	usm.PrivacyPassphrase = a.PrivPassword.Reveal()
}

func (s *session) get(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	s.name(oids)
	return s.do(ctx, dst, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.Get(s.names) })
}

func (s *session) getNext(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	s.name(oids)
	return s.do(ctx, dst, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.GetNext(s.names) })
}

func (s *session) getBulk(ctx context.Context, oids [][]byte, single, reps int, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	s.name(oids)
	return s.do(ctx, dst, func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
		return g.GetBulk(s.names, uint8(single), uint32(reps))
	})
}

func (s *session) name(oids [][]byte) {
	s.names = s.names[:0]
	for _, o := range oids {
		s.dotted = pdu.AppendDotted(s.dotted[:0], o)
		s.names = append(s.names, string(s.dotted))
	}
}

func (s *session) do(ctx context.Context, dst []pdu.Varbind, ask func(*gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error)) ([]pdu.Varbind, error) {
	g, err := s.borrow(ctx)
	if err != nil {
		return dst, err
	}
	end := s.conn.begin(ctx)
	p, err := ask(g)
	end()
	s.giveBack(g)
	switch {
	case err != nil && expired(ctx):
		return dst, fmt.Errorf("waiting for the answer: %w", context.DeadlineExceeded)
	case err != nil && ctx.Err() != nil:
		return dst, fmt.Errorf("waiting for the answer: %w", ctx.Err())
	case err != nil:
		return dst, s.conn.explain()
	case p.PDUType != gosnmp.GetResponse || p.RequestID == 0:
		// gosnmp takes 0 for the number of any request, so anyone could answer.
		return dst, ErrMalformed
	case p.Error != gosnmp.NoError:
		s.conn.discovered = false
		return dst, &StatusError{Status: int(p.Error), Index: int(p.ErrorIndex)}
	}
	s.conn.discovered = false
	return s.convert(p.Variables, dst), nil
}

// expired tells whether the context's deadline has passed, which its Err may say
// a little later.
func expired(ctx context.Context) bool {
	if errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	at, ok := ctx.Deadline()
	return ok && !time.Now().Before(at)
}

func (s *session) close() { _ = s.conn.Close() }

// answersFrom is the other address that the device answers from, if it does.
func (s *session) answersFrom() netip.Addr { return s.conn.sender }

func (s *session) oddity() error { return nil } // this reader takes whatever it takes
func (s *session) rest()         {}
