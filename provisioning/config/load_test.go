package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes the files (path from a new folder -> content), readable by their
// owner only, and returns the folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const site = "site: {id: acme, tenant: northwind}\nscope: {managed: [192.168.10.0/24]}\n"

func TestLoadMerges(t *testing.T) {
	dir := write(t, map[string]string{
		"site.yaml":           site + "defaults: {interval: 30s}\ndevices: [{name: a, address: 192.168.10.1, ping: true}]\nchecks:\n",
		"conf.d/20-b.yaml":    "devices: [{name: c, address: 192.168.10.3, ping: true, parent: b}]\nscope: {managed: [192.168.20.0/24]}\n",
		"conf.d/10-a.yaml":    "devices: [{name: b, address: 192.168.10.2, ping: true}]\ndefaults: {timeout: 2s}\nchecks: []\n",
		"conf.d/30-none.yaml": "# nothing\n",
		"conf.d/.hidden.yaml": "nonsense",
		"conf.d/40-off.yml":   "nonsense",
	})
	s, err := Load(filepath.Join(dir, "site.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range s.Devices {
		names = append(names, d.Name)
	}
	if got := strings.Join(names, " "); got != "a b c" {
		t.Errorf("devices %s, want a b c", got)
	}
	if s.Defaults.Interval != 30*time.Second || s.Defaults.Timeout != 2*time.Second || len(s.Scope.Managed) != 2 {
		t.Errorf("sections were not joined: %+v %+v", s.Defaults, s.Scope)
	}
	if len(s.Warnings) != 1 || !strings.HasSuffix(s.Warnings[0].String(), "40-off.yml: is left out: only conf.d/*.yaml is read") {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestLoadNamesBothPlaces(t *testing.T) {
	dir := write(t, map[string]string{
		"site.yaml":     site + "defaults:\n  interval: 30s\ndevices: [{name: a, address: 192.168.10.1, ping: true}]\n",
		"conf.d/a.yaml": "defaults: {interval: 60s}\ndevices: [{name: a, address: 192.168.10.2, ping: true}]\nmetrics: [x]\n",
	})
	_, err := Load(filepath.Join(dir, "site.yaml"))
	want := `conf.d/a.yaml:1:12: defaults.interval is set here and at site.yaml:4:13; leave one of them
conf.d/a.yaml:2:18: devices[a].name: is used twice, first at site.yaml:5:18
conf.d/a.yaml:3:10: metrics: must be keys with values, not a list`
	if err == nil || strings.ReplaceAll(err.Error(), dir+"/", "") != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "siteprobe.yaml"))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestSecretFiles(t *testing.T) {
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		want, message string
		warning       bool
	}{
		{name: "newline", content: canary + "\n", mode: 0o600, want: canary},
		{name: "windows", content: canary + "\r\n", mode: 0o640, want: canary},
		{name: "bare", content: canary, mode: 0o600, want: canary},
		{name: "spaces are kept", content: " a b \n", mode: 0o600, want: " a b "},
		{name: "everybody", content: canary, mode: 0o644, want: canary, warning: true},
		{name: "empty", content: "\n", mode: 0o600, message: "is there but empty"},
		{name: "lines", content: canary + "\nmore\n", mode: 0o600, message: "has more than one line"},
		{name: "large", content: strings.Repeat("x", maxSecret+1), mode: 0o600, message: "is larger than 4 KiB, too large for a secret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(write(t, map[string]string{"lan": c.content}), "lan")
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			text := site + "uplink: {password: {file: " + path + "}}\n"
			s, err := Parse("site.yaml", []byte(text))
			if c.message != "" {
				if want := "site.yaml:3:27: uplink.password.file: " + c.message; err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Uplink.Password.Reveal() != c.want {
				t.Errorf("a secret of %d bytes, want %d", len(s.Uplink.Password), len(c.want))
			}
			if (len(s.Warnings) > 0) != c.warning {
				t.Errorf("warnings %v", s.Warnings)
			}
		})
	}
	t.Run("folder", func(t *testing.T) {
		_, err := Parse("site.yaml", []byte(site+"uplink: {password: {file: "+t.TempDir()+"}}\n"))
		if want := "site.yaml:3:27: uplink.password.file: is not a regular file"; err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

func TestSystemdCredentials(t *testing.T) {
	dir := write(t, map[string]string{"mqtt": canary + "\n"})
	l := Loader{Getenv: func(name string) (string, bool) { return dir, name == "CREDENTIALS_DIRECTORY" }}
	s, err := l.Parse("site.yaml", []byte(site+"uplink: {password: {systemd: mqtt}}\n"))
	if err != nil || s.Uplink.Password.Reveal() != canary {
		t.Errorf("the credential was not read: %v", err)
	}
	_, err = l.Parse("site.yaml", []byte(site+"uplink: {password: {systemd: other}}\n"))
	if want := "site.yaml:3:30: uplink.password.systemd: the unit hands over no credential of this name (LoadCredential=)"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestWithoutSecrets(t *testing.T) {
	text := []byte(site + "uplink: {password: {env: NOT_SET}}\n")
	if _, err := (Loader{WithoutSecrets: true}).Parse("site.yaml", text); err != nil {
		t.Error(err)
	}
	if _, err := (Loader{Getenv: canaries}).Parse("site.yaml", text); err == nil {
		t.Error("a secret that is missing is not noticed")
	}
}

func TestHash(t *testing.T) {
	hash := func(text string) string {
		t.Helper()
		s, err := Loader{WithoutSecrets: true}.Parse("site.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return s.Hash()
	}
	one := hash(site + "uplink: {password: {env: A}, ack: hub}\n")
	if one != hash("# comment\nscope:\n  managed: ['192.168.10.0/24']\nuplink:\n  ack: hub\n  password:\n    env: A\nsite: {tenant: northwind, id: acme}\n") {
		t.Error("the same said otherwise has another hash")
	}
	if one == hash(site+"uplink: {password: {env: B}, ack: hub}\n") {
		t.Error("another secret has the same hash")
	}
	if one == hash(site+"uplink: {password: {env: A}, ack: broker}\n") {
		t.Error("another setting has the same hash")
	}
}

func TestDeviceSettings(t *testing.T) {
	s, err := Loader{WithoutSecrets: true}.Parse("site.yaml", []byte(site+`
credentials:
  - {name: lan, snmp: {version: 2c, community: {env: A}}}
  - {name: core, snmp: {version: 1, community: {env: A}}}
defaults: {interval: 30s, timeout: 2s, retries: 3, credentials: [lan]}
devices:
  - {name: plain, address: 192.168.10.1}
  - {name: own, address: 192.168.10.2, interval: 5s, timeout: 1s, retries: 0, credentials: [core, lan]}
  - {name: ping, address: 192.168.10.3, ping: true}
  - {name: both, address: 192.168.10.4, ping: true, credentials: [lan]}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		device            string
		interval, timeout time.Duration
		retries           int
		credentials       string
	}{
		{"plain", 30 * time.Second, 2 * time.Second, 3, "lan"},
		{"own", 5 * time.Second, time.Second, 0, "core lan"},
		{"ping", 30 * time.Second, 2 * time.Second, 3, ""},
		{"both", 30 * time.Second, 2 * time.Second, 3, "lan"},
	} {
		d, ok := s.Device(c.device)
		if !ok {
			t.Fatalf("no device %s", c.device)
		}
		got := s.DeviceSettings(d)
		var names []string
		for _, cr := range got.Credentials {
			names = append(names, cr.Name)
		}
		if got.Interval != c.interval || got.Timeout != c.timeout || got.Retries != c.retries || strings.Join(names, " ") != c.credentials {
			t.Errorf("%s: %v %v %d %v, want %+v", c.device, got.Interval, got.Timeout, got.Retries, names, c)
		}
	}
	if i, to := s.CheckTimes(0, 0); i != 30*time.Second || to != 2*time.Second {
		t.Errorf("check without its own: %v %v", i, to)
	}
	if i, to := s.CheckTimes(time.Second, 0); i != time.Second || to != time.Second {
		t.Errorf("check of 1s: %v %v; a default timeout is not longer than the interval", i, to)
	}
}

func TestTwins(t *testing.T) {
	s, err := Parse("site.yaml", []byte(site+`
devices:
  - {name: a, address: 192.168.10.1, ping: true}
  - {name: b, address: 192.168.10.1, ping: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	if want := "site.yaml:6:24: devices[b].address: is that of a too"; len(s.Warnings) != 1 || s.Warnings[0].String() != want {
		t.Errorf("warnings %v, want %s", s.Warnings, want)
	}
}

// TestProfiles: a profile by its name alone, by a module, and the folder.
func TestProfiles(t *testing.T) {
	data, err := os.ReadFile("testdata/good/profiles.yaml")
	if err != nil {
		t.Fatal(err)
	}
	site, err := Loader{WithoutSecrets: true}.Parse("site.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	module := Profile{SNMPExporter: "/etc/siteprobe/snmp.yml", Module: "if_mib"}
	for i, want := range []Profile{{Name: "fortigate"}, {Name: "_generic"}, module, module, {}} {
		if got := site.Devices[i].Profile; got != want {
			t.Errorf("%s: %+v, want %+v", site.Devices[i].Name, got, want)
		}
	}
	if site.Profiles != "/srv/profiles" {
		t.Errorf("the folder is %q", site.Profiles)
	}
}
