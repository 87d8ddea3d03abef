package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"60s": time.Minute, "35d": 35 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour,
		"0s": 0, "250ms": 250 * time.Millisecond, "1h30m": 90 * time.Minute,
	} {
		if got, err := parseDuration(&node{kind: scalar, text: text}); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "60", "0", "-1s", "1d-1s", "-1d", "5 m", "1d1d", "1e9d", "NaNd", "infd", "99999d", "9999999999h", "1D"} {
		if got, err := parseDuration(&node{kind: scalar, text: text}); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]buffer.Bytes{
		"2GiB": 2 << 30, "512MiB": 512 << 20, "4GB": 4e9, "100kB": 1e5, "1.5 KiB": 1536, "7B": 7, "1TiB": 1 << 40,
	} {
		if got, err := parseBytes(&node{kind: scalar, text: text}); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2048", "GiB", "-1GiB", "2Gib", "2GiBytes", "1.2.3MiB", "9999999999TiB", "0x10MB"} {
		if got, err := parseBytes(&node{kind: scalar, text: text}); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// TestEveryFieldCanBeSet walks the types of all sections: a field without a yaml
// tag could never be set, one of a type that the decoder does not know would
// only be noticed by the first user of it.
func TestEveryFieldCanBeSet(t *testing.T) {
	var walk func(typ reflect.Type, path string) error
	walk = func(typ reflect.Type, path string) error {
		switch typ {
		case reflect.TypeFor[collectors.Secret](), reflect.TypeFor[time.Duration](), reflect.TypeFor[buffer.Bytes]():
			return nil
		}
		switch typ.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Float64:
			return nil
		case reflect.Pointer, reflect.Slice:
			return walk(typ.Elem(), path)
		case reflect.Map:
			if typ.Key().Kind() != reflect.String {
				return fmt.Errorf("%s: keys of type %v", path, typ.Key())
			}
			return walk(typ.Elem(), path)
		case reflect.Struct:
			_, keys := fieldsOf(typ)
			n := 0
			for i := range typ.NumField() {
				f := typ.Field(i)
				if tag := f.Tag.Get("yaml"); tag == "-" || !f.IsExported() {
					continue
				}
				n++
				if err := walk(f.Type, join(path, f.Name)); err != nil {
					return err
				}
			}
			if n != len(keys) {
				return fmt.Errorf("%s: %d fields but %d yaml tags", path, n, len(keys))
			}
			return nil
		}
		return fmt.Errorf("%s: the decoder does not know type %v", path, typ)
	}
	if err := walk(reflect.TypeFor[Site](), ""); err != nil {
		t.Error(err)
	}
}

// TestValues reads one value of each type back.
func TestValues(t *testing.T) {
	site, err := Loader{Getenv: canaries}.Parse("site.yaml", []byte("\ufeff"+`--- # a byte order mark and a document's beginning are fine
site:
  id: '123'
  tenant: 42
  wan: {isp: true, circuit: 1.10, hotline: 49-30-1234}
  contacts:
  - {name: "Front desk", phone: "+49 30 1234", }
scope:
  managed:
    - 192.168.10.0/24
defaults: {retries: 0}
credentials:
  - {name: lan, snmp: {version: 2c, community: {env: CANARY}}}
devices:
  - name: a.b-c_d
    address: "192.168.10.1:1161"
    ping: true
    retries: 0
    credentials: [lan]
    labels: {"contract": gold, floor: 3}
checks:
  - {name: up, http: {url: "https://192.168.10.1/", status: [200, 204], follow_redirects: false, headers: {X-Token: {env: CANARY}}}}
buffer:
  budget: 64MiB
uplink:
  servers: [mqtts://mqtt.msp.example:8883, wss://mqtt.msp.example/mqtt]
  password: {env: CANARY}
limits:
`))
	if err != nil {
		t.Fatal(err)
	}
	d, check := site.Devices[0], site.Checks[0].HTTP
	for _, c := range []struct{ got, want any }{
		{site.Info.ID, "123"},
		{site.Info.Tenant, "42"},
		{site.Info.WAN, WAN{ISP: "true", Circuit: "1.10", Hotline: "49-30-1234"}},
		{site.Info.Contacts, []Contact{{Name: "Front desk", Phone: "+49 30 1234"}}},
		{site.Info.Location(), time.UTC},
		{site.Defaults.Retries, 0},
		{site.Defaults.Interval, time.Minute},
		{site.Credentials[0].SNMP.Community.Reveal(), canary},
		{*d.Retries, 0},
		{d.Labels, map[string]string{"contract": "gold", "floor": "3"}},
		{d.Host(), "192.168.10.1"},
		{check.Status, []int{200, 204}},
		{*check.FollowRedirects, false},
		{check.Headers["X-Token"].Reveal(), canary},
		{site.Uplink.Password.Reveal(), canary},
		{len(site.Uplink.Servers), 2},
		{site.Buffer.Budget, buffer.Bytes(64 << 20)},
		{site.Buffer.History, 35 * 24 * time.Hour},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %#v, want %#v", c.got, c.want)
		}
	}
	if s := fmt.Sprintf("%+v %#v", site, site.Uplink); strings.Contains(s, canary) {
		t.Error("a printed site holds a secret")
	}
}

// TestBounds: what is too large or too deep is refused at once, and the slowest
// file that is not takes seconds.
func TestBounds(t *testing.T) {
	for name, text := range map[string]string{
		"size":    strings.Repeat("# comment\n", maxFile/10+1),
		"tokens":  strings.Repeat("a,", maxTokens),
		"lists":   "[" + strings.Repeat("[", 100_000),
		"maps":    strings.Repeat("{a: ", 25_000),
		"dashes":  strings.Repeat("- ", 40_000),
		"columns": "a:\n" + strings.Repeat(" ", 300) + "b: 1\n",
		"stairs": func() string {
			var b strings.Builder
			for i := range 1000 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(),
		"keys":     strings.Repeat("a: b\n", 8000),
		"unknown":  "site: {" + strings.Repeat("idd: 1, ", 8000) + "}",
		"nonsense": "\x00\xff\xfe{[}]:\t- ? ! & * | >\n",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("site.yaml", []byte(text))
			if err == nil {
				t.Fatal("is accepted")
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if len(err.Error()) > 10_000 {
				t.Errorf("message of %d bytes", len(err.Error()))
			}
		})
	}
}
