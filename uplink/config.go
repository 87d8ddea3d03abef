package uplink

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Config is the site file's uplink section.
type Config struct {
	Servers  []string          `yaml:"servers"` // tried in this order: mqtt://, mqtts://, ws:// or wss://
	Ack      string            `yaml:"ack"`     // AckHub or AckBroker
	Format   string            `yaml:"format"`  // FormatBlock, FormatJSON or FormatInflux
	Username string            `yaml:"username"`
	Password collectors.Secret `yaml:"password"`
	TLS      TLS               `yaml:"tls"`
	Backoff  Backoff           `yaml:"backoff"`
}

// TLS names the files of the connection's certificates. They are read again for
// every connection, so that rotating them needs no restart.
type TLS struct {
	CA   string `yaml:"ca"`   // PEM file; empty: the system's roots
	Cert string `yaml:"cert"` // PEM file of the client certificate
	Key  string `yaml:"key"`
}

// Backoff bounds the pause between two connections: full jitter between 0 and a
// ceiling that doubles from Min to Max. After a session that lasted longer than 5
// minutes the first pause is uniform over 0 to Herd, so that a broker that comes
// back is not met by all sites at once.
type Backoff struct {
	Min  time.Duration `yaml:"min"`
	Max  time.Duration `yaml:"max"`
	Herd time.Duration `yaml:"herd"`
}

// Who acknowledges, and in what form readings travel.
const (
	AckHub       = "hub"    // the hub that has stored them: end to end
	AckBroker    = "broker" // the broker's PUBACK: nothing is proved
	FormatBlock  = "block"
	FormatJSON   = "json"
	FormatInflux = "influx"
)

// DefaultConfig is what applies where the site file says nothing.
func DefaultConfig() Config {
	return Config{
		Ack: AckHub, Format: FormatBlock,
		Backoff: Backoff{Min: time.Second, Max: 5 * time.Minute, Herd: time.Minute},
	}
}

// Validate reports the first setting that cannot work. No servers at all is fine:
// the probe then only buffers.
func (c Config) Validate() error {
	for _, s := range c.Servers {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.User != nil {
			return fmt.Errorf("servers: %q is not a server such as mqtts://mqtt.example.com:8883 (no user or password in it)", collectors.Clip(redactUserinfo(s), 80))
		}
		switch u.Scheme {
		case "mqtt", "mqtts", "ws", "wss":
		default:
			return fmt.Errorf("servers: scheme %q of %q is none of mqtt, mqtts, ws, wss", u.Scheme, u.Host)
		}
	}
	switch {
	case c.Ack != AckHub && c.Ack != AckBroker:
		return fmt.Errorf("ack: %q is neither %q nor %q", c.Ack, AckHub, AckBroker)
	case c.Format != FormatBlock && c.Format != FormatJSON && c.Format != FormatInflux:
		return fmt.Errorf("format: %q is none of %q, %q, %q", c.Format, FormatBlock, FormatJSON, FormatInflux)
	case c.Ack == AckHub && c.Format != FormatBlock:
		return fmt.Errorf("format: %s needs ack: broker (a hub acknowledges blocks only)", c.Format)
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return errors.New("tls: cert and key go together")
	case c.Backoff.Min <= 0 || c.Backoff.Max < c.Backoff.Min || c.Backoff.Herd < 0:
		return errors.New("backoff: needs 0 < min <= max and herd >= 0")
	}
	return nil
}

// redactUserinfo cuts a user and password out of a server's address, which may be
// too malformed for net/url to find them.
func redactUserinfo(s string) string {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '@' {
			return s[i+1:]
		}
	}
	return s
}
