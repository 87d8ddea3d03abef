package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// TestScript runs testdata/script/*.txtar against the real programs. Beside
// testscript's own commands the scripts have
//
//	expand FILE...               replace $VARIABLES in files
//	exits CODE PROGRAM ARG...    run to the end, which must be this exit code
//	await REGEXP PROGRAM ARG...  run again and again until its output matches
//	daemon NAME PROGRAM ARG...   start in the background
//	logged NAME REGEXP           wait for a line of a daemon's log after the last such line
//	hup NAME                     send SIGHUP
//	term NAME [CODE]             send SIGTERM and wait for this exit code, or 0
//	patch FILE OFFSET HEX        overwrite bytes of a file
//	matches GLOB                 there is such a file
//
// and the variables AGENT and AGENT2 (where an agent answers to the community
// "e2e-community"), AGENT_PORT (the port of AGENT), DEAD (where nothing does) and BROKER and BROKER2 (where a
// broker may listen, and none does yet). The condition [ping] is whether this user may
// ping.
func TestScript(t *testing.T) {
	p := testscript.Params{Dir: "testdata/script", Setup: setupScript, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"expand": scriptExpand, "exits": scriptExits, "await": scriptAwait, "daemon": scriptDaemon, "logged": scriptLogged,
		"hup": scriptHup, "term": scriptTerm, "patch": scriptPatch, "matches": scriptMatches,
	}, Condition: scriptCondition}
	testscript.Run(t, p)
}

// daemons are a script's background processes.
type daemons map[string]*daemon

type daemon struct {
	*process
	seen int // lines up to here were waited for
}

func setupScript(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("the script's T is no testing.TB")
	}
	bin, err := filepath.Abs(filepath.Dir(program(t, "siteprobe")))
	if err != nil {
		return err
	}
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
	for _, name := range []string{"AGENT", "AGENT2"} {
		a, err := snmptest.Listen("", snmptest.Config{MIB: snmptest.Switch(2), Community: community})
		if err != nil {
			return err
		}
		env.Defer(func() { a.Close() })
		env.Setenv(name, a.Addr().String())
		env.Setenv(name+"_PORT", strconv.Itoa(int(a.Addr().Port())))
	}
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Defer(func() { dead.Close() })
	env.Setenv("DEAD", dead.LocalAddr().String())
	env.Setenv("BROKER", freeAddr(t))
	env.Setenv("BROKER2", freeAddr(t))
	ds := daemons{}
	env.Defer(func() {
		for _, d := range ds {
			d.kill9()
		}
	})
	env.Values["daemons"], env.Values["t"] = ds, t
	return os.WriteFile(filepath.Join(env.WorkDir, "community"), []byte(community+"\n"), 0o600)
}

func scriptCondition(name string) (bool, error) {
	if name != "ping" {
		return false, errors.New("the only condition is ping")
	}
	here := netip.MustParseAddr("127.0.0.1")
	at := func(context.Context) error { return nil }
	got, err := check.NewPinger().Echoes(context.Background(), []netip.Addr{here}, at, 5*time.Second)
	return err == nil && got[here], nil
}

// usage ends the script where a command is written wrongly.
func usage(ts *testscript.TestScript, neg bool, ok bool, how string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", how)
	}
}

func scriptExpand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "expand FILE...")
	for _, f := range args {
		text := os.Expand(ts.ReadFile(f), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o600))
	}
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "exits CODE PROGRAM ARG...")
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("it exits with %d, not %s", code, args[0])
	}
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "await REGEXP PROGRAM ARG...")
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	deadline := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_ = ts.Exec(args[1], args[2:]...) // any exit code: the output tells
		if want.MatchString(ts.ReadFile("stdout")) || want.MatchString(ts.ReadFile("stderr")) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("its output did not match %s within %v", want, patience)
		case <-tick.C:
		}
	}
}

func scriptDaemon(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "daemon NAME PROGRAM ARG...")
	ds := ts.Value("daemons").(daemons)
	p := newProcess(ts.Value("t").(testing.TB), args[1], args[2:]...)
	p.dir = ts.MkAbs(".")
	p.start()
	ds[args[0]] = &daemon{process: p}
}

func daemonOf(ts *testscript.TestScript, name string) *daemon {
	d := ts.Value("daemons").(daemons)[name]
	if d == nil {
		ts.Fatalf("there is no daemon %s", name)
	}
	return d
}

func scriptLogged(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "logged NAME REGEXP")
	d := daemonOf(ts, args[0])
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	i, ok := d.find(want.MatchString, d.seen, patience)
	if !ok {
		ts.Fatalf("%s has not logged %s; the end of its log:\n%s", args[0], want, d.tail(20))
	}
	d.seen = i + 1
}

func scriptHup(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "hup NAME")
	daemonOf(ts, args[0]).signal(syscall.SIGHUP)
}

func scriptTerm(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1 || len(args) == 2, "term NAME [CODE]")
	want := "0"
	if len(args) == 2 {
		want = args[1]
	}
	d := daemonOf(ts, args[0])
	if code := d.terminate(); strconv.Itoa(code) != want {
		ts.Fatalf("%s ended with %d, not %s; the end of its log:\n%s", args[0], code, want, d.tail(20))
	}
}

func scriptPatch(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "patch FILE OFFSET HEX")
	offset, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	b, err := hex.DecodeString(args[2])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt(b, offset)
	ts.Check(errors.Join(err, f.Close()))
}

func scriptMatches(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "matches GLOB")
	if found, err := filepath.Glob(ts.MkAbs(args[0])); err != nil || len(found) == 0 {
		ts.Fatalf("no file matches %s", args[0])
	}
}
