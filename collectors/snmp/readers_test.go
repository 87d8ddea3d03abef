package snmp

import (
	"bytes"
	"encoding/hex"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/recordingtest"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// asker asks an agent with our writer and has each answer read by our reader and by
// gosnmp's, which must agree about every variable.
type asker struct {
	t         *testing.T
	conn      net.Conn
	community string
	id        int32
	buf       []byte
	ours      []pdu.Varbind
	refused   int // of our reader
}

func newAsker(t *testing.T, address, community string) *asker {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &asker{t: t, conn: conn, community: community, buf: make([]byte, 1<<16)}
}

func (a *asker) ask(r pdu.Request) (pdu.Message, []pdu.Varbind) {
	a.t.Helper()
	a.id++
	r.Community, r.ID = a.community, a.id
	if _, err := a.conn.Write(r.Append(nil)); err != nil {
		a.t.Fatal(err)
	}
	_ = a.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := a.conn.Read(a.buf)
	if err != nil {
		a.t.Fatalf("asking %x: %v", r.OIDs, err)
	}
	m, ours, theirs, err := readBoth(a.t, a.buf[:n], a.ours[:0])
	if err != nil {
		a.refused++
		a.t.Logf("%v: %x", err, a.buf[:n])
		return m, theirs
	}
	if m.ID != a.id || m.Type != pdu.TypeResponse {
		a.t.Fatalf("answer %+v to request %d", m, a.id)
	}
	a.ours = ours
	return m, ours
}

// readBoth reads a message with both readers. What ours takes gosnmp's must take as
// well and make the same of it.
func readBoth(t *testing.T, b []byte, dst []pdu.Varbind) (m pdu.Message, ours, theirs []pdu.Varbind, err error) {
	t.Helper()
	m, ours, err = pdu.ReadMessage(b, dst)
	var help tolerant
	tm, theirs, terr := help.read(b, nil, err)
	switch {
	case err != nil && terr != nil:
		return m, nil, nil, err
	case err != nil:
		return tm, nil, theirs, err
	case m.Type != pdu.TypeResponse:
		return m, nil, nil, pdu.ErrTag // the other reader has other shapes for these
	case terr != nil:
		t.Fatalf("only our reader takes %x", b)
	}
	if m.Type != tm.Type || m.ID != tm.ID || m.Status != tm.Status || m.Index != tm.Index {
		t.Fatalf("ours %+v, theirs %+v: %x", m, tm, b)
	}
	if diff := cmp.Diff(theirs, ours, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("-theirs +ours:\n%s%x", diff, b)
	}
	return m, ours, theirs, nil
}

// walk asks for everything that the agent has, and returns how many variables that
// are.
func (a *asker) walk(reps int32) (n int) {
	a.t.Helper()
	at := pdu.MustOID("0.0")
	for {
		_, got := a.ask(pdu.Request{Type: pdu.TypeGetBulk, MaxRepetitions: reps, OIDs: [][]byte{at}})
		if len(got) == 0 {
			return n
		}
		for i := range got {
			v := &got[i]
			if v.Tag == pdu.TagEndOfMibView || pdu.Compare(v.OID, at) <= 0 {
				return n
			}
			at = append(at[:0:0], v.OID...)
			n++
		}
	}
}

// TestReadersAgreeOnRecordings walks all of every recording.
func TestReadersAgreeOnRecordings(t *testing.T) {
	dir := recordingtest.Folder(t)
	address := recordingtest.Serve(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.snmprec"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recordings in %s: %v", len(files), dir, err)
	}
	total := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".snmprec")
		a := newAsker(t, address, name)
		n := a.walk(40)
		if total += n; n == 0 {
			t.Errorf("%s: nothing was read", name)
		}
		if a.refused > 0 {
			t.Errorf("%s: our reader has refused %d answers", name, a.refused)
		}
	}
	t.Logf("%d variables of %d recordings", total, len(files))
}

// TestReadersAgreeOnSnmpd walks net-snmp's agent, and asks it what it answers with
// errors and exceptions.
func TestReadersAgreeOnSnmpd(t *testing.T) {
	a := newAsker(t, startSnmpd(t).address, "canary-community")
	if n := a.walk(30); n < 100 {
		t.Errorf("%d variables", n)
	}
	none, up := pdu.MustOID("1.3.6.1.4.1.99999.1"), pdu.MustOID("1.3.6.1.2.1.1.3.0")
	m, got := a.ask(pdu.Request{Type: pdu.TypeGet, OIDs: [][]byte{up, none, pdu.MustOID("1.3.6.1.2.1.1.3.1")}})
	if m.Status != 0 || len(got) != 3 || got[0].Tag != pdu.TagTimeTicks || got[0].Num == 0 || !bytes.Equal(got[0].OID, up) ||
		got[1].Tag != pdu.TagNoSuchObject || got[2].Tag != pdu.TagNoSuchInstance {
		t.Errorf("%+v", got)
	}
	_, got = a.ask(pdu.Request{Type: pdu.TypeGetNext, OIDs: [][]byte{pdu.MustOID("2.999"), up}})
	if len(got) != 2 || got[0].Tag != pdu.TagEndOfMibView {
		t.Errorf("%+v", got)
	}
	if a.refused > 0 {
		t.Errorf("our reader has refused %d answers", a.refused)
	}
}

// oddValues are what some agents send: no BER that our reader takes, but of use.
func oddValues() map[string]snmptest.Value {
	return map[string]snmptest.Value{
		"1.3.6.1.9.1": snmptest.Raw(pdu.TagIPAddress, nil),
		"1.3.6.1.9.2": snmptest.Raw(pdu.TagCounter32, nil),
		"1.3.6.1.9.3": snmptest.Raw(pdu.TagOID, nil),
		"1.3.6.1.9.4": snmptest.Raw(0x45, []byte{1}),
		"1.3.6.1.9.5": snmptest.Raw(pdu.TagNull, []byte{1}),
		"1.3.6.1.9.6": snmptest.Raw(pdu.TagCounter64, bytes.Repeat([]byte{1}, 10)),
		"1.3.6.1.9.7": snmptest.Raw(pdu.TagIPAddress, make([]byte, 16)),
	}
}

// TestOddAnswers: what only gosnmp's reader makes sense of is read by that, with
// the same result as through a session of gosnmp's, and it is told.
func TestOddAnswers(t *testing.T) {
	for oid, value := range oddValues() {
		mib := snmptest.Switch(3)
		mib.Set(oid, value)
		mib.Set("1.3.6.1.9.0", snmptest.Octets("good"))
		agent := serve(t, snmptest.Config{MIB: mib})
		d := dialing{target: agent.Addr(), auth: v2c("public").Auth, timeout: 2 * time.Second, control: scopeOf("127.0.0.0/8").Control}
		theirs, err := dial(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := socketsOf(t).direct(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"1.3.6.1.9", "1.3.6.1.2.1.2"} {
			oids := [][]byte{pdu.MustOID(from)}
			want, err := theirs.getBulk(t.Context(), oids, 0, 2, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ours.getBulk(t.Context(), oids, 0, 2, nil)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%s: error %v (-gosnmp +ours):\n%s", oid, err, diff)
			}
			if ours.oddity() == nil {
				t.Errorf("%s is not odd", oid)
			}
		}
		theirs.close()
		ours.close()
	}

	mib := snmptest.Switch(3)
	mib.Set(ifs+"19.2", snmptest.Raw(pdu.TagCounter32, nil)) // ifOutDiscards
	c := collectorOf(t, Config{Address: serve(t, snmptest.Config{MIB: mib}).Addr().String()})
	bs := mustPoll(t, c)
	if n := count(bs, "ifOutDiscards"); n != 3 || len(bs[0].Events) != 1 || bs[0].Events[0].Kind != "snmp_odd_answer" {
		t.Errorf("%d ifOutDiscards, events %v", n, bs[0].Events)
	}
	if bs = mustPoll(t, c); len(bs[0].Events) != 0 {
		t.Errorf("told again: %v", bs[0].Events)
	}
}

// FuzzResponse has arbitrary octets read by both readers: ours never panics, reads
// nothing outside, and makes the same as gosnmp's of all that it takes.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"302902010104067075626c6963a21c020412345678020100020100300e300c06082b060102010103004300",
		"302d02010104067075626c6963a220020412345678020100020100301230100608" + "2b06010201010300" + "4304ffffffff",
		"302902010104067075626c6963a21c020412345678020105020101300e300c06082b060102010103000500",
		"301b02010104067075626c6963a20e0204123456780201010201003000",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	a, err := snmptest.Listen("", snmptest.Config{MIB: snmptest.Switch(2)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = a.Close() })
	for oid, value := range oddValues() {
		a.MIB().Set(oid, value)
	}
	conn, err := net.Dial("udp", a.Addr().String())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close() })
	buf := make([]byte, 1<<16)
	for i, root := range []string{"1.3.6.1.2.1.1", "1.3.6.1.2.1.2", "1.3.6.1.2.1.31", "1.3.6.1.9"} {
		r := pdu.Request{Type: pdu.TypeGetBulk, Community: "public", ID: int32(i + 1), MaxRepetitions: 20, OIDs: [][]byte{pdu.MustOID(root)}}
		if _, err := conn.Write(r.Append(nil)); err != nil {
			f.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(buf[:n]))
	}
	f.Fuzz(func(t *testing.T, b []byte) { _, _, _, _ = readBoth(t, b, nil) })
}
