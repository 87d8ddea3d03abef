package sitetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"
)

// hub is a siteprobe-hub beside the broker.
type hub struct {
	binary string
	files  ClientFiles
	run    *daemon
}

// StartHub runs a siteprobe-hub (its path) beside the broker, with its data in
// [Site.HubData] and its page for [Site.HubPage]. HubStall stops it. It is started anew whenever the broker is.
func (s *Site) StartHub(binary string) error {
	files, err := s.pki.client("hub")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hub != nil {
		return errors.New("a hub runs already")
	}
	h := &hub{binary: binary, files: files}
	if err := s.runHub(h); err != nil {
		return err
	}
	s.hub = h
	return nil
}

const hubHTTP = "127.0.0.1:8090"

// HubPage is a client of the hub's page, which is at any http URL of the host 127.0.0.1.
func (s *Site) HubPage() *http.Client {
	dial := func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		err = s.ns[nsInternet].do(func() error {
			c, err = (&net.Dialer{}).DialContext(ctx, "tcp", hubHTTP)
			return err
		})
		return c, err
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// HubData is where the hub keeps what it has received. It is gone after Close.
func (s *Site) HubData() string { return filepath.Join(s.dir, "hub") }

func (s *Site) runHub(h *hub) (err error) {
	h.run, err = s.ns[nsInternet].start(s.log, h.binary, "run", "--data", s.HubData(), "--http", hubHTTP,
		"--broker", fmt.Sprintf("mqtts://%s:%d", s.Broker.V4, brokerPort),
		"--broker-ca", h.files.CA, "--broker-cert", h.files.Cert, "--broker-key", h.files.Key)
	return err
}

// restartHub starts the hub anew, and stops it again where it is stalled.
func (s *Site) restartHub() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hub == nil {
		return nil
	}
	s.hub.run.stop()
	if err := s.runHub(s.hub); err != nil {
		return err
	}
	if s.held[heldHub] > 0 {
		return s.signalHub(syscall.SIGSTOP)
	}
	return nil
}

const heldHub = "hub"

// signalHub is for who holds the site's lock.
func (s *Site) signalHub(sig syscall.Signal) error {
	if s.hub == nil {
		return errors.New("no hub runs: StartHub comes first")
	}
	return s.hub.run.signal(sig)
}
