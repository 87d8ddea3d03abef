package trap

import (
	"bytes"
	"math"
	"net/netip"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Versions as they travel.
const (
	version1  = 0
	version2c = 1
	version3  = 3
)

// message is an SNMP message, taken apart as far as no key is needed.
type message struct {
	version   int64
	community []byte // v1, v2c
	pdu       []byte // v1, v2c: tag, length and content
	secured   secured
}

// readMessage takes a datagram apart.
func readMessage(b []byte) (m message, err error) {
	r := reader{b}
	body, err := r.want(tagSequence)
	if err != nil {
		return m, err
	}
	if err := r.end(); err != nil {
		return m, err
	}
	r = reader{body}
	if m.version, err = r.integer(0, 3); err != nil {
		return m, err
	}
	switch m.version {
	case version1, version2c:
		if m.community, err = r.want(pdu.TagOctets); err != nil {
			return m, err
		}
		if _, _, m.pdu, err = r.next(); err != nil {
			return m, err
		}
	case version3:
		if m.secured, err = readSecured(&r, b); err != nil {
			return m, err
		}
	default:
		return m, errMalformed
	}
	return m, r.end()
}

// notification is a trap or an inform of any version, in the words of SNMPv2.
type notification struct {
	version   int64
	inform    bool
	requestID int64
	oid       []byte        // what snmpTrapOID.0 says
	vars      []pdu.Varbind // besides sysUpTime.0 and snmpTrapOID.0
	more      int           // variables that are left out
	agent     netip.Addr    // of an SNMPv1 trap: where it was before a relay
	varbinds  []byte        // the list as it came, for the answer
}

var (
	oidUptime     = pdu.MustOID("1.3.6.1.2.1.1.3.0")
	oidTrap       = pdu.MustOID("1.3.6.1.6.3.1.1.4.1.0")
	oidEnterprise = pdu.MustOID("1.3.6.1.6.3.1.1.4.3.0")
	oidAddress    = pdu.MustOID("1.3.6.1.6.3.18.1.3.0") // snmpTrapAddress.0
	oidCommunity  = pdu.MustOID("1.3.6.1.6.3.18.1.4.0") // snmpTrapCommunity.0
	oidGeneric    = pdu.MustOID("1.3.6.1.6.3.1.1.5")    // snmpTraps
)

// readNotification reads the PDU of a notification.
func readNotification(version int64, b []byte) (n notification, err error) {
	r := reader{b}
	tag, body, _, err := r.next()
	if err != nil {
		return n, err
	}
	if err := r.end(); err != nil {
		return n, err
	}
	n.version = version
	switch {
	case tag == tagTrapV1 && version == version1:
		err = n.readV1(body)
	case (tag == tagTrapV2 || tag == tagInform) && version != version1:
		n.inform = tag == tagInform
		err = n.readV2(body)
	default:
		err = errMalformed
	}
	return n, err
}

func (n *notification) readV2(body []byte) (err error) {
	r := reader{body}
	if n.requestID, err = r.integer(math.MinInt32, math.MaxInt32); err != nil {
		return err
	}
	for range 2 { // error-status and error-index mean nothing here
		if _, err := r.integer(math.MinInt32, math.MaxInt32); err != nil {
			return err
		}
	}
	n.varbinds = r.b
	if err := n.readVariables(&r); err != nil {
		return err
	}
	if n.oid == nil {
		return errMalformed
	}
	return nil
}

// readVariables reads the list and keeps what says more than that it is a
// notification.
func (n *notification) readVariables(r *reader) error {
	vars, err := pdu.ReadVarbinds(r.b, nil)
	if err != nil {
		return errMalformed
	}
	for _, v := range vars {
		switch {
		case bytes.Equal(v.OID, oidTrap):
			if v.Tag != pdu.TagOID {
				return errMalformed
			}
			n.oid = v.Bytes
		case bytes.Equal(v.OID, oidAddress) && v.Tag == pdu.TagIPAddress:
			n.agent = netip.AddrFrom4([4]byte(v.Bytes))
		case bytes.Equal(v.OID, oidUptime), bytes.Equal(v.OID, oidEnterprise), bytes.Equal(v.OID, oidCommunity):
			// The last would be a secret.
		case len(n.vars) < maxVariables:
			n.vars = append(n.vars, v)
		default:
			n.more++
		}
	}
	return nil
}

// Generic traps of SNMPv1.
const (
	genericLast        = 5 // egpNeighborLoss
	enterpriseSpecific = 6
)

// readV1 puts an SNMPv1 trap in the words of SNMPv2 (RFC 3584, 3.1).
func (n *notification) readV1(body []byte) error {
	r := reader{body}
	enterprise, err := r.want(pdu.TagOID)
	if err != nil || !pdu.ValidOID(enterprise) {
		return errMalformed
	}
	agent, err := r.want(pdu.TagIPAddress)
	if err != nil || len(agent) != 4 {
		return errMalformed
	}
	generic, err := r.integer(0, enterpriseSpecific)
	if err != nil {
		return err
	}
	specific, err := r.integer(math.MinInt32, math.MaxInt32)
	if err != nil {
		return err
	}
	if _, err := r.want(pdu.TagTimeTicks); err != nil {
		return err
	}
	if err := n.readVariables(&r); err != nil {
		return err
	}
	n.agent = netip.AddrFrom4([4]byte(agent))
	if generic <= genericLast {
		n.oid = append(bytes.Clone(oidGeneric), byte(generic+1))
		return nil
	}
	n.oid = pdu.AppendArc(append(bytes.Clone(enterprise), 0), uint64(uint32(specific)))
	return nil
}

// response is the PDU that answers an inform: its request number and variables, no
// error (RFC 3416, 4.2.7).
func (n *notification) response() []byte {
	return tlv(tagResponse, number(pdu.TagInteger, n.requestID), number(pdu.TagInteger, 0), number(pdu.TagInteger, 0), n.varbinds)
}

// tooBig is the PDU that answers it where the sender could not take the response.
func (n *notification) tooBig() []byte {
	return tlv(tagResponse, number(pdu.TagInteger, n.requestID), number(pdu.TagInteger, 1), number(pdu.TagInteger, 0), tlv(tagSequence))
}
