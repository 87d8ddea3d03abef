package uplink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/hub/broker"
	"github.com/siteprobe/siteprobe/uplink/mqtt"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

// hang bounds waits on real sockets; it only ends tests that fail.
const hang = 60 * time.Second

// at points a sender to a server, with pauses that suit a test. They are long
// enough for the hub to be back before the box.
func at(url string) func(*uplink.Config, *uplink.Options) {
	return func(c *uplink.Config, _ *uplink.Options) {
		c.Servers = []string{url}
		c.Backoff = uplink.Backoff{Min: 3 * time.Second, Max: 3 * time.Second}
	}
}

func TestEmbeddedBroker(t *testing.T) {
	br, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Users: map[string]collectors.Secret{site().Probe(): "pw"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := br.Start(); err != nil {
		t.Fatal(err)
	}
	defer br.Close()
	user, password := br.HubCredentials()
	m := newMSP(t, mqtt.New(mqtt.Options{Username: user, Password: password}), br.HubServer()).start()
	defer m.stop()
	b := newBox(t, 50)
	b.commit(200)
	wrong := mqtt.New(mqtt.Options{Username: site().Probe(), Password: "guess"})
	b.start(wrong, at("mqtt://"+br.Addr()))
	b.state(uplink.StateWaiting, hang)
	if st := b.sender.State(); !strings.Contains(st.Error, string(uplink.ReasonCredentials)) || strings.Contains(st.Error, "guess") {
		t.Errorf("%+v", st)
	}
	b.stop()
	b.start(mqtt.New(mqtt.Options{Username: site().Probe(), Password: "pw"}), at("mqtt://"+br.Addr()))
	b.state(uplink.StateConnected, hang)
	b.commit(5)
	complete(t, b, m, 205, hang)
	b.stop()
}

// The broker is killed in the middle of a backlog: nothing is lost, and nothing is
// stored twice.
func TestBrokerKilled(t *testing.T) {
	mo := uplinktest.StartMosquitto(t)
	tr := mqtt.New(mqtt.Options{})
	m := newMSP(t, tr, mo.URL("mqtt")).start()
	b := newBox(t, 529)
	const backlog = 1500
	b.commit(backlog)
	b.start(tr, at(mo.URL("mqtt")))
	until(t, hang, "the backlog to begin", func() bool { return b.waiting() < backlog-50 })
	mo.Kill9()
	left := b.waiting()
	b.commit(10)
	mo.Restart()
	complete(t, b, m, backlog+10, hang)
	if n := len(m.stored()); n != backlog+10 {
		t.Errorf("%d blocks are stored for %d", n, backlog+10)
	}
	t.Logf("%d blocks were pending at the kill, %d redelivered", left, m.proof().Redelivered)
	b.stop()
}

func TestMosquittoStatusAndWill(t *testing.T) {
	mo := uplinktest.StartMosquitto(t)
	proxy := uplinktest.NewProxy(t, mo.Addr())
	tr := mqtt.New(mqtt.Options{})
	statusAndWill(t, tr, redirect{tr, proxy.URL()}, mo.URL("mqtt"), proxy.CutAll)
}

// redirect dials another server than it is told.
type redirect struct {
	uplink.Transport
	url string
}

func (r redirect) Dial(ctx context.Context, _ string, hello uplink.Hello) (uplink.Conn, error) {
	return r.Transport.Dial(ctx, r.url, hello)
}

func TestWrongCertificate(t *testing.T) {
	pki, other := uplinktest.NewPKI(t), uplinktest.NewPKI(t)
	mo := uplinktest.StartMosquitto(t, uplinktest.TLSLines(pki, time.Time{}, false)...)
	b := newBox(t, 1)
	b.commit(1)
	b.start(mqtt.New(mqtt.Options{TLS: other.TLS("")}), at(mo.URL("mqtts")))
	b.state(uplink.StateWaiting, hang)
	st := b.sender.State()
	if !strings.Contains(st.Error, string(uplink.ReasonCertificate)) || !strings.Contains(st.Error, "not signed by the configured CA") {
		t.Errorf("%+v", st)
	}
	b.stop()
}

// mosquitto acknowledges what its ACL denies: a PUBACK is no delivery.
func TestMosquittoDenies(t *testing.T) {
	acl := t.TempDir() + "/acl"
	writeFile(t, acl, "topic readwrite sp/v1/t/s/a\ntopic read sp/v1/t/s/d/l\n")
	mo := uplinktest.StartMosquitto(t, "acl_file "+acl)
	tr := mqtt.New(mqtt.Options{})
	m := newMSP(t, tr, mo.URL("mqtt")).start()
	b := newBox(t, 1)
	b.start(tr, at(mo.URL("mqtt")))
	b.state(uplink.StateConnected, hang)
	b.commit(5)
	// Every message has its PUBACK when a later one of another client has.
	late, err := tr.Dial(t.Context(), mo.URL("mqtt"), uplink.Hello{ClientID: "late"})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close(true)
	until(t, hang, "the blocks to be sent", func() bool { return b.sender.Counters().BlocksSent >= 5 })
	uplinktest.Await(t, late.Publish(uplink.Message{Topic: "x"}).Done(), "a PUBACK")
	if n := b.waiting(); n != 5 || len(m.stored()) != 0 {
		t.Errorf("%d blocks are pending, %d stored", n, len(m.stored()))
	}
	b.stop()
}

// With ack: broker readings travel as lines, and count as delivered on PUBACK.
func TestConverted(t *testing.T) {
	mo := uplinktest.StartMosquitto(t)
	memory := uplinktest.NewMemory()
	for name, where := range map[string]struct {
		tr  uplink.Transport
		url string
	}{"mosquitto": {mqtt.New(mqtt.Options{}), mo.URL("mqtt")}, "memory": {memory, "mqtt://memory"}} {
		for _, f := range []string{uplink.FormatJSON, uplink.FormatInflux} {
			t.Run(name+" "+f, func(t *testing.T) { converted(t, where.tr, where.url, f) })
		}
	}
}

func converted(t *testing.T, tr uplink.Transport, url, f string) {
	t.Helper()
	var lines atomic.Int64
	sub, err := tr.Dial(t.Context(), url, uplink.Hello{ClientID: "telegraf"})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close(true)
	err = sub.Subscribe(t.Context(), []string{"sp/v1/+/+/" + f}, func(m uplink.Message) {
		for line := range bytes.Lines(m.Payload) {
			if f == uplink.FormatJSON && !json.Valid(line) || f == uplink.FormatInflux && !bytes.HasPrefix(line, []byte("ifHCInOctets,device=sw,ifIndex=")) {
				t.Errorf("%s", line)
			}
			lines.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b := newBox(t, 1000)
	b.commit(30)
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close()
	convert, err := format.New(f, codec, format.Schemas(b.buf.SchemaBytes, codec), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.start(tr, func(c *uplink.Config, o *uplink.Options) {
		at(url)(c, o)
		c.Ack, c.Format, o.Converter = uplink.AckBroker, f, convert
	})
	b.state(uplink.StateConnected, hang)
	b.commit(5)
	until(t, hang, "the blocks to be delivered", func() bool { return b.waiting() == 0 })
	until(t, hang, "all lines", func() bool { return lines.Load() >= 35_000 })
	if n := lines.Load(); n != 35_000 {
		t.Errorf("%d lines for 35,000 readings", n)
	}
	if st := b.sender.State(); st.Proved {
		t.Errorf("%+v", st)
	}
	b.stop()
}
