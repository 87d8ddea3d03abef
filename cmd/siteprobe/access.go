package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// access is how a device is reached from a command line: by what credentials, and
// within which scope.
type access struct {
	path *string

	version, credential, communityFile string
	user, level, auth, authFile        string
	priv, privFile, context            string
	timeout                            time.Duration
	retries                            int
}

func (a *access) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&a.version, "snmp-version", "v", "", `version of a community: "1" or "2c" (without it: 2c); "3" with --user`)
	f.StringVar(&a.credential, "credential", "", "a credential of the site file, by its name")
	f.StringVar(&a.communityFile, "community-file", "", "a file that holds the community")
	f.StringVarP(&a.user, "user", "u", "", "SNMPv3: the user")
	f.StringVarP(&a.level, "level", "l", "", "SNMPv3: noAuthNoPriv, authNoPriv or authPriv (without it: what the protocols allow)")
	f.StringVarP(&a.auth, "auth-protocol", "a", "", "SNMPv3: MD5, SHA, SHA224, SHA256, SHA384 or SHA512")
	f.StringVar(&a.authFile, "auth-password-file", "", "SNMPv3: a file that holds the password of authentication")
	f.StringVarP(&a.priv, "priv-protocol", "x", "", "SNMPv3: DES, AES, AES192, AES256, AES192C or AES256C")
	f.StringVar(&a.privFile, "priv-password-file", "", "SNMPv3: a file that holds the password of privacy")
	f.StringVar(&a.context, "context", "", "SNMPv3: the context")
	f.DurationVarP(&a.timeout, "timeout", "t", 0, "how long to wait for an answer (3s)")
	f.IntVarP(&a.retries, "retries", "r", 1, "how often to ask again")
}

// settings reads the site file, where there is one, and the profiles. Only the
// site file that was not asked for by name may be missing.
func (a *access) settings(c *cobra.Command) (*config.Site, *profile.Set, error) {
	site, err := loadAll(config.Loader{WithoutSecrets: !a.siteSecrets()}, *a.path)
	if errors.Is(err, os.ErrNotExist) && !c.Flags().Changed("config") {
		site, err = nil, nil
	}
	if errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(*a.path, "/.") {
		// Somebody may be used to -c COMMUNITY: what was typed is not repeated.
		return nil, nil, &exit{usage, errors.New("there is no such site file: -c names the site file here, not a community (--community-file, SITEPROBE_COMMUNITY)")}
	}
	if err != nil {
		return nil, nil, err
	}
	set, _ := profile.Open(profilesDir(site)) // `siteprobe profile check` tells of mistakes
	return site, set, nil
}

// siteSecrets tells whether the credential comes out of the site file.
func (a *access) siteSecrets() bool {
	return a.communityFile == "" && a.user == "" && os.Getenv("SITEPROBE_COMMUNITY") == ""
}

// profilesDir is where a user's profiles are.
func profilesDir(site *config.Site) string {
	if site == nil {
		return config.DefaultProfiles
	}
	return site.Profiles
}

// dial opens a client for the device at an address, or of a name.
func (a *access) dial(c *cobra.Command, site *config.Site, set *profile.Set, to string) (*snmp.Client, error) {
	cfg := snmp.Config{Device: "command line", Address: to, Timeout: a.timeout, Retries: a.retries}
	device, known := deviceOf(site, to)
	if known {
		cfg.Address = device.Address
	}
	var err error
	if cfg.Profile, _, err = profileOf(set, device.Profile); err != nil {
		return nil, &exit{usage, err}
	}
	if cfg.Credentials, err = a.credentials(c, site, device); err != nil {
		return nil, &exit{usage, err}
	}
	contract, err := contractOf(c.Context(), site, cfg.Address)
	if err != nil {
		return nil, &exit{unknown, err}
	}
	dialer, err := scope.New(contract, nil)
	if err != nil {
		return nil, &exit{usage, fmt.Errorf("scope: %w", err)}
	}
	if err := cfg.Validate(); err != nil {
		return nil, &exit{usage, err}
	}
	client, err := snmp.Dial(c.Context(), cfg, dialer, snmp.WithKinds(snmp.NewKinds(set)))
	var refused *scope.RefusedError
	switch {
	case errors.As(err, &refused):
		return nil, &exit{usage, refused}
	case err != nil:
		return nil, &exit{badNews, err}
	}
	return client, nil
}

// deviceOf finds a device that is polled by its name or address.
func deviceOf(site *config.Site, to string) (config.Device, bool) {
	if site == nil {
		return config.Device{}, false
	}
	if d, ok := site.Device(to); ok {
		return d, true
	}
	for _, d := range site.Devices {
		if d.Address == to || d.Host() == to {
			return d, true
		}
	}
	return config.Device{}, false
}

// contractOf is what may be asked: what the site file says or, on a machine that has
// none, as a technician's laptop, the one host that was named and nothing else.
func contractOf(ctx context.Context, site *config.Site, address string) (scope.Config, error) {
	if site != nil {
		return site.Scope, nil
	}
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err == nil {
		return scope.Config{Managed: []string{host}}, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return scope.Config{}, fmt.Errorf("looking up %s: %w", collectors.Clip(host, 64), err)
	}
	var c scope.Config
	for _, a := range addrs[:min(len(addrs), 8)] {
		c.Managed = append(c.Managed, a.Unmap().String())
	}
	return c, nil
}

// credentials are those to try: what the command line names, then the device's own,
// then the site's defaults, then what a person types.
func (a *access) credentials(c *cobra.Command, site *config.Site, d config.Device) ([]snmp.Credential, error) {
	switch {
	case a.credential != "":
		if site == nil {
			return nil, errors.New("--credential names one of the site file, and there is none here")
		}
		cr, ok := site.Credential(a.credential)
		if !ok || cr.SNMP == nil {
			return nil, fmt.Errorf("the site file has no SNMP credential %q", a.credential)
		}
		return []snmp.Credential{{Name: cr.Name, Auth: *cr.SNMP}}, nil
	case a.user != "" || a.version == "3":
		auth, err := a.v3(c)
		return []snmp.Credential{{Name: "command line", Auth: auth}}, err
	case a.siteSecrets() && site != nil:
		if set := site.DeviceSettings(d); len(set.Credentials) > 0 {
			return set.Credentials, nil
		}
	}
	community, err := a.secret(c, a.communityFile, "SITEPROBE_COMMUNITY", "community", "--credential, --community-file")
	version := a.version
	if version == "" {
		version = "2c"
	}
	return []snmp.Credential{{Name: "command line", Auth: snmp.Auth{Version: version, Community: community}}}, err
}

func (a *access) v3(c *cobra.Command) (auth snmp.Auth, err error) {
	auth = snmp.Auth{Version: "3", Username: a.user, SecurityLevel: a.level, AuthProtocol: a.auth, PrivProtocol: a.priv, Context: a.context}
	if a.auth != "" {
		if auth.AuthPassword, err = a.secret(c, a.authFile, "SITEPROBE_AUTH_PASSWORD", "password of authentication", "--auth-password-file"); err != nil {
			return auth, err
		}
	}
	if a.priv != "" {
		auth.PrivPassword, err = a.secret(c, a.privFile, "SITEPROBE_PRIV_PASSWORD", "password of privacy", "--priv-password-file")
	}
	return auth, err
}

// secret takes a secret out of a file, the environment, or a person who types it
// unseen.
func (a *access) secret(c *cobra.Command, file, env, what, flags string) (collectors.Secret, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("reading the %s: %w", what, err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, 1<<10))
		if err != nil {
			return "", fmt.Errorf("reading the %s: %w", what, err)
		}
		return collectors.Secret(bytes.TrimRight(b, "\r\n")), nil
	}
	if s := os.Getenv(env); s != "" {
		return collectors.Secret(s), nil
	}
	in, ok := c.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", fmt.Errorf("no %s: give %s or %s, or call it on a terminal to be asked", what, flags, env)
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s: ", strings.ToUpper(what[:1])+what[1:])
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(c.ErrOrStderr())
	if err != nil {
		return "", fmt.Errorf("reading the %s: %w", what, err)
	}
	return collectors.Secret(b), nil
}
