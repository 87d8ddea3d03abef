package trap

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/usm"
)

// refusal is why an SNMPv3 message is not believed, as what its sender is told (RFC
// 3414, 3.2).
type refusal struct {
	why    string
	report []byte // the variable of usmStats that is reported
}

func (r *refusal) Error() string { return r.why }

var (
	errLevel     = &refusal{"security_level", pdu.MustOID("1.3.6.1.6.3.15.1.1.1.0")}
	errWindow    = &refusal{"time_window", pdu.MustOID("1.3.6.1.6.3.15.1.1.2.0")}
	errUser      = &refusal{"unknown_user", pdu.MustOID("1.3.6.1.6.3.15.1.1.3.0")}
	errEngine    = &refusal{"unknown_engine", pdu.MustOID("1.3.6.1.6.3.15.1.1.4.0")}
	errDigest    = &refusal{"wrong_digest", pdu.MustOID("1.3.6.1.6.3.15.1.1.5.0")}
	errDecrypted = &refusal{"decryption", pdu.MustOID("1.3.6.1.6.3.15.1.1.6.0")}
)

// user is a credential of the site file as USM has it.
type user struct {
	name  string
	level byte // flags that a message must have
	keys  *usm.User
	own   *usm.Keys // at this box's engine
}

// security is the user-based security model of one receiver: who may send what.
type security struct {
	engine *Engine
	users  []*user
	stats  map[*refusal]uint32
}

func newSecurity(e *Engine, credentials []snmp.Credential) (*security, error) {
	s := &security{engine: e, stats: map[*refusal]uint32{}}
	for _, c := range credentials {
		a := c.Auth
		if a.Version != "3" {
			continue
		}
		k, err := usm.NewUser(a.AuthProtocol, a.AuthPassword.Reveal(), a.PrivProtocol, a.PrivPassword.Reveal())
		if err != nil {
			return nil, fmt.Errorf("credential %q: %w", c.Name, err)
		}
		u := &user{name: a.Username, keys: k, own: k.Localize(e.id)}
		if k.Authenticates() {
			u.level |= flagAuth
		}
		if k.Encrypts() {
			u.level |= flagPriv
		}
		s.users = append(s.users, u)
	}
	return s, nil
}

// opened is a message that is believed as far as its level goes.
type opened struct {
	secured
	scopedPDU
	keys *usm.Keys // of its user at its authoritative engine
	ours bool      // that engine is this box
}

// asks tells whether a message names no engine (an ID has 5 octets at least): this is
// how senders ask who we are (RFC 3414, 4).
func (o *opened) asks() bool { return len(o.secured.engine) < 5 }

// open checks a message and decrypts it. The error is a *refusal, or says that the
// message is malformed. With a time that is wrong the keys come with the refusal, so
// that its report can be signed.
func (s *security) open(m *secured, message []byte) (o opened, err error) {
	o = opened{secured: *m, ours: bytes.Equal(m.engine, s.engine.id)}
	if o.asks() {
		return o, errEngine
	}
	if o.keys, err = s.authenticate(m, message, o.ours); err != nil {
		return o, err
	}
	if m.flags&flagAuth != 0 && !s.timely(m, o.ours) {
		return o, errWindow
	}
	plain := m.scoped
	if m.flags&flagPriv != 0 {
		if plain, err = o.keys.Decrypt(m.boots, m.time, m.salt, m.encrypted); err != nil {
			return o, errDecrypted
		}
	}
	if o.scopedPDU, err = readScoped(plain, m.flags&flagPriv != 0); err != nil {
		if m.flags&flagPriv != 0 {
			return o, errDecrypted
		}
		return o, err
	}
	return o, nil
}

// authenticate finds the keys of the user whose signature it is. Several credentials
// may have the same user name, as devices have passwords of their own. A user's
// messages must be as secure as the site file says of him.
func (s *security) authenticate(m *secured, message []byte, ours bool) (*usm.Keys, error) {
	var why error = errUser
	for _, u := range s.users {
		if u.name != string(m.user) {
			continue
		}
		if m.flags&(flagAuth|flagPriv) != u.level {
			if errors.Is(why, errUser) {
				why = errLevel
			}
			continue
		}
		keys := u.own
		if !ours {
			keys = u.keys.Localize(m.engine)
		}
		if u.level&flagAuth == 0 || len(m.mac) == keys.MACSize() && keys.Verify(message, m.macAt) {
			return keys, nil
		}
		why = errDigest
	}
	return nil, why
}

// timely tells whether a message that is authentic is of now (RFC 3414, 3.2, step 7).
func (s *security) timely(m *secured, ours bool) bool {
	if ours {
		now := s.engine.time()
		return m.boots == s.engine.boots && max(m.time, now)-min(m.time, now) <= timeWindow
	}
	return s.engine.peers.timely(string(m.engine), m.boots, m.time, s.engine.now())
}

// report tells a sender why its message was not believed, which is also how it learns
// the box's engine id, boots and time.
func (s *security) report(o *opened, why *refusal) []byte {
	s.stats[why]++
	id := int64(0)
	if len(o.scoped) > 0 {
		if p, err := readScoped(o.scoped, false); err == nil {
			id = requestIDOf(p.pdu)
		}
	}
	counter := tlv(tagSequence, tlv(pdu.TagOID, why.report), number(pdu.TagCounter32, int64(s.stats[why])))
	body := tlv(tagReport, number(pdu.TagInteger, id), number(pdu.TagInteger, 0), number(pdu.TagInteger, 0), tlv(tagSequence, counter))
	scoped := tlv(tagSequence, tlv(pdu.TagOctets, s.engine.id), tlv(pdu.TagOctets), body)
	flags := byte(0)
	if why == errWindow && o.keys != nil {
		flags = flagAuth // RFC 3414, 3.2, step 7a
	}
	out, err := s.seal(o, flags, scoped)
	if err != nil {
		return nil
	}
	return out
}

// answer makes the response to an inform.
func (s *security) answer(o *opened, n *notification) ([]byte, error) {
	level := o.flags & (flagAuth | flagPriv)
	scoped := func(body []byte) []byte {
		return tlv(tagSequence, tlv(pdu.TagOctets, o.scopedPDU.engine), tlv(pdu.TagOctets, o.context), body)
	}
	out, err := s.seal(o, level, scoped(n.response()))
	if err == nil && int64(len(out)) > o.maxSize {
		out, err = s.seal(o, level, scoped(n.tooBig()))
	}
	return out, err
}

// seal makes a message of this engine in answer to another.
func (s *security) seal(o *opened, flags byte, scoped []byte) ([]byte, error) {
	boots, time := s.engine.boots, s.engine.time()
	data := scoped
	var mac, salt []byte
	if flags&flagPriv != 0 {
		fresh := s.engine.nextSalt()
		salt = fresh[:]
		cipher, err := o.keys.Encrypt(boots, time, fresh, scoped)
		if err != nil {
			return nil, fmt.Errorf("encrypting an answer: %w", err)
		}
		data = tlv(pdu.TagOctets, cipher)
	}
	if flags&flagAuth != 0 {
		mac = make([]byte, o.keys.MACSize())
	}
	head := tlv(tagSequence, number(pdu.TagInteger, o.id), number(pdu.TagInteger, maxMessageSize), tlv(pdu.TagOctets, []byte{flags}), number(pdu.TagInteger, modelUSM))
	tail := append(tlv(pdu.TagOctets, salt), data...) // what stands behind the signature
	params := tlv(tagSequence, tlv(pdu.TagOctets, s.engine.id), number(pdu.TagInteger, int64(boots)), number(pdu.TagInteger, int64(time)),
		tlv(pdu.TagOctets, o.user), tlv(pdu.TagOctets, mac), tlv(pdu.TagOctets, salt))
	out := tlv(tagSequence, number(pdu.TagInteger, version3), head, tlv(pdu.TagOctets, params), data)
	if flags&flagAuth != 0 {
		o.keys.Sign(out, len(out)-len(tail)-len(mac))
	}
	return out, nil
}
