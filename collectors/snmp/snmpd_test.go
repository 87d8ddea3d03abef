package snmp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

const snmpd = "/usr/sbin/snmpd"

// netSnmp is net-snmp's agent, run as whoever runs the test, on a free port, with
// all that it keeps in a folder of the test's.
type netSnmp struct {
	t       *testing.T
	dir     string
	address string
	process *exec.Cmd
}

func startSnmpd(t *testing.T) *netSnmp {
	t.Helper()
	if _, err := os.Stat(snmpd); err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") != "" {
			t.Fatalf("net-snmp's agent is not installed, and SITEPROBE_REQUIRE wants it: %v", err)
		}
		t.Skipf("net-snmp's agent is not installed: %v", err)
	}
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &netSnmp{t: t, dir: t.TempDir(), address: free.LocalAddr().String()}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`agentAddress udp:%s
rocommunity canary-community 127.0.0.1
sysName probe-test
createUser sha SHA "authpass1234" AES "privpass1234"
createUser sha256 SHA-256 "authpass1234" AES "privpass1234"
createUser auth SHA-256 "authpass1234"
rouser sha priv
rouser sha256 priv
rouser auth auth
`, a.address)
	for _, x := range everyPair() {
		conf += fmt.Sprintf("createUser %s %s \"authpass1234\" %s \"privpass1234\"\nrouser %s priv\n", x.user, x.netSnmpAuth, x.netSnmpPriv, x.user)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "snmpd.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	a.start()
	t.Cleanup(a.kill)
	return a
}

// start returns when the agent answers. Until it listens the port is closed, and
// each poll fails at once.
func (a *netSnmp) start() {
	a.t.Helper()
	none := filepath.Join(a.dir, "none")
	a.process = exec.Command(snmpd, "-f", "-Lo", "-C", "-c", filepath.Join(a.dir, "snmpd.conf"), "-m", "", "-M", none, "-I", "-smux")
	// Not where its settings are: it would write over them.
	state := filepath.Join(a.dir, "state")
	a.process.Env = []string{"SNMP_PERSISTENT_DIR=" + state, "SNMPCONFPATH=" + none, "MIBS=", "HOME=" + state}
	if err := a.process.Start(); err != nil {
		a.t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		c := collectorOf(a.t, Config{Address: a.address, Credentials: []Credential{v2c("canary-community")}})
		_, err := poll(a.t, c)
		_ = c.Close()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("the agent does not answer: %v", err)
		}
	}
}

func (a *netSnmp) kill() {
	_ = a.process.Process.Kill()
	_ = a.process.Wait()
}

// pair is an authentication and a privacy protocol, and net-snmp's names of them.
type pair struct{ user, auth, priv, netSnmpAuth, netSnmpPriv string }

func everyPair() (out []pair) {
	for _, auth := range authProtocols() {
		for _, priv := range privProtocols() {
			x := pair{user: auth + priv, auth: auth, priv: priv, netSnmpAuth: auth, netSnmpPriv: priv}
			if bits, ok := strings.CutPrefix(auth, "SHA"); ok && bits != "" {
				x.netSnmpAuth = "SHA-" + bits
			}
			out = append(out, x)
		}
	}
	return out
}

func (x *pair) credential() Credential {
	return Credential{x.user, Auth{Version: "3", Username: x.user, AuthProtocol: x.auth, AuthPassword: "authpass1234",
		PrivProtocol: x.priv, PrivPassword: "privpass1234"}}
}

// Every pair that a site file can name, against net-snmp.
func TestSnmpdEveryPair(t *testing.T) {
	address := startSnmpd(t).address
	for _, x := range everyPair() {
		c := collectorOf(t, Config{Address: address, Timeout: time.Second, Credentials: []Credential{x.credential()}})
		bs, err := poll(t, c)
		if err != nil || count(bs, "ifOperStatus") == 0 {
			t.Errorf("%s with %s: %v", x.auth, x.priv, err)
		}
	}
}

// An engine whose count of boots goes forward by many or back, as after a change of
// its board or of its clock: a session that knew it before gets over that.
func TestSnmpdBoots(t *testing.T) {
	agent := startSnmpd(t)
	pairs := everyPair()
	c := collectorOf(t, Config{Address: agent.address, Timeout: time.Second, Credentials: []Credential{pairs[len(pairs)-1].credential()}})
	mustPoll(t, c)
	boots := regexp.MustCompile(`(?m)^engineBoots .*$`)
	for _, n := range []int{1000, 2, 2_000_000, 1} {
		agent.kill()
		file := filepath.Join(agent.dir, "state", "snmpd.conf")
		b, err := os.ReadFile(file)
		if err != nil || !boots.Match(b) {
			t.Fatalf("net-snmp keeps no boots: %v", err)
		}
		if err := os.WriteFile(file, boots.ReplaceAll(b, fmt.Appendf(nil, "engineBoots %d", n)), 0o600); err != nil {
			t.Fatal(err)
		}
		agent.start()
		mustPoll(t, c)
		mustPoll(t, c)
	}
}

// TestSnmpdRestart: after kill -9 the engine's boots stay and its time starts
// anew, which an SNMPv3 session must get over within a poll.
func TestSnmpdRestart(t *testing.T) {
	agent := startSnmpd(t)
	c := collectorOf(t, Config{Address: agent.address, Timeout: time.Second, Credentials: []Credential{{"x", Auth{
		Version: "3", Username: "sha256", AuthProtocol: "SHA256", AuthPassword: "authpass1234",
		PrivProtocol: "AES", PrivPassword: "privpass1234"}}}})
	mustPoll(t, c)
	agent.kill()
	if _, err := poll(t, c); !errors.Is(err, ErrRefused) {
		t.Errorf("error %v of an agent that is gone", err)
	}
	agent.start()
	mustPoll(t, c)
	mustPoll(t, c)
	agent.kill()
	agent.start() // unnoticed: the session is the old one
	mustPoll(t, c)
}

func TestSnmpd(t *testing.T) {
	address := startSnmpd(t).address
	user := func(change func(*Auth)) Auth {
		a := Auth{Version: "3", Username: "sha256", SecurityLevel: authPriv, AuthProtocol: "SHA256",
			AuthPassword: "authpass1234", PrivProtocol: "AES", PrivPassword: "privpass1234"}
		change(&a)
		return a
	}
	for _, test := range []struct {
		name string
		auth Auth
		want error
	}{
		{"v1", Auth{Version: "1", Community: "canary-community"}, nil},
		{"v2c", Auth{Version: "2c", Community: "canary-community"}, nil},
		{"v3 SHA-256 AES", user(func(*Auth) {}), nil},
		{"v3 SHA AES", user(func(a *Auth) { a.Username, a.AuthProtocol = "sha", "SHA" }), nil},
		{"v3 authNoPriv", user(func(a *Auth) {
			a.Username, a.SecurityLevel, a.PrivProtocol, a.PrivPassword = "auth", authNoPriv, "", ""
		}), nil},
		{"wrong community", Auth{Version: "2c", Community: "canary-wrong"}, ErrNoAnswer},
		{"unknown user", user(func(a *Auth) { a.Username = "nobody" }), ErrUnknownUser},
		{"wrong password", user(func(a *Auth) { a.AuthPassword = "canary-wrong" }), ErrWrongDigest},
		{"wrong protocol", user(func(a *Auth) { a.AuthProtocol = "SHA" }), ErrWrongDigest},
		{"wrong privacy password", user(func(a *Auth) { a.PrivPassword = "canary-wrong" }), ErrNoAnswerV3},
		{"a level the user has not", user(func(a *Auth) { a.Username = "auth" }), ErrSecurityLevel},
	} {
		t.Run(test.name, func(t *testing.T) {
			timeout := time.Second
			if test.want != nil {
				timeout = 200 * time.Millisecond
			}
			c := collectorOf(t, Config{Address: address, Credentials: []Credential{{"x", test.auth}}, Timeout: timeout})
			for range 2 {
				bs, err := poll(t, c)
				if test.want != nil {
					if !errors.Is(err, test.want) {
						t.Errorf("error %v, want %v", err, test.want)
					}
					mustNotTell(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err), canaries("canary-wrong", "authpass1234", "privpass1234"))
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := readings(bs); count(bs, "ifOperStatus") == 0 {
					t.Errorf("no interfaces in %v", got)
				}
				for s, v := range readings(bs) {
					if strings.HasPrefix(s, "sysName") && v != "probe-test" && v != "-" {
						t.Errorf("%s is %s", s, v)
					}
				}
			}
		})
	}
}

// TestSnmpdWalk: what the client reads is what net-snmp's own snmpwalk prints.
func TestSnmpdWalk(t *testing.T) {
	address := startSnmpd(t).address
	snmpwalk, err := exec.LookPath("snmpwalk")
	if err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") != "" {
			t.Fatalf("net-snmp's tools are not installed, and SITEPROBE_REQUIRE wants them: %v", err)
		}
		t.Skipf("net-snmp's tools are not installed: %v", err)
	}
	c, err := Dial(t.Context(), Config{Address: address, Timeout: time.Second, Credentials: []Credential{{"x", Auth{
		Version: "3", Username: "sha256", AuthProtocol: "SHA256", AuthPassword: "authpass1234",
		PrivProtocol: "AES", PrivPassword: "privpass1234"}}}}, scopeOf("127.0.0.0/8"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, oid := range []string{"1.3.6.1.2.1.2.2.1.2", "1.3.6.1.2.1.2.2.1.3", "1.3.6.1.2.1.2.2.1.6", "1.3.6.1.2.1.1.9.1", "1.3.6.1.6.3.10.2.1.1", "1.3.6.1.6.3.16.1.4.1"} {
		walk := exec.Command(snmpwalk, "-v2c", "-c", "canary-community", "-On", "-m", "", address, oid)
		walk.Env = []string{"SNMPCONFPATH=" + t.TempDir(), "MIBS=", "HOME=" + t.TempDir(), "SNMP_PERSISTENT_DIR=" + t.TempDir()}
		want, err := walk.Output()
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		if err := c.Walk(t.Context(), Limits{}, func(v pdu.Varbind) bool {
			got = pdu.AppendDotted(append(got, '.'), v.OID)
			got = append(pdu.AppendValue(append(got, " = "...), &v, true), '\n')
			return true
		}, pdu.MustOID(oid)); err != nil {
			t.Fatal(err)
		}
		// snmpwalk breaks the line after sixteen octets.
		if diff := cmp.Diff(strings.ReplaceAll(string(want), "\n", ""), strings.ReplaceAll(string(got), "\n", "")); diff != "" {
			t.Errorf("%s (-snmpwalk +client):\n%s", oid, diff)
		}
	}
}
