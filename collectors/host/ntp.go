package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors/sntp"
)

// ClockConfig is the site file's clock section.
type ClockConfig struct {
	// Trust names what counts as evidence that the wall clock is right: TrustKernel,
	// TrustTimesyncd, TrustNTP, TrustManual, TrustRTC. Empty: the first three.
	Trust []string `yaml:"trust"`
	NTP   []string `yaml:"ntp"` // servers that are asked whether it is: host or host:port
}

// What can be evidence.
const (
	TrustKernel    = "kernel"    // the kernel says that an NTP client keeps it
	TrustTimesyncd = "timesyncd" // systemd-timesyncd says that it has set it
	TrustNTP       = "ntp"       // the servers of ClockConfig say so
	TrustManual    = "manual"    // somebody has set it by hand while siteprobe ran; for the rest of the boot
	TrustRTC       = "rtc"       // whatever it shows from 2024 on: a battery keeps it, or the host of a VM
)

var (
	trustWords   = []string{TrustKernel, TrustTimesyncd, TrustNTP, TrustManual, TrustRTC}
	defaultTrust = trustWords[:3]
)

// trusts tells whether a kind of evidence counts.
func (c ClockConfig) trusts(what string) bool {
	if len(c.Trust) == 0 {
		return slices.Contains(defaultTrust, what)
	}
	return slices.Contains(c.Trust, what)
}

const maxServers = 8

// Validate reports the first setting that cannot work.
func (c ClockConfig) Validate() error {
	for _, w := range c.Trust {
		if !slices.Contains(trustWords, w) {
			return fmt.Errorf("trust: %.40q is none of %s", w, strings.Join(trustWords, ", "))
		}
	}
	for _, s := range c.NTP {
		if !validServer(s) {
			return fmt.Errorf("ntp: %.80q is not a server such as 192.168.10.20 or ntp.acme.example", s)
		}
	}
	switch {
	case len(c.NTP) > maxServers:
		return fmt.Errorf("ntp: at most %d servers", maxServers)
	case len(c.NTP) > 0 && !c.trusts(TrustNTP):
		return errors.New("ntp: is of no use as long as trust does not name ntp")
	}
	return nil
}

func validServer(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		host = h
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
}

// answer is what one server said: by how much the wall clock is behind it.
type answer struct {
	server string
	behind time.Duration
}

// agreed is how far from a server's the wall clock may be and still be right.
const agreed = time.Second

// judge makes one word of the servers' answers: confirm, or doubt with what to say
// about it; neither, where as many say this as that, or nobody answers.
func judge(as []answer) (confirm bool, doubt string) {
	yes := 0
	var off *answer
	for i := range as {
		if as[i].behind.Abs() <= agreed {
			yes++
		} else if off == nil {
			off = &as[i]
		}
	}
	no := len(as) - yes
	if no <= yes {
		return yes > no, ""
	}
	word := "behind"
	if off.behind < 0 {
		word = "ahead of"
	}
	return false, fmt.Sprintf("the clock is %v %s that of NTP server %s", off.behind.Abs().Round(time.Millisecond), word, off.server)
}

// The pace of asking: often while the clock is unsure, seldom while it is sure.
const (
	askSoon   = time.Minute
	askSeldom = time.Hour
	askTime   = 3 * time.Second // for one server
)

// AskServers asks the NTP servers of the site whether the wall clock is right and
// confirms or doubts it accordingly, at once and again and again until ctx is done.
// It never sets the clock: siteprobe may not, and does not need to. Like resolvers
// and the uplink, these servers stand outside of the contract of package scope.
func (c *Clock) AskServers(ctx context.Context, servers []string, log *slog.Logger) {
	if len(servers) == 0 {
		return
	}
	tick := time.NewTicker(askSoon)
	defer tick.Stop()
	var last time.Time
	for {
		if _, sure := c.Offset(); !sure || time.Since(last) >= askSeldom {
			last = time.Now()
			c.askAll(ctx, servers, log)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// askAll asks each server once, and tells whether they agree with the clock.
func (c *Clock) askAll(ctx context.Context, servers []string, log *slog.Logger) bool {
	var as []answer
	for _, s := range servers {
		behind, err := ask(ctx, s)
		if err != nil {
			log.Debug("asking an NTP server", "server", s, "error", err)
			continue
		}
		as = append(as, answer{s, behind})
	}
	confirm, doubt := judge(as)
	switch {
	case confirm:
		c.Confirm()
	case doubt != "":
		if c.Doubted() == "" {
			log.Warn("the clock is wrong", "why", doubt)
		}
		c.Doubt(doubt)
	}
	return confirm
}

// ask returns by how much the wall clock is behind a server's.
func ask(ctx context.Context, server string) (time.Duration, error) {
	var d net.Dialer
	a, err := sntp.Ask(ctx, server, askTime, d.DialContext)
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", server, err)
	}
	return a.Behind, nil
}
