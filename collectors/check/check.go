// Package check looks at services from the outside, as a user of theirs would. Each
// kind is a key of an entry of the site file's checks; its settings are the type of
// that name.
//
//	icmp        does it answer a ping
//	path        a train of pings at a steady pace: round trips, jitter, loss
//	tcp         does it accept a connection
//	tls         certificates: until when, of whom, of which name; the version; after STARTTLS, too
//	http        does it serve a page
//	dns         does it resolve a name; does it validate (dnssec, bogus), does it leave
//	            alone what does not exist (nxdomain)
//	ntp         what time does it have, and is that to go by
//	banner      does it greet as SMTP, IMAP, POP3, FTP or SSH does, and offer TLS
//	ldap        does it let bind, and read what a directory says of itself
//	prometheus  metrics of an exporter, by name, as series of the check
//	systemd     are units of this box active
//	service     the hosts of a well-known service outside (microsoft365, zoom, ...)
//
// # Down is data
//
// A check that could be performed is a collection that is OK, whatever it found:
// probe_success is 1 or 0, and while it is 0 the text series
// probe_failure_reason says why, in one of the few fixed phrases of this package
// ("connection refused", "certificate expired", "dns: NXDOMAIN", ...). Reasons
// are never made of error texts or of what a server sent, so that no URL, header
// or credential can end up in one.
//
// A check that could not be performed (the target is out of scope, a socket is
// not permitted, a CA file cannot be read) is a collection that failed: Collect
// returns the error and there is no probe_success at all. Whoever computes
// availability then counts that time as unmeasured, neither up nor down.
//
// # Names
//
// Metrics are those of blackbox_exporter, so that its dashboards and alerts work
// unchanged, plus probe_failure_reason and what it does not measure. For ntp and
// systemd they are node_exporter's. What does not apply this time (a status code when
// nobody answered) is a missing value; blackbox_exporter says 0 or -1 there. Times are
// in seconds, rounded to microseconds. Every series has the labels check, device (when
// the check is tied to one) and those of the site file; what a scraped sample has under
// one of these names becomes exported_NAME, as at Prometheus.
//
// Beyond blackbox_exporter's:
//
//	probe_icmp_packet_loss_ratio         icmp, path
//	probe_path_rtt_{min,median,max,stddev}_seconds, probe_path_jitter_seconds: the mean
//	                                     difference between a round trip and the next
//	probe_ssl_chain_valid, probe_ssl_name_matches  tls: each by itself
//	probe_dns_authenticated_data         dns with dnssec: the resolver's AD flag
//	probe_{tls,banner,ldap}_duration_seconds{phase}
//	probe_ldap_result_code               of RFC 4511
//	probe_target_success{target} and its duration and certificate's end  service
//	probe_scrape_samples_left_out        prometheus: that were asked for and did not fit
//
// The series of a scrape are found, not fixed: the schema changes when a new one comes.
// One that has gone is a missing value.
//
// # One way out
//
// Everything is contacted through the [Dialer] given to New: names are resolved
// by it, and it refuses what the contract does not cover. That holds for the
// target of each redirect as well. Only an echo request does not go through
// DialContext, as it has no connection; it goes to the very address that Resolve
// has approved.
//
// Every check opens fresh connections, since resolving, connecting and the TLS
// handshake are what it is to measure. Whatever a server does, a check ends with its
// timeout, and reads no more than is bounded: 1 MiB of a page, 16 MiB of an exposition,
// line by line, 64 KiB of a conversation.
//
// # What is not judged here
//
// A check says up or down, and measures. Thresholds of what it measures are rules of
// incidents. Two things it cannot tell: whose clock is wrong when a time server's and
// the box's differ (max_offset), and whether a zone has a wildcard when random names
// below it exist (nxdomain takes that for rewriting).
package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// What applies where neither the check nor the site file's defaults say anything.
const (
	DefaultTimeout = 3 * time.Second
	DefaultCount   = 3 // echo requests of a ping
)

// Options are what a check may share with others. The zero Options is fine.
type Options struct {
	Pinger *Pinger          // sends echo requests; nil: the check makes its own
	Now    func() time.Time // the wall clock that certificates are judged by; nil: time.Now
}

// Check is one entry of the site file's checks, or the ping of a device. It keeps
// nothing between two collections and may be collected concurrently.
type Check struct {
	source  string
	target  string
	timeout time.Duration
	layout  layout
	found   found // for the kinds that find series
	probe   probe
}

// A probe performs a check once and writes what it measured into r. It returns
// nil when the service is up, a [*down] when it is not, and any other error when
// the check could not be performed. It returns soon after ctx is done.
type probe func(ctx context.Context, r *reading) error

// New makes the check that cfg describes. It does no I/O; the error is that of
// cfg.Validate.
func New(cfg Config, dialer Dialer, opts Options) (*Check, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check %q: %w", collectors.Clip(cfg.Name, 64), err)
	}
	labels := []collectors.Label{{Name: "check", Value: cfg.Name}}
	if cfg.Device != "" {
		labels = append(labels, collectors.Label{Name: "device", Value: cfg.Device})
	}
	return build("check/"+cfg.Name, labels, cfg, dialer, opts), nil
}

// NewPing makes the collector of a device that is only pinged. Its source is the
// device's, and its series have the label device but no label check.
func NewPing(cfg Ping, dialer Dialer, opts Options) (*Check, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("ping of device %q: %w", collectors.Clip(cfg.Device, 64), err)
	}
	labels := []collectors.Label{{Name: "device", Value: cfg.Device}}
	return build("device/"+cfg.Device, labels, cfg.check(), dialer, opts), nil
}

// build composes a check of a valid cfg. The switch is the list of all there is.
func build(source string, labels []collectors.Label, cfg Config, dialer Dialer, opts Options) *Check {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Pinger == nil {
		opts.Pinger = NewPinger()
	}
	c := &Check{source: source, target: cfg.Target(), timeout: cfg.Timeout}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	var metrics []metric
	switch {
	case cfg.ICMP != nil:
		metrics, c.probe = icmpMetrics(), newICMP(*cfg.ICMP, dialer, opts.Pinger)
	case cfg.TCP != nil:
		metrics, c.probe = tcpMetrics(), newTCP(*cfg.TCP, dialer)
	case cfg.HTTP != nil:
		metrics, c.probe = httpMetrics(), newHTTP(*cfg.HTTP, dialer, opts.Now)
	case cfg.DNS != nil:
		metrics, c.probe = dnsMetrics(*cfg.DNS), newDNS(*cfg.DNS, dialer)
	case cfg.TLS != nil:
		metrics, c.probe = tlsMetrics(), newTLS(*cfg.TLS, dialer, opts.Now)
	case cfg.NTP != nil:
		metrics, c.probe = ntpMetrics(), newNTP(*cfg.NTP, dialer)
	case cfg.Banner != nil:
		metrics, c.probe = bannerMetrics(), newBanner(*cfg.Banner, dialer, opts.Now)
	case cfg.LDAP != nil:
		metrics, c.probe = ldapMetrics(), newLDAP(*cfg.LDAP, dialer, opts.Now)
	case cfg.Prometheus != nil:
		metrics, c.probe = prometheusMetrics(), newPrometheus(*cfg.Prometheus, append(labels, sorted(cfg.Labels)...), dialer, opts.Now)
	case cfg.Systemd != nil:
		metrics, c.probe = systemdMetrics(*cfg.Systemd), newSystemd(*cfg.Systemd)
	case cfg.Path != nil:
		metrics, c.probe = pathMetrics(), newPath(*cfg.Path, dialer, opts.Pinger)
		c.timeout += cfg.Path.over() // its own patience begins with the last request
	case cfg.Service != "":
		metrics, c.probe = serviceMetrics(cfg.Service), newService(cfg.Service, dialer, opts.Now)
	}
	c.layout = newLayout(source, append(labels, sorted(cfg.Labels)...), metrics)
	return c
}

// Source names the check: "check/NAME", or "device/NAME" for a device's ping.
func (c *Check) Source() string { return c.source }

// Target is what the check contacts first, as "host" or "host:port".
func (c *Check) Target() string { return c.target }

// Collect performs the check once and emits one batch, unless it could not be
// performed; see the package comment. The error is or wraps [ErrOutOfScope] or
// [ErrNotPermitted] for these two, and ctx's error when ctx was cancelled.
func (c *Check) Collect(ctx context.Context, emit func(collectors.Batch)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("check not begun: %w", err) // a timeout now would be the box's own
	}
	inner, cancel := c.limit(ctx)
	defer cancel()

	r := c.layout.reading()
	start := time.Now()
	err := c.probe(inner, r)
	took := time.Since(start)

	var why *down
	switch {
	case err == nil:
		r.set("probe_success", "", collectors.StateValue(1))
	case errors.Is(ctx.Err(), context.Canceled):
		// A shutdown in the middle says nothing about the service.
		return fmt.Errorf("check interrupted: %w", ctx.Err())
	case errors.As(err, &why):
		r.set("probe_success", "", collectors.StateValue(0))
		r.set("probe_failure_reason", "", collectors.TextValue(why.reason))
	default:
		return err
	}
	r.set("probe_duration_seconds", "", seconds(took))
	schema, values := c.found.with(c.layout, r)
	emit(collectors.Batch{Source: c.source, Schema: schema, Values: values})
	return nil
}

// limit bounds a check by its timeout, and ends it a little before the caller's
// deadline: a timeout is a finding, and there must be time left to hand it over.
func (c *Check) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := c.timeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		timeout = min(timeout, left-min(left/20, 500*time.Millisecond))
	}
	return context.WithTimeout(ctx, timeout)
}
