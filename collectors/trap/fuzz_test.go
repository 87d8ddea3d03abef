package trap

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/siteprobe/siteprobe/collectors/receive"
)

// FuzzTrap: whatever comes, the receiver neither panics nor lets a community or more
// than a batch's bounds through.
func FuzzTrap(f *testing.F) {
	for _, b := range hostile() {
		f.Add(b)
	}
	f.Add(v2c("canary-community", linkDownPDU(tagTrapV2, 1)))
	f.Add(v2c("canary-community", linkDownPDU(tagInform, 1, bind("1.3.6.1.2.1.2.2.1.8.3", num(2)))))
	f.Add(v3(nil, flagReportable, "", scoped(nil, tlv(tagGet, num(1), num(0), num(0), tlv(tagSequence)))))
	f.Add(v3(theirEngine, 0, "open", scoped(theirEngine, linkDownPDU(tagTrapV2, 1))))
	f.Add(v3(theirEngine, flagAuth|flagPriv|flagReportable, "core", text("12345678")))
	r := still(f)
	from := netip.MustParseAddrPort("127.0.0.1:9")
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(b)
		if err != nil {
			return
		}
		r.handle(&receive.Datagram{From: from, Data: b})
		// And with whatever stands in front of it believed.
		body := m.pdu
		if m.version == version3 {
			o, err := r.security.open(&m.secured, b)
			var why *refusal
			if errors.As(err, &why) {
				if _, err := readMessage(r.security.report(&o, why)); err != nil {
					t.Errorf("the report of %v cannot be read: %v", why, err)
				}
			}
			s, err := readScoped(m.secured.scoped, true)
			if err != nil {
				return
			}
			body = s.pdu
		}
		n, err := readNotification(m.version, body)
		if err != nil {
			return
		}
		note := describe(&n, *r.names.Load(), from.Addr(), true)
		if len(note.Text) > 255 || note.Text == "" || len(note.Labels) > 13 {
			t.Errorf("%+v", note)
		}
		if n.inform {
			if back, err := readMessage(v2c("x", n.response())); err != nil || requestIDOf(back.pdu) != n.requestID {
				t.Errorf("its answer cannot be read: %v", err)
			}
		}
	})
}
