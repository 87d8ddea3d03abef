package check

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// services are well-known services outside, by their names in the site file, and the
// hosts without which their users can do nothing. All are asked by HTTPS.
func services() map[string][]string {
	return map[string][]string{
		"dropbox":          {"www.dropbox.com", "api.dropboxapi.com"},
		"github":           {"github.com", "api.github.com"},
		"google-workspace": {"accounts.google.com", "mail.google.com", "drive.google.com"},
		"microsoft365":     {"login.microsoftonline.com", "outlook.office365.com", "graph.microsoft.com"},
		"salesforce":       {"login.salesforce.com"},
		"slack":            {"slack.com", "wss-primary.slack.com"},
		"teams":            {"teams.microsoft.com", "login.microsoftonline.com"},
		"webex":            {"webexapis.com", "idbroker.webex.com"},
		"zoom":             {"zoom.us", "api.zoom.us"},
	}
}

// service is the name of a preset. It is up when each of its hosts answers an HTTPS
// request (HEAD /, no redirect is followed) with a valid certificate and any status
// below 500. Its hosts must be in scope.external as those of any other check.
type service string

// Validate reports a name that is not known.
func (s service) Validate() error {
	if _, ok := services()[string(s)]; !ok {
		return fmt.Errorf("%q is none of %s", collectors.Clip(string(s), 40), names(services()))
	}
	return nil
}

func (s service) targets() (key string, addresses []string) {
	for _, host := range services()[string(s)] {
		addresses = append(addresses, host+":443")
	}
	return "", addresses
}

func serviceMetrics(name string) []metric {
	ms := commonMetrics()
	for _, host := range services()[name] {
		ms = append(ms, targetMetrics(host)...)
	}
	return ms
}

func targetMetrics(host string) []metric {
	return []metric{
		labelled("probe_target_success", "", collectors.State, "target", host),
		labelled("probe_target_duration_seconds", "seconds", collectors.Gauge, "target", host),
		labelled("probe_target_ssl_earliest_cert_expiry", "seconds", collectors.Gauge, "target", host),
	}
}

// newService makes the probe that asks the hosts of a preset.
func newService(name string, dialer Dialer, now func() time.Time) probe {
	return visitAll(services()[name], func() *opener { return &opener{dialer: dialer, now: now} })
}

// visitAll asks hosts, all at the same time.
func visitAll(hosts []string, open func() *opener) probe {
	return func(ctx context.Context, r *reading) error {
		visits := make([]visit, len(hosts))
		var all sync.WaitGroup
		for i, host := range hosts {
			all.Go(func() { visits[i] = visitHost(ctx, host, open()) })
		}
		all.Wait()
		var worst error
		for i, v := range visits {
			v.record(r, hosts[i])
			// That one could not be asked weighs more than that one is down.
			if v.err != nil && (worst == nil || isDown(worst) && !isDown(v.err)) {
				worst = v.err
			}
		}
		return worst
	}
}

// visit is what came of asking one host.
type visit struct {
	took    time.Duration
	err     error
	expires time.Time
}

func visitHost(ctx context.Context, host string, o *opener) visit {
	stay := false
	f := &fetch{cfg: HTTP{Method: "HEAD", FollowRedirects: &stay}, origin: &url.URL{Scheme: "https", Host: host, Path: "/"}, opener: o,
		accept: func(status int) bool { return status < 500 },
		take:   func(*reading, io.Reader) error { return nil }}
	start := time.Now()
	err := f.run(ctx, newLayout("", nil, httpMetrics()).reading()) // its details are not told
	return visit{time.Since(start), err, o.expiry}
}

// record writes what came of one host.
func (v visit) record(r *reading, host string) {
	if !v.expires.IsZero() {
		r.set("probe_target_ssl_earliest_cert_expiry", host, collectors.GaugeValue(float64(v.expires.Unix())))
	}
	r.set("probe_target_duration_seconds", host, seconds(v.took))
	if v.err == nil || isDown(v.err) {
		r.set("probe_target_success", host, flag(v.err == nil))
	}
}
