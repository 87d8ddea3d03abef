package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// Values of the flag --snmpd: where Debian has it, and that it is done without.
const (
	defaultSnmpd = "/usr/sbin/snmpd"
	noSnmpd      = "none"
)

// startAgents starts what the probe polls over SNMP: net-snmp's agent, as two
// devices, and a simulated switch.
func (d *demo) startAgents(ctx context.Context, s *secrets) ([]device, error) {
	here, err := d.haveSnmpd(ctx)
	if err != nil {
		return nil, err
	}
	var devices []device
	if here {
		if devices, err = d.startSnmpd(ctx, s); err != nil {
			return nil, err
		}
	} else {
		at, err := d.simulate(s, 4)
		if err != nil {
			return nil, err
		}
		d.out.item("stand-in", "a simulated device on %s, over SNMPv2c only, in snmpd's place", at)
		devices = append(devices, device{"stand-in", at, "v2c"})
	}
	at, err := d.simulate(s, 8)
	if err != nil {
		return nil, err
	}
	d.out.item("switch", "simulated, 8 ports whose counters move, on %s", at)
	return append(devices, device{"switch", at, "v2c"}), nil
}

func (d *demo) simulate(s *secrets, ports int) (string, error) {
	a, err := snmptest.Listen(freePort("udp", 10261), snmptest.Config{MIB: snmptest.Switch(ports), Community: s.community})
	if err != nil {
		return "", fmt.Errorf("the simulated device: %w", err)
	}
	d.agents = append(d.agents, a)
	return a.Addr().String(), nil
}

// haveSnmpd tells whether net-snmp's agent is there, and installs it where that
// needs no questions.
func (d *demo) haveSnmpd(ctx context.Context) (bool, error) {
	if d.o.snmpd == noSnmpd {
		return false, nil
	}
	if _, err := os.Stat(d.o.snmpd); err == nil {
		return true, nil
	}
	if d.o.snmpd != defaultSnmpd {
		return false, fmt.Errorf("there is no %s, which --snmpd names", d.o.snmpd)
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		hint := "install net-snmp's snmpd to poll the real thing, or name it with --snmpd"
		if err == nil {
			hint = "sudo apt-get install --no-install-recommends snmpd, to poll the real thing"
		}
		d.out.line("%s is not there (%s)", d.o.snmpd, hint)
		return false, nil
	}
	d.out.progress("%s is not there: apt-get installs it …", d.o.snmpd)
	if err := install(ctx, apt); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		d.out.line("snmpd could not be installed: %v", err)
		return false, nil
	}
	if _, err := os.Stat(d.o.snmpd); err != nil {
		d.out.line("the package snmpd is installed, yet there is no %s", d.o.snmpd)
		return false, nil
	}
	d.out.item("installed", "the package snmpd")
	return true, nil
}

// install installs the package snmpd without starting its service: the demo runs
// an agent of its own, on loopback, and the machine's stays as it was.
func install(ctx context.Context, apt string) (err error) {
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return fmt.Errorf("keeping its service from starting: %w", err)
		}
		defer func() { err = errors.Join(err, os.Remove(policy)) }()
	}
	for _, args := range [][]string{{"-q", "update"}, {"-q", "install", "-y", "--no-install-recommends", "snmpd"}} {
		c := exec.CommandContext(ctx, apt, args...)
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // killed, it would leave a package half installed
		if text, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[1], err, lastLines(string(text), 6))
		}
	}
	return nil
}

// startSnmpd runs net-snmp's agent as whoever runs the demo, with nothing of the
// machine's own settings. It listens twice, as a site's two devices have an address
// each.
func (d *demo) startSnmpd(ctx context.Context, s *secrets) ([]device, error) {
	dir := filepath.Join(d.state, "snmpd")
	kept := filepath.Join(dir, "state") // it keeps its engine's boots there
	none := filepath.Join(dir, "none")  // there are no MIBs and settings but ours
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return nil, fmt.Errorf("making snmpd's folder: %w", err)
	}
	first := freePort("udp", 10161)
	second := freePort("udp", 1+port(first))
	conf := filepath.Join(dir, "snmpd.conf")
	text := fmt.Sprintf(`agentAddress udp:%s,udp:%s
rocommunity %s 127.0.0.1
createUser %s SHA-256 "%s" AES "%s"
rouser %[4]s priv
sysName linux
dontLogTCPWrappersConnects yes
`, first, second, s.community, snmpUser, s.auth, s.priv)
	if err := writeFile(conf, text); err != nil {
		return nil, err
	}
	env := []string{"SNMP_PERSISTENT_DIR=" + kept, "SNMPCONFPATH=" + none, "MIBS=", "HOME=" + kept}
	p, err := d.launch("snmpd", env, d.o.snmpd, "-f", "-Lo", "-C", "-c", conf, "-m", "", "-M", none, "-I", "-smux")
	if err != nil {
		return nil, err
	}
	version := ""
	err = p.until(ctx, "say that it is ready", func() bool { // it says its version when it listens
		log, err := os.ReadFile(p.log)
		if err != nil {
			return false
		}
		_, after, ok := strings.Cut(string(log), "NET-SNMP version ")
		version, _, _ = strings.Cut(after, "\n")
		return ok
	})
	if err != nil {
		return nil, err
	}
	d.out.item("snmpd", "net-snmp %s: SNMPv2c on %s, SNMPv3 on %s", version, first, second)
	return []device{{"linux-v2c", first, "v2c"}, {"linux-v3", second, "v3"}}, nil
}
