package diagnosis_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/diagnosis/sitetest"
	"github.com/siteprobe/siteprobe/collectors/host"
)

// order is what a diagnosis in the box is asked for, and answer what it gives.
type order struct {
	Config   diagnosis.Config
	Contract diagnosis.Contract
	Base     diagnosis.Baseline
	TLS      sitetest.ClientFiles
	WANPort  diagnosis.Result
}

type answer struct {
	Facts []diagnosis.Fact
	Took  time.Duration
}

func TestMain(m *testing.M) {
	sitetest.Main(m, map[string]func([]string) error{"diagnose": diagnose})
}

// diagnose runs in the box: it reads an order from stdin, and writes an answer.
func diagnose([]string) error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	uplink := make(chan diagnosis.Uplink, 1)
	go func() { uplink <- try(o.TLS) }()
	box := host.New(host.Config{})
	in := diagnosis.Inputs{
		Host: func(ctx context.Context) (b collectors.Batch, err error) {
			err = box.Collect(ctx, func(x collectors.Batch) { b = x })
			return b, err
		},
		Servers: []string{sitetest.BrokerURL},
		Roots: func() (*x509.CertPool, error) {
			pem, err := os.ReadFile(o.TLS.CA)
			p := x509.NewCertPool()
			p.AppendCertsFromPEM(pem)
			return p, err
		},
		Uplink:  func(context.Context) diagnosis.Uplink { return <-uplink },
		WANPort: func(context.Context) (diagnosis.Result, string) { return o.WANPort, "" },
	}
	start := time.Now()
	fs := diagnosis.New(o.Config, o.Contract, in).Run(context.Background(), o.Base, nil)
	return json.NewEncoder(os.Stdout).Encode(answer{fs, time.Since(start)})
}

// try stands in for the sender: it opens four sessions in a row at most, and tells how
// they went.
func try(files sitetest.ClientFiles) (u diagnosis.Uplink) {
	u.Configured = true
	for range 4 {
		stage, code, lasted := session(files)
		u.Stage = stage
		switch {
		case stage == "" && lasted >= 2*time.Second:
			u.Connected, u.Short = true, 0
			return u
		case stage == "session":
			u.Short++
		case stage == "connack" && code == 3:
			u.Reason = diagnosis.ReasonBusy
			u.Refused++
		case stage == "connack" && code != 0:
			u.Reason = diagnosis.ReasonAuth
			u.Refused++
		case stage == "dial" || stage == "tls":
			return u
		}
	}
	return u
}

// session opens one and holds it for two seconds; stage is where it ended.
func session(files sitetest.ClientFiles) (stage string, code byte, lasted time.Duration) {
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return "tls", 0, 0
	}
	pem, _ := os.ReadFile(files.CA)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	raw, err := net.DialTimeout("tcp", "broker.lab.test:8883", 4*time.Second)
	if err != nil {
		return "dial", 0, 0
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(4 * time.Second))
	c := tls.Client(raw, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "broker.lab.test"})
	if c.Handshake() != nil {
		return "tls", 0, 0
	}
	id := sitetest.SiteName
	b := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, byte(len(id))}, id...)
	if _, err := c.Write(append([]byte{0x10, byte(len(b))}, b...)); err != nil {
		return "connack", 0, 0
	}
	var ack [4]byte
	if _, err := io.ReadFull(c, ack[:]); err != nil {
		return "connack", 0, 0
	}
	if ack[3] != 0 {
		return "connack", ack[3], 0
	}
	start := time.Now()
	_ = raw.SetDeadline(start.Add(2 * time.Second))
	_, err = c.Read(ack[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", 0, time.Since(start)
	}
	return "session", 0, time.Since(start)
}

// inBox runs a diagnosis in the box.
func inBox(s *sitetest.Site, o order) (a answer, err error) {
	cmd, err := s.Box().Role("diagnose")
	if err != nil {
		return a, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return a, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return a, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return a, fmt.Errorf("starting in the box: %w", err)
	}
	if err = json.NewEncoder(in).Encode(o); err == nil {
		err = in.Close()
	}
	return a, errors.Join(err, json.NewDecoder(out).Decode(&a), cmd.Wait())
}

// labConfig asks what the lab has.
func labConfig(p *sitetest.Plan) diagnosis.Config {
	c := diagnosis.Config{
		Portal: []diagnosis.Page{{URL: sitetest.PortalURL, Body: sitetest.PortalBody}},
		Names: diagnosis.Names{Canary: "portal.lab.test", Addresses: []string{p.Portal.V4.String()},
			Signed: "signed.lab.test", Bogus: "bogus.lab.test", Random: "lab.test"},
		Resolvers: []string{p.PublicResolver.V4.String(), p.Anchors[1].V4.String(), p.Anchors[2].V4.String()},
	}
	for i, a := range p.Anchors {
		c.Anchors = append(c.Anchors, diagnosis.Anchor{Provider: fmt.Sprint("provider ", i+1), Address4: a.V4.String(), Address6: a.V6.String(), TCP: 443, DNS: true})
	}
	for _, n := range p.NTP {
		c.NTP = append(c.NTP, n.V4.String())
	}
	return c
}
