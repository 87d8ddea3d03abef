package check

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// startBus starts a D-Bus of the test's own and makes it the system's for it.
func startBus(t *testing.T) (address string) {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") == "1" {
			t.Fatal("dbus-daemon is missing: apt-get install dbus-daemon")
		}
		t.Skip("dbus-daemon is missing: apt-get install dbus-daemon")
	}
	config := filepath.Join(t.TempDir(), "bus.conf")
	err = os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir=`+t.TempDir()+`</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, "--nofork", "--nopidfile", "--config-file="+config, "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon says no address: %v", err)
	}
	address = strings.TrimSpace(line)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	return address
}

// manager answers as systemd does.
type manager map[string]string // active state by unit

type unit struct {
	Name, Description, Load, Active, Sub, Followed string
	Path                                           dbus.ObjectPath
	Job                                            uint32
	JobType                                        string
	JobPath                                        dbus.ObjectPath
}

// ListUnitsByNames is the method of org.freedesktop.systemd1(5).
func (m manager) ListUnitsByNames(names []string) (out []unit, _ *dbus.Error) {
	for _, n := range names {
		u := unit{Name: n, Load: "not-found", Active: "inactive", Path: "/", JobPath: "/"}
		if state, ok := m[n]; ok {
			u.Load, u.Active = "loaded", state
		}
		out = append(out, u)
	}
	return out, nil
}

func TestSystemd(t *testing.T) {
	address := startBus(t)
	ask := func(units ...string) *Check {
		return mustNew(t, Config{Systemd: &Systemd{Units: units}}, &scope{}, Options{})
	}
	if err := refuse(t, ask("chrony.service")); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("a bus without systemd: %v", err)
	}
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	m := manager{"chrony.service": "active", "backup.timer": "active", "nginx.service": "failed", "ups.service": "inactive"}
	if err := conn.Export(m, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName("org.freedesktop.systemd1", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	r := collect(t, ask("chrony.service", "backup.timer"))
	r.up()
	r.want("node_systemd_unit_state/chrony.service=1")
	collect(t, ask("chrony.service", "ups.service")).down("unit not active")
	collect(t, ask("chrony.service", "none.service", "ups.service")).down("unit not found")
	failed := collect(t, ask("nginx.service", "none.service"))
	failed.down("unit failed")
	failed.want("node_systemd_unit_state/failed=1", "node_systemd_unit_state/active=0", "node_systemd_unit_state/none.service=")
}

// A bus that accepts and says nothing keeps a check no longer than its timeout, and no
// unit is called down for it.
func TestSystemdOfAMuteBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	start := time.Now()
	c := mustNew(t, Config{Timeout: 200 * time.Millisecond, Systemd: &Systemd{Units: []string{"chrony.service"}}}, &scope{}, Options{})
	if err := refuse(t, c); errors.As(err, new(*down)) {
		t.Errorf("a mute bus: %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}
