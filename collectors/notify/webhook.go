package notify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/collectors/runbook"
)

// The webhook's headers.
const (
	SignatureHeader = "Siteprobe-Signature"
	DeliveryHeader  = "Siteprobe-Delivery"
)

// poster posts JSON.
type poster struct {
	cfg Webhook
	*dialer
}

// hook is the body of a webhook.
type hook struct {
	Version   int        `json:"version"`
	What      string     `json:"what"` // open, update, close, digest, test
	Delivery  string     `json:"delivery"`
	Notice    string     `json:"notice"`
	Tenant    string     `json:"tenant"`
	Site      string     `json:"site"`
	At        time.Time  `json:"at"`
	ClockSure bool       `json:"clock_sure"`
	Subject   string     `json:"subject"`
	Lost      int        `json:"lost,omitempty"`
	Incidents []hookItem `json:"incidents"`
}

type hookItem struct {
	What      string       `json:"what"` // open, update, close
	ID        string       `json:"id"`
	Key       string       `json:"key"`
	Kind      string       `json:"kind"`
	Cause     string       `json:"cause"`
	Owner     string       `json:"owner"`
	Severity  string       `json:"severity"`
	Summary   string       `json:"summary"`
	Source    string       `json:"source"`
	Affected  []string     `json:"affected"`
	Count     int          `json:"affected_count"`
	Since     time.Time    `json:"since"`
	Until     time.Time    `json:"until,omitzero"`
	ClockSure bool         `json:"clock_sure"`
	Missed    int          `json:"missed,omitempty"`
	Evidence  string       `json:"evidence,omitempty"`
	Card      runbook.Card `json:"card"`
}

// post is the body of a message.
func (m *message) post() ([]byte, error) {
	h := hook{Version: 1, What: m.What, Delivery: m.delivery(), Notice: m.Notice, Tenant: m.Site.Tenant, Site: m.Site.Name,
		At: m.At.UTC().Truncate(time.Millisecond), ClockSure: m.Sure, Subject: m.subject(), Lost: m.Lost, Incidents: []hookItem{}}
	for _, x := range m.Items[:min(len(m.Items), maxListed)] {
		n := x.Note
		h.Incidents = append(h.Incidents, hookItem{What: x.What, ID: n.ID, Key: n.Key, Kind: string(n.Kind), Cause: n.Cause, Owner: string(n.Owner),
			Severity: n.Severity.String(), Summary: n.Summary, Source: n.Source, Affected: append([]string{}, n.Affected...), Count: n.Count,
			Since: n.First.UTC(), Until: n.Closed.UTC(), ClockSure: n.Sure, Missed: x.Missed, Evidence: n.Evidence, Card: m.card(&n)})
	}
	return json.Marshal(h)
}

// Sign is the value of [SignatureHeader] for a body that is sent at a time.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func (s *poster) send(ctx context.Context, m *message) error {
	body, err := m.post()
	if err != nil {
		return fmt.Errorf("writing the message as JSON: %w", err)
	}
	// The URL may hold a token, so nothing of its path is in an error.
	failed := func(err error, hint string) *Failure {
		return &Failure{Doing: "posting to " + s.address(), Err: err, Hint: hint}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return failed(brief(err), "")
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "siteprobe")
	req.Header.Set(SignatureHeader, Sign(s.cfg.Secret.Reveal(), m.At, body))
	req.Header.Set(DeliveryHeader, m.delivery())
	conn, err := s.connect(ctx, req.URL.Scheme == "https")
	if err != nil {
		return err
	}
	defer conn.Close()
	code, err := exchange(conn, req)
	if err != nil {
		return failed(brief(err), "something answers there, but not as a web server does, or too slowly")
	}
	return answered(code, failed)
}

// exchange sends a request and reads the status of its answer. It is done without
// http.Transport, which needs goroutines and logs what a server says unasked.
func exchange(conn net.Conn, req *http.Request) (code int, err error) {
	if err := req.Write(conn); err != nil {
		return 0, err
	}
	r := bufio.NewReader(conn)
	for range 5 { // 100 Continue and the like come before the answer
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return 0, err
		}
		if code = resp.StatusCode; code/100 != 1 { // the body is of no interest
			return code, nil
		}
	}
	return code, nil
}

// connect dials the one target there is.
func (s *poster) connect(ctx context.Context, secure bool) (net.Conn, error) {
	conn, err := s.dial(ctx, "tcp")
	if err != nil || !secure {
		return conn, err
	}
	t, err := handshake(ctx, conn, s.cfg.TLS, s.host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return t, nil
}

// answered explains a status code.
func answered(code int, failed func(error, string) *Failure) error {
	if code/100 == 2 {
		return nil
	}
	f := failed(fmt.Errorf("it answers %d", code), "")
	switch {
	case code/100 == 3:
		f.Hint = "a redirect is not followed: name the URL that it leads to"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		f.Hint = "the signature was not taken: both sides need the same secret, and clocks that agree"
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed:
		f.Hint = "nothing takes a POST at this URL"
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code/100 == 5:
		f.Hint = "the receiver has trouble of its own; it is tried again"
	case code/100 == 4:
		f.Refused, f.Hint = true, "the receiver does not understand the message"
	}
	return f
}
