package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Caps on what a server can make the box read.
const (
	maxBody      = 1 << 20
	maxHeaders   = 64 << 10
	maxRedirects = 10
)

func httpMetrics() []metric {
	ms := append(commonMetrics(),
		metric{name: "probe_http_status_code", kind: collectors.State},
		metric{name: "probe_http_content_length", unit: "bytes", kind: collectors.Gauge},
		metric{name: "probe_http_redirects", kind: collectors.Gauge},
		metric{name: "probe_http_ssl", kind: collectors.State},
		metric{name: "probe_ssl_earliest_cert_expiry", unit: "seconds", kind: collectors.Gauge},
		metric{name: "probe_failed_due_to_regex", kind: collectors.State})
	return append(ms, phases("probe_http_duration_seconds", "resolve", "connect", "tls", "processing", "transfer")...)
}

// newHTTP makes the probe that fetches a URL. cfg is valid.
func newHTTP(cfg HTTP, dialer Dialer, now func() time.Time) probe {
	var body *regexp.Regexp
	if cfg.Body != "" {
		body = regexp.MustCompile(cfg.Body)
	}
	return func(ctx context.Context, r *reading) error {
		u, err := url.Parse(cfg.URL)
		if err != nil {
			return errors.New("url: cannot be parsed") // not for a valid cfg
		}
		f := &fetch{cfg: cfg, origin: u, opener: &opener{dialer: dialer, now: now, insecure: cfg.Insecure}}
		if u.Scheme == "https" || cfg.CA != "" {
			if f.opener.roots, err = readRoots(cfg.CA); err != nil {
				return err
			}
		}
		f.accept = func(status int) bool { return expected(cfg.Status, status) }
		f.take = func(r *reading, content io.Reader) error { return takeBody(r, content, body) }
		err = f.run(ctx, r)
		f.record(r)
		return err
	}
}

// fetch is one run of an HTTP check: a request, and one more for each redirect.
type fetch struct {
	cfg    HTTP
	origin *url.URL
	opener *opener
	accept func(status int) bool
	take   func(r *reading, body io.Reader) error // reads what it needs of an accepted body

	redirects            int
	answered             bool
	processing, transfer time.Duration
}

// run follows the redirects to the last response and judges that.
func (f *fetch) run(ctx context.Context, r *reading) error {
	for at := f.origin; ; {
		resp, err := f.request(ctx, at)
		if err != nil {
			return err
		}
		next, err := f.next(resp)
		if err != nil || next == nil {
			defer resp.Body.Close()
			f.recordResponse(r, resp)
			if err != nil {
				return err
			}
			return f.judgeResponse(r, resp)
		}
		_ = resp.Body.Close() // unread: the connection is not used again
		f.redirects++
		at = next
	}
}

// request sends one request over a connection of its own and returns the
// response, whose body is unread and whose Close closes the connection. Its errors
// are judged.
func (f *fetch) request(ctx context.Context, at *url.URL) (*http.Response, error) {
	method := f.cfg.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		return nil, because("redirect to an invalid address")
	}
	req.Header.Set("User-Agent", "siteprobe")
	// What the site file gives for one host is not for another to read, nor for a
	// listener when the same host redirects from https to http.
	if at.Scheme == f.origin.Scheme && hostPort(at) == hostPort(f.origin) {
		for name, value := range f.cfg.Headers {
			req.Header.Set(name, value.Reveal())
		}
		if host := req.Header.Get("Host"); host != "" {
			req.Host = host
			req.Header.Del("Host")
		}
		if a := f.cfg.BasicAuth; a != nil {
			req.SetBasicAuth(a.Username, a.Password.Reveal())
		}
	}
	conn, err := f.opener.open(ctx, at)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	resp, err := exchange(ctx, conn, req)
	if err != nil {
		return nil, judge("response", hostPort(at), err)
	}
	f.answered = true
	f.processing += time.Since(start)
	return resp, nil
}

// next returns where a response redirects to, nil if it is the last one.
func (f *fetch) next(resp *http.Response) (*url.URL, error) {
	follow := f.cfg.FollowRedirects == nil || *f.cfg.FollowRedirects
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		follow = false
	}
	if !follow || resp.Header.Get("Location") == "" {
		return nil, nil
	}
	to, err := resp.Location()
	if err != nil || (to.Scheme != "http" && to.Scheme != "https") || validHostPort("Location", hostPort(to)) != nil {
		return nil, because("redirect to an invalid address")
	}
	if f.redirects == maxRedirects {
		return nil, because("too many redirects")
	}
	to.User = nil
	return to, nil
}

// judgeResponse compares the last response's status with what is expected, and has its
// body read.
func (f *fetch) judgeResponse(r *reading, resp *http.Response) error {
	start := time.Now()
	defer func() { f.transfer = time.Since(start) }()
	if !f.accept(resp.StatusCode) {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // the status says it all
		return because("status " + strconv.Itoa(resp.StatusCode))
	}
	if err := f.take(r, resp.Body); err != nil {
		return judge("body", hostPort(f.origin), err)
	}
	return nil
}

// takeBody reads at most maxBody bytes and compares them with what is expected, if
// anything is.
func takeBody(r *reading, body io.Reader, want *regexp.Regexp) error {
	limited := io.LimitReader(body, maxBody)
	if want == nil {
		_, err := io.Copy(io.Discard, limited)
		return err
	}
	content, err := io.ReadAll(limited)
	if err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	match := want.Match(content)
	r.set("probe_failed_due_to_regex", "", flag(!match))
	if !match {
		return because("body does not match")
	}
	return nil
}

func expected(statuses []int, status int) bool {
	if len(statuses) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(statuses, status)
}

func (f *fetch) recordResponse(r *reading, resp *http.Response) {
	r.set("probe_http_status_code", "", collectors.StateValue(int64(resp.StatusCode)))
	r.set("probe_http_ssl", "", flag(resp.Request.URL.Scheme == "https"))
	if resp.ContentLength >= 0 {
		r.set("probe_http_content_length", "", collectors.GaugeValue(float64(resp.ContentLength)))
	}
}

// record writes what is known however the run ended.
func (f *fetch) record(r *reading) {
	o := f.opener
	if o.resolved {
		r.set("probe_dns_lookup_time_seconds", "", seconds(o.resolve))
		r.set("probe_http_duration_seconds", "resolve", seconds(o.resolve))
	}
	if o.connected {
		r.set("probe_http_duration_seconds", "connect", seconds(o.connect))
		r.set("probe_http_redirects", "", collectors.GaugeValue(float64(f.redirects)))
	}
	if o.shook {
		r.set("probe_http_duration_seconds", "tls", seconds(o.handshake))
	}
	if !o.expiry.IsZero() {
		r.set("probe_ssl_earliest_cert_expiry", "", collectors.GaugeValue(float64(o.expiry.Unix())))
	}
	if f.answered {
		r.set("probe_http_duration_seconds", "processing", seconds(f.processing))
		r.set("probe_http_duration_seconds", "transfer", seconds(f.transfer))
	}
}
