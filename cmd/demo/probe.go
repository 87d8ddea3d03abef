package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// probe asks the probe how it is, and the hub what it has of it.
type probe struct {
	client     http.Client
	hub, store string // the hub's program and its folder
}

// maxSocketPath is what the kernel takes for the path of a Unix socket.
const maxSocketPath = 107

func newProbe(socket, hub, store string) (*probe, error) {
	if len(socket) > maxSocketPath {
		return nil, fmt.Errorf("the path of the control socket %s has more than the %d octets that the kernel allows: choose another folder with --state", socket, maxSocketPath)
	}
	return &probe{hub: hub, store: store, client: http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}, nil
}

// status is what the demo reads of `siteprobe status --json`.
type status struct {
	Uplink struct{ State, Error string }
	Buffer struct {
		PendingReadings int64      `json:"pending_readings"`
		PendingBytes    int64      `json:"pending_bytes"`
		Oldest          *time.Time `json:"oldest"`
	}
	Devices struct {
		Total, Answering int
		List             []struct{ Source, Result string }
	}
}

// waitsSince tells whether readings older than at are pending. Times come in whole
// seconds.
func (s *status) waitsSince(at time.Time) bool {
	return s.Buffer.Oldest != nil && s.Buffer.Oldest.Before(at.Truncate(time.Second))
}

// troubles lists the sources that gave nothing.
func (s *status) troubles() (out []string) {
	for _, d := range s.Devices.List {
		if d.Result == "failed" || d.Result == "down" {
			out = append(out, d.Source)
		}
	}
	slices.Sort(out)
	return out
}

func (p *probe) status(ctx context.Context) (*status, error) {
	var s status
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://siteprobe/status", nil)
	if err != nil {
		return nil, err
	}
	r, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the probe: %w", err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&s); err != nil {
		return nil, fmt.Errorf("reading the probe's answer: %w", err)
	}
	return &s, nil
}

// proof is what the demo reads of `siteprobe-hub verify --json`.
type proof struct {
	Expected, Stored, Pending, Lost int64
	Complete                        bool
	AsOf                            string `json:"as_of"` // RFC 3339; empty without an account
}

// since tells whether the proof rests on an account that is not older than at.
// Times come in whole seconds.
func (p *proof) since(at time.Time) bool {
	t, err := time.Parse(time.RFC3339, p.AsOf)
	return err == nil && !t.Before(at.Truncate(time.Second))
}

func (p *probe) verify(ctx context.Context) (*proof, error) {
	var stdout, stderr strings.Builder
	c := exec.CommandContext(ctx, p.hub, "--data", p.store, "verify", "--json", "--site", siteName)
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var bad *exec.ExitError
	if err != nil && (!errors.As(err, &bad) || bad.ExitCode() != 1) { // 1: not complete
		return nil, fmt.Errorf("siteprobe-hub verify: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var out proof
	if err := json.Unmarshal([]byte(stdout.String()), &out); err != nil {
		return nil, fmt.Errorf("reading what siteprobe-hub verify says: %w", err)
	}
	return &out, nil
}
