package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// said is what a command line came to.
type said struct {
	code     int
	out, err string
}

// call runs one command line in this process, on a machine whose site file, where none
// is named, is not there.
func call(t *testing.T, args ...string) said {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot(filepath.Join(t.TempDir(), "none.yaml"))
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(strings.NewReader(""))
	s := said{}
	if err := root.ExecuteContext(t.Context()); err != nil {
		s.code = usage
		if e := (*exit)(nil); errors.As(err, &e) {
			s.code = e.code
		}
		errs.WriteString(err.Error())
	}
	s.out, s.err = out.String(), errs.String()
	return s
}

// agentOf starts an agent with a community that must be found nowhere.
func agentOf(t *testing.T, ports int) (address, communityFile string) {
	t.Helper()
	const community = "canary-2241"
	a, err := snmptest.Listen("", snmptest.Config{MIB: snmptest.Switch(ports), Community: community})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	file := filepath.Join(t.TempDir(), "community")
	if err := os.WriteFile(file, []byte(community+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return a.Addr().String(), file
}

func TestSNMPWithoutASiteFile(t *testing.T) {
	address, file := agentOf(t, 3)
	get := call(t, "snmp", "get", address, "--community-file", file, "sysName.0", "IF-MIB::ifName.2", ".1.3.6.1.2.1.1.2.0")
	want := said{out: "sysName.0 = STRING: switch\nifName.2 = STRING: Gi1/0/2\nsysObjectID.0 = OID: .1.3.6.1.4.1.8072.9999.1\n"}
	if diff := cmp.Diff(want, get, cmp.AllowUnexported(said{})); diff != "" {
		t.Errorf("get (-want +got):\n%s", diff)
	}
	walk := call(t, "snmp", "walk", "-n", address, "--community-file", file, "ifName")
	want = said{out: `.1.3.6.1.2.1.31.1.1.1.1.1 = STRING: "Gi1/0/1"` + "\n" + `.1.3.6.1.2.1.31.1.1.1.1.2 = STRING: "Gi1/0/2"` + "\n" + `.1.3.6.1.2.1.31.1.1.1.1.3 = STRING: "Gi1/0/3"` + "\n"}
	if diff := cmp.Diff(want, walk, cmp.AllowUnexported(said{})); diff != "" {
		t.Errorf("walk (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a variable that is not there", []string{"get", address, "--community-file", file, "1.3.9.0"}, badNews, "No Such"},
		{"the same by v1", []string{"get", "-v", "1", address, "--community-file", file, "1.3.9.0"}, badNews, "No Such"},
		{"a name that nobody has", []string{"get", address, "--community-file", file, "ifNam.1"}, usage, `did you mean "ifName"?`},
		{"the wrong community", []string{"get", address, "--community-file", os.DevNull, "sysName.0"}, usage, "community is missing"},
		{"no community", []string{"get", address, "sysName.0"}, usage, "--community-file"},
		{"a credential without a site file", []string{"get", address, "--credential", "lan", "sysName.0"}, usage, "there is none here"},
		{"nobody there", []string{"walk", "127.0.0.1:1", "--community-file", file}, badNews, "nothing listens"},
		{"more than is wanted", []string{"walk", "--max", "2", address, "--community-file", file}, badNews, "more than is read"},
		{"v3 without passwords", []string{"get", "-u", "probe", "-a", "SHA", address, "sysName.0"}, usage, "--auth-password-file"},
		{"no address", []string{"walk"}, usage, "arg"},
	} {
		got := call(t, append([]string{"snmp"}, test.args...)...)
		if got.code != test.code || !strings.Contains(got.out+got.err, test.says) {
			t.Errorf("%s: exit code %d, want %d; it says %s%s", test.name, got.code, test.code, got.out, got.err)
		}
		if strings.Contains(got.out+got.err, "canary") {
			t.Errorf("%s: it tells the community: %s%s", test.name, got.out, got.err)
		}
	}
}

func TestSNMPWithinTheScope(t *testing.T) {
	address, file := agentOf(t, 2)
	site := filepath.Join(t.TempDir(), "site.yaml")
	write := func(managed string) {
		t.Helper()
		text := "site: {id: s, tenant: t, timezone: UTC, internet: none}\nscope: {managed: [" + managed + "]}\n" +
			"credentials: [{name: lan, snmp: {version: 2c, community: {file: " + file + "}}}]\n" +
			"defaults: {credentials: [lan]}\ndevices: [{name: sw1, address: \"" + address + "\"}]\n" +
			"buffer: {path: /nowhere/buffer.db}\n"
		if err := os.WriteFile(site, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("127.0.0.1")
	for _, args := range [][]string{{"sw1"}, {address}, {address, "--credential", "lan"}, {address, "--community-file", file}} {
		got := call(t, append([]string{"snmp", "get", "-c", site, "--community-file=", args[0], "sysName.0"}, args[1:]...)...)
		if got.code != 0 || got.out != "sysName.0 = STRING: switch\n" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := call(t, "snmp", "get", "-c", site, address, "--credential", "core", "sysName.0"); got.code != usage {
		t.Errorf("a credential that there is not: %+v", got)
	}
	if got := call(t, "snmp", "get", "-c", site, "127.0.0.2", "sysName.0"); got.code != usage || !strings.Contains(got.err, "refused") {
		t.Errorf("outside the scope: %+v", got)
	}
	if got := call(t, "snmp", "get", "-c", filepath.Join(t.TempDir(), "none.yaml"), address, "--community-file", file, "sysName.0"); got.code != unknown {
		t.Errorf("a site file that is not there although it was asked for: %+v", got)
	}
}

func TestSNMPIdentify(t *testing.T) {
	address, file := agentOf(t, 2)
	got := call(t, "snmp", "identify", "--json", address, "--community-file", file)
	var id map[string]any
	if err := json.Unmarshal([]byte(got.out), &id); err != nil || got.code != 0 {
		t.Fatalf("%+v: %v", got, err)
	}
	for _, key := range []string{"sysName", "sysObjectID", "sysDescr", "profile", "vendor", "model", "serial", "firmware", "interfaces", "agent"} {
		if _, ok := id[key]; !ok {
			t.Errorf("no %q in %s", key, got.out)
		}
	}
	want := map[string]any{"ifIndex": 2.0, "ifName": "Gi1/0/2", "ifDescr": "GigabitEthernet1/0/2", "speed_bps": 1e9, "oper": "up", "admin": "up"}
	if diff := cmp.Diff(want, id["interfaces"].([]any)[1]); diff != "" {
		t.Errorf("an interface (-want +got):\n%s", diff)
	}
	if strings.Contains(got.out, "canary") {
		t.Errorf("it tells the community: %s", got.out)
	}
	text := call(t, "snmp", "identify", address, "--community-file", file)
	for _, part := range []string{"name", "switch", "2 interfaces", "Gi1/0/2", "1 Gbit/s", "SNMP 2c"} {
		if !strings.Contains(text.out, part) {
			t.Errorf("no %q in\n%s", part, text.out)
		}
	}
}

func TestProfileTest(t *testing.T) {
	dir := t.TempDir()
	walk, mine := filepath.Join(dir, "walk.txt"), filepath.Join(dir, "fans.yaml")
	for file, text := range map[string]string{
		walk: ".1.3.6.1.2.1.1.1.0 = STRING: \"a box\"\n.1.3.6.1.2.1.1.3.0 = Timeticks: (500) 0:00:05.00\n.1.3.6.1.4.1.9999.1.0 = INTEGER: 47\nnonsense\n",
		mine: "metrics:\n  - symbol: {OID: 1.3.6.1.4.1.9999.1.0, name: temperature, unit: celsius, scale: 0.1}\n  - symbol: {OID: 1.3.6.1.4.1.9999.2.0, name: fans}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := call(t, "profile", "test", mine, "--walk", walk)
	for _, part := range []string{`temperature{device="test"}`, "4.7 celsius", "1 of its 2 metrics", "none: fans"} {
		if !strings.Contains(got.out, part) {
			t.Errorf("no %q in\n%s", part, got.out)
		}
	}
	if got.code != 0 || !strings.Contains(got.err, "line 4") {
		t.Errorf("%+v", got)
	}
	if got := call(t, "profile", "test", "--walk", walk, "--json"); got.code != 0 || !strings.Contains(got.out, `"metric":"sysDescr"`) {
		t.Errorf("without a profile: %+v", got)
	}
	if got := call(t, "profile", "test", "nobody", "--walk", walk); got.code != usage {
		t.Errorf("a profile that there is not: %+v", got)
	}
	if got := call(t, "profile", "test", "--walk", filepath.Join(dir, "none")); got.code != unknown {
		t.Errorf("a walk that there is not: %+v", got)
	}
}

// TestProfilesOfTheSite: `profile` reads the folder that the site file names.
func TestProfilesOfTheSite(t *testing.T) {
	dir := t.TempDir()
	site := filepath.Join(dir, "site.yaml")
	for file, text := range map[string]string{
		site: "site: {id: a, tenant: b}\nscope: {managed: [192.0.2.0/24]}\nprofiles: " + filepath.Join(dir, "mine") + "\n",
		filepath.Join(dir, "mine", "toaster.yaml"): "sysobjectid: 1.3.6.1.4.1.9999.7\nmetrics:\n  - symbol: {OID: 1.3.6.1.4.1.9999.1.0, name: crumbs}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := call(t, "profile", "list", "-c", site); got.code != 0 || !strings.Contains(got.out, "toaster") {
		t.Errorf("%+v", got)
	}
	if got := call(t, "profile", "check", "-c", site); got.code != 0 || !strings.Contains(got.out, "toaster.yaml: fine: 1 metric") {
		t.Errorf("%+v", got)
	}
	if got := call(t, "profile", "check", "-c", site, "--dir", dir+"/none"); got.code != usage {
		t.Errorf("an empty folder: %+v", got)
	}
}
