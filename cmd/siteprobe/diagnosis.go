package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// What diagnosis is handed: by the daemon and by the command.

func baselineFile(site *config.Site) string   { return filepath.Join(dataDir(site), "diagnosis.json") }
func evidenceFolder(site *config.Site) string { return filepath.Join(dataDir(site), "evidence") }
func evidenceKey(site *config.Site) string    { return filepath.Join(dataDir(site), "evidence.key") }

// diagnosisContract says whose what is. The gateway is whose the site file's device at
// its address is, or the device whose WAN is watched.
func diagnosisContract(site *config.Site) diagnosis.Contract {
	c := diagnosis.DefaultContract()
	c.Internet, c.ISP, c.Circuit, c.Hotline = site.Info.Internet, site.Info.WAN.ISP, site.Info.WAN.Circuit, site.Info.WAN.Hotline
	if g, ok := gatewayDevice(site); ok {
		switch o := diagnosis.Owner(g.Owner); o {
		case diagnosis.ISP, diagnosis.MSP:
			c.Gateway = o
		}
	}
	return c
}

func gatewayDevice(site *config.Site) (config.Device, bool) {
	if at, ok := diagnosis.Gateway(); ok {
		for _, d := range site.Devices {
			if d.Host() == at.String() {
				return d, true
			}
		}
	}
	for _, d := range site.Devices {
		if slices.Contains(d.Watch, "wan") {
			return d, true
		}
	}
	return config.Device{}, false
}

// diagnosisInputs are those that need no daemon.
func diagnosisInputs(site *config.Site) diagnosis.Inputs {
	box := host.New(host.Config{DataDir: dataDir(site)})
	in := diagnosis.Inputs{
		Servers: site.Uplink.Servers,
		Host: func(ctx context.Context) (b collectors.Batch, err error) {
			err = box.Collect(ctx, func(x collectors.Batch) { b = x })
			return b, err
		},
		WANPort: func(ctx context.Context) (diagnosis.Result, string) { return wanPort(ctx, site) },
	}
	if ca := site.Uplink.TLS.CA; ca != "" {
		in.Roots = func() (*x509.CertPool, error) {
			pem, err := os.ReadFile(ca)
			if err != nil {
				return nil, fmt.Errorf("reading the CA: %w", err)
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(pem) {
				return nil, errors.New("the CA's file holds no certificate")
			}
			return pool, nil
		}
	}
	if t := site.Uplink.TLS; t.Cert != "" {
		in.Box = func() (*x509.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
			if err != nil {
				return nil, fmt.Errorf("reading the box's certificate: %w", err)
			}
			return pair.Leaf, nil
		}
	}
	return in
}

// wanPort asks the gateway for the state of its port to the provider: the one that the
// site file watches by name, else the first whose name says so.
func wanPort(ctx context.Context, site *config.Site) (diagnosis.Result, string) {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	g, ok := gatewayDevice(site)
	set := site.DeviceSettings(g)
	if !ok || len(set.Credentials) == 0 {
		return diagnosis.Unknown, "the gateway is not asked by SNMP"
	}
	dialer, err := scope.New(site.Scope, nil)
	if err != nil {
		return diagnosis.Unknown, ""
	}
	client, err := snmp.Dial(ctx, snmp.Config{Device: g.Name, Address: g.Address, Credentials: set.Credentials, Timeout: 2 * time.Second, Retries: 1}, dialer)
	if err != nil {
		return diagnosis.Unknown, "the gateway does not answer SNMP"
	}
	defer client.Close()
	is, _ := client.Interfaces(ctx) // what could be read is enough
	for _, i := range is {
		if !isWAN(i, g.Watch) || i.Oper == 0 {
			continue
		}
		if i.Oper == 2 || i.Oper == 7 { // down, lowerLayerDown (RFC 2863)
			return diagnosis.Fails, "its port " + i.Name + " is down"
		}
		return diagnosis.Works, i.Name
	}
	return diagnosis.Unknown, "it shows no port that is called WAN; name it under watch in the site file"
}

func isWAN(i snmp.Interface, watch []string) bool {
	named := false
	for _, w := range watch {
		if w == "wan" || w == "uplinks" {
			continue
		}
		named = true
		if w == i.Name || w == i.Descr {
			return true
		}
	}
	name := strings.ToLower(i.Name + " " + i.Descr)
	return !named && (strings.Contains(name, "wan") || strings.Contains(name, "ppp") || strings.Contains(name, "dsl") || strings.Contains(name, "internet"))
}

// uplinkWords puts what the sender knows into diagnosis' words.
func uplinkWords(s *uplink.Sender, now time.Time) diagnosis.Uplink {
	if s == nil {
		return diagnosis.Uplink{}
	}
	st, t := s.State(), s.Trouble()
	u := diagnosis.Uplink{Configured: st.State != uplink.StateOff, Connected: st.State == uplink.StateConnected || st.State == uplink.StateNotStoring,
		ForS: forSeconds(st, now), Stage: string(t.Stage), Refused: t.InARow, Short: t.Short}
	switch t.Reason {
	case uplink.ReasonCredentials, uplink.ReasonClientID:
		u.Reason = diagnosis.ReasonAuth
	case uplink.ReasonBusy:
		u.Reason = diagnosis.ReasonBusy
	}
	if st.State == uplink.StateNotStoring {
		u.UnstoredS = max(1, u.ForS)
	}
	if u.Connected && u.ForS >= 60 {
		u.Short = 0 // this session lasts
	}
	return u
}

func forSeconds(st wire.Uplink, now time.Time) int64 {
	since, err := time.Parse(time.RFC3339, st.Since)
	if err != nil {
		return 0
	}
	return max(0, int64(now.Sub(since).Seconds()))
}

// peers counts the devices besides the gateway whose polls of the last moments were
// answered: older ones say nothing of now.
func (t *tracker) peers(besides string, now time.Time) (answering, of int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for source, s := range t.last {
		at, err := time.Parse(time.RFC3339, s.At)
		if !strings.HasPrefix(source, "device/") || source == "device/"+besides || err != nil || now.Sub(at) > 15*time.Second {
			continue
		}
		switch s.Result {
		case "ok", "partial":
			answering++
			of++
		case "failed", "down":
			of++
		}
	}
	return answering, of
}

// powerCut tells for how long the box was without power before this boot, by when the
// database was written last; it must be asked before that is opened. A restart of the
// program alone is none.
func powerCut(site *config.Site, boot collectors.Stamp, now time.Time) int64 {
	var last time.Time
	clean := true
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(site.Buffer.Path + suffix)
		if err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		clean = clean && (suffix == "" || err != nil || info.Size() == 0) // a log that was left means that nobody closed it
	}
	booted := now.Add(-time.Duration(boot) * time.Millisecond)
	if clean || last.IsZero() || !last.Before(booted) || booted.Sub(last) > 366*24*time.Hour {
		return 0
	}
	return max(1, int64(booted.Sub(last).Seconds()))
}
