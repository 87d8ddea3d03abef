package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a small box may have no zone files

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/hub/broker"
	"github.com/siteprobe/siteprobe/uplink/hub/web"
	"github.com/siteprobe/siteprobe/uplink/mqtt"
)

// options are the flags of run.
type options struct {
	data, http, logLevel string
	names                []string // of the page
	timezone             string

	broker       broker.Config // the embedded one
	users        string
	external     string // or somebody else's
	username     string
	passwordFile string
	tls          uplink.TLS
}

func runCommand(data *string) *cobra.Command {
	var o options
	c := &cobra.Command{
		Use: "run", Short: "Run the hub", Args: cobra.NoArgs,
		Long: "Run the hub: with everything in one process (the default: its own broker on --listen), or beside a broker of yours (--broker).\n\n" +
			"Its own broker knows a box by the common name of its client certificate (--client-ca) or by its user name (--users), which is\n" +
			"TENANT/SITE. Without either it takes anybody, and therefore listens on loopback only.",
		RunE: func(c *cobra.Command, _ []string) error {
			o.data = *data
			return run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.http, "http", "127.0.0.1:8080", "where the page is served; it has no login, so keep it on loopback or behind a proxy; empty: nowhere")
	f.StringSliceVar(&o.names, "http-name", nil, "host name under which the page is asked for (a request for any other name is refused)")
	f.StringVar(&o.timezone, "timezone", "UTC", "of the times that the page shows, such as Europe/Berlin")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.broker.Listen, "listen", "127.0.0.1:1883", "where its own broker listens")
	f.StringVar(&o.broker.WebSocket, "listen-ws", "", "where its own broker listens for MQTT over WebSocket")
	f.StringVar(&o.broker.Cert, "cert", "", "PEM file of its own broker's certificate")
	f.StringVar(&o.broker.Key, "key", "", "PEM file of that certificate's key")
	f.StringVar(&o.broker.ClientCA, "client-ca", "", "PEM file of the CA of the boxes' certificates")
	f.StringVar(&o.users, "users", "", "file of boxes and passwords, TENANT/SITE:PASSWORD a line, readable by its owner only")
	f.StringVar(&o.external, "broker", "", "use this broker instead, such as mqtts://mqtt.msp.example:8883")
	f.StringVar(&o.username, "broker-user", "", "the hub's user name there")
	f.StringVar(&o.passwordFile, "broker-password-file", "", "file of the hub's password there")
	f.StringVar(&o.tls.CA, "broker-ca", "", "PEM file of the CA of that broker's certificate")
	f.StringVar(&o.tls.Cert, "broker-cert", "", "PEM file of the hub's client certificate there")
	f.StringVar(&o.tls.Key, "broker-key", "", "PEM file of that certificate's key")
	c.MarkFlagsMutuallyExclusive("broker", "listen")
	c.MarkFlagsMutuallyExclusive("broker", "users")
	for _, own := range []string{"listen-ws", "cert", "key", "client-ca"} {
		c.MarkFlagsMutuallyExclusive("broker", own)
	}
	return c
}

// run starts the hub from the store outward, and stops it the other way round.
func run(ctx context.Context, o options) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return &exit{usage, fmt.Errorf("--log-level %q is none of debug, info, warn, error", o.logLevel)}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	zone, err := time.LoadLocation(o.timezone)
	if err != nil {
		return &exit{usage, fmt.Errorf("--timezone: %w", err)}
	}
	h, err := hub.Open(hub.Options{Path: dbPath(o.data), Log: log})
	if err != nil {
		return &exit{unknown, err}
	}
	defer h.Close()

	transport, server, stopBroker, err := connect(o, log)
	if err != nil {
		return &exit{usage, err}
	}
	defer stopBroker()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	errs := make(chan error, 2)
	wg.Go(func() {
		defer cancel()
		errs <- h.Serve(ctx, transport, server, clientID())
	})
	if o.http != "" {
		l, err := net.Listen("tcp", o.http)
		if err != nil {
			cancel()
			return &exit{unknown, fmt.Errorf("serving the page: %w", err)}
		}
		wg.Go(func() {
			defer cancel()
			errs <- serve(ctx, l, web.New(h, web.Options{Log: log, Version: version, Hosts: o.names, Location: zone}))
		})
		log.Info("the page", "url", "http://"+l.Addr().String()+"/")
		if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			log.Warn("the page has no login, and this address is not loopback: whoever reaches it can read all sites", "listen", a.String())
		}
	} else {
		errs <- nil
	}
	wg.Go(func() { watchdog(ctx, h, log) })
	notify(log, daemon.SdNotifyReady)
	defer notify(log, daemon.SdNotifyStopping)
	return errors.Join(<-errs, <-errs)
}

// watchdog tells systemd that the hub lives, but only while it serves.
func watchdog(ctx context.Context, h *hub.Hub, log *slog.Logger) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	tick := time.NewTicker(every / 3)
	defer tick.Stop()
	var last int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := h.Beat(); now != last {
			last = now
			notify(log, daemon.SdNotifyWatchdog)
		}
	}
}

func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Debug("telling systemd", "error", err)
	}
}

func dbPath(data string) string { return filepath.Join(data, "hub.db") }

// connect gives the way to the broker: the embedded one, which it starts, or an
// external one.
func connect(o options, log *slog.Logger) (t uplink.Transport, server string, stop func(), err error) {
	const inbox = 64 << 20 // many sites speak through one connection
	if o.external != "" {
		m := mqtt.Options{Username: o.username, TLS: o.tls, Inbox: inbox}
		if o.passwordFile != "" {
			b, err := os.ReadFile(o.passwordFile)
			if err != nil {
				return nil, "", nil, fmt.Errorf("the broker's password: %w", err)
			}
			m.Password = collectors.Secret(strings.TrimRight(string(b), "\r\n"))
		}
		c := uplink.DefaultConfig()
		c.Servers = []string{o.external}
		if err := c.Validate(); err != nil {
			return nil, "", nil, fmt.Errorf("--broker: %w", err)
		}
		return mqtt.New(m), o.external, func() {}, nil
	}
	c := o.broker
	c.Log = log
	if o.users != "" {
		if c.Users, err = broker.LoadUsers(o.users); err != nil {
			return nil, "", nil, err
		}
	}
	b, err := broker.New(c)
	if err != nil {
		return nil, "", nil, err
	}
	if err := b.Start(); err != nil {
		return nil, "", nil, err
	}
	log.Info("the broker", "listens", b.Addr())
	user, password := b.HubCredentials()
	return mqtt.New(mqtt.Options{Username: user, Password: password, Inbox: inbox}), b.HubServer(), b.Close, nil
}

// clientID names this process at the broker: of two hubs with one name each would
// throw the other out, forever.
func clientID() string {
	var x [6]byte
	_, _ = rand.Read(x[:]) // never fails
	return "siteprobe-hub-" + hex.EncodeToString(x[:])
}

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 32 << 10}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the page: %w", err)
	}
	return nil
}
