package main

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/miekg/dns"
)

// What the demo calls things.
const (
	siteName = "demo/office" // tenant and site, and the box's user name at the broker
	snmpUser = "probe"
)

// secrets are made at the first start and kept, each in a file of its own that
// the site file refers to.
type secrets struct {
	dir                           string
	uplink, community, auth, priv string
}

func readSecrets(dir string) (*secrets, error) {
	s := &secrets{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the secrets' folder: %w", err)
	}
	for _, x := range []struct {
		name string
		to   *string
	}{{"uplink", &s.uplink}, {"community", &s.community}, {"auth", &s.auth}, {"priv", &s.priv}} {
		path := filepath.Join(dir, x.name)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			b, err = []byte(rand.Text()), nil
			if err := writeFile(path, string(b)+"\n"); err != nil {
				return nil, err
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading a secret: %w", err)
		}
		*x.to = strings.TrimSpace(string(b))
	}
	return s, nil
}

// writeFile writes a file that only its owner may read.
func writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the demo's files: %w", err)
	}
	return nil
}

//go:embed site.yaml.tmpl
var siteTemplate string

// site is what the site file is made of.
type site struct {
	Name    string // tenant/site
	Devices []device
	Checks  []check
	Secrets string // their folder
	Buffer  string // the database
	Server  string
}

type device struct{ Name, Address, Credential string }

// check is a check; Settings is what stands in the site file after its kind.
type check struct{ Name, Kind, Settings string }

func siteFile(s site) (string, error) {
	t, err := template.New("site.yaml").Option("missingkey=error").Parse(siteTemplate)
	if err != nil {
		return "", fmt.Errorf("the site file's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return "", fmt.Errorf("the site file: %w", err)
	}
	return b.String(), nil
}

// checks lists the services of this machine that there are to check.
func checks(ctx context.Context, page, broker string, ping bool) []check {
	out := []check{
		{"hub-page", "http", fmt.Sprintf("{url: %q}", page)},
		{"hub-broker", "tcp", fmt.Sprintf("{address: %q}", broker)},
	}
	if ping {
		out = append(out, check{"loopback", "icmp", "{address: 127.0.0.1}"})
	}
	if server := localResolver(ctx, "/etc/resolv.conf"); server != "" {
		out = append(out, check{"resolver", "dns", fmt.Sprintf("{server: %q, name: localhost, type: A}", server)})
	}
	return out
}

// mayPing tells whether this user may send echo requests: the kernel lets the
// groups of net.ipv4.ping_group_range, and root.
func mayPing() bool {
	for _, kind := range []int{syscall.SOCK_DGRAM, syscall.SOCK_RAW} {
		if fd, err := syscall.Socket(syscall.AF_INET, kind|syscall.SOCK_CLOEXEC, syscall.IPPROTO_ICMP); err == nil {
			_ = syscall.Close(fd)
			return true
		}
	}
	return false
}

// localResolver finds a resolver on this machine that answers. One elsewhere is
// left alone: the demo stays on the loopback interface.
func localResolver(ctx context.Context, file string) string {
	conf, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return ""
	}
	for _, s := range conf.Servers {
		if ip := net.ParseIP(s); ip == nil || !ip.IsLoopback() || ip.To4() == nil {
			continue
		}
		q := new(dns.Msg).SetQuestion("localhost.", dns.TypeA)
		c := dns.Client{Timeout: time.Second}
		server := net.JoinHostPort(s, conf.Port)
		if a, _, err := c.ExchangeContext(ctx, q, server); err == nil && a.Rcode == dns.RcodeSuccess && len(a.Answer) > 0 {
			return server
		}
	}
	return ""
}
