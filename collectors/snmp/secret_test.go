package snmp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// canaries are what must be found in no error, event, reading or line of output.
func canaries(secrets ...string) (all []string) {
	for _, s := range secrets {
		spaced := strings.TrimSpace(fmt.Sprintf("% x", s))
		all = append(all, s, strings.ToUpper(hex.EncodeToString([]byte(s))), hex.EncodeToString([]byte(s)), spaced,
			strings.Trim(fmt.Sprint([]byte(s)), "[]"))
		for shift := range 3 { // base64 of a text around it
			enc := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + s))
			all = append(all, enc[shift+1:len(enc)-1])
		}
	}
	return all
}

func mustNotTell(t *testing.T, where, text string, canaries []string) {
	t.Helper()
	for _, c := range canaries {
		if strings.Contains(text, c) {
			t.Errorf("%s tells %q: %s", where, c, text)
		}
	}
}

// captured gives what is written to standard output and error, and logged, while
// do runs.
func captured(t *testing.T, do func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() { b, _ := io.ReadAll(r); got <- string(b) }()
	stdout, stderr, logger := os.Stdout, os.Stderr, slog.Default()
	os.Stdout, os.Stderr = w, w
	log.SetOutput(w)
	slog.SetDefault(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer func() {
		os.Stdout, os.Stderr = stdout, stderr
		log.SetOutput(stderr)
		slog.SetDefault(logger)
	}()
	do()
	_ = w.Close()
	return <-got
}

// TestSecretsStayInside asks an agent that answers with damaged messages, many of
// which gosnmp dumps in its error's text, and looks for the community everywhere.
func TestSecretsStayInside(t *testing.T) {
	const community = "canary-7391-community"
	all := canaries(community)
	random := rand.New(rand.NewPCG(1, 2))
	damage := func(_, out []byte) []byte {
		out = bytes.Clone(out)
		switch random.IntN(6) {
		case 0:
			out = out[:random.IntN(len(out))]
		case 1: // the community in place of a value, as of an integer
			out = bytes.ReplaceAll(out, []byte("Gi1"), []byte(community))
		case 2:
			return []byte(community)
		case 3:
			return nil
		}
		for range 1 + random.IntN(3) {
			if len(out) > 0 {
				out[random.IntN(len(out))] = byte(random.IntN(256))
			}
		}
		return out
	}
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(2), Community: community, Manners: snmptest.Manners{Rewrite: damage}})
	failed := 0
	output := captured(t, func() {
		for range 150 {
			c := collectorOf(t, Config{Address: agent.Addr().String(), Timeout: 5 * time.Millisecond, Credentials: []Credential{v2c(community)}})
			c.cfg.Credentials[0].Name = "lan"
			bs, err := poll(t, c)
			if err != nil {
				failed++
				mustNotTell(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err), all)
			}
			for _, b := range bs {
				mustNotTell(t, "an event", fmt.Sprint(b.Events), all)
			}
			mustNotTell(t, "the collector", fmt.Sprintf("%v %+v", c.cfg, c.cfg), all)
			_ = c.Close()
		}
	})
	mustNotTell(t, "the output", output, all)
	if failed == 0 {
		t.Error("no poll failed: the test tests nothing")
	}
}

func TestAuthDoesNotPrintItsSecrets(t *testing.T) {
	a := Auth{Version: "3", Username: "probe", Community: "canary-1111", AuthPassword: "canary-2222", PrivPassword: "canary-3333"}
	for _, text := range []string{fmt.Sprint(a), fmt.Sprintf("%+v %#v", a, a), fmt.Sprint(a.Validate()), fmt.Sprint(Config{Credentials: []Credential{{"x", a}}})} {
		mustNotTell(t, "it", text, canaries("canary-1111", "canary-2222", "canary-3333"))
	}
}
