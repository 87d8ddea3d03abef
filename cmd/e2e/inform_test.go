package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// informer sends informs with net-snmp's tool and keeps which were acknowledged.
type informer struct {
	t    *testing.T
	addr string
	dir  string
	wait string // seconds for an acknowledgement

	next atomic.Int64
	mu   sync.Mutex
	// acknowledged and not: those on the way when the probe was killed, or before it
	// was there again.
	acked, failed []string
}

func requireSnmptrap(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("snmptrap"); err == nil {
		return
	}
	if os.Getenv("SITEPROBE_REQUIRE") != "" {
		t.Fatal("no snmptrap to test with (apt-get install snmp)")
	}
	t.Skip("no snmptrap to test with (apt-get install snmp)")
}

// send sends one inform, of a content of its own.
func (i *informer) send(v3 bool) {
	name := fmt.Sprintf("inform-%d;", i.next.Add(1))
	args := []string{"-m", "", "-M", i.dir, "-Ci", "-r", "0", "-t", i.wait}
	if v3 {
		args = append(args, "-v", "3", "-u", "core", "-l", "authPriv", "-a", "SHA-256", "-A", community, "-x", "AES", "-X", community)
	} else {
		args = append(args, "-v", "2c", "-c", community)
	}
	args = append(args, i.addr, "", "1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1.1.0", "s", name)
	cmd := exec.Command("snmptrap", args...)
	cmd.Env = []string{"HOME=" + i.dir, "SNMP_PERSISTENT_DIR=" + i.dir, "SNMPCONFPATH=" + i.dir, "MIBS="}
	out, err := cmd.CombinedOutput()
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil || strings.Contains(string(out), "Timeout") {
		i.failed = append(i.failed, name)
		return
	}
	i.acked = append(i.acked, name)
}

func (i *informer) counts() (acked, failed int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.acked), len(i.failed)
}

// freeUDP gives a loopback address on which nothing listens.
func freeUDP(t *testing.T) string {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.LocalAddr().String()
}

// TestKillInforms kills the probe while it receives informs, between receipt and commit
// among other moments: none that was acknowledged is missing, in its buffer or at the
// hub.
func TestKillInforms(t *testing.T) {
	requireSnmptrap(t)
	t.Parallel()
	r := newRig(t, 1, true)
	in := &informer{t: t, addr: freeUDP(t), dir: t.TempDir(), wait: "2"}
	r.site.interval = quiet
	r.site.more = fmt.Sprintf("traps: {listen: %q}\n", in.addr)
	r.writeSite()
	k := newKilling(r)
	r.hub.start()
	r.probe.start()

	stop := make(chan struct{})
	var senders sync.WaitGroup
	for n := range 4 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					in.send(n%2 == 0)
				}
			}
		})
	}
	for range strikes() {
		r.probe.mustAwait("siteprobe runs", r.probe.begin)
		// An inform is on the disk a quarter of a second after it came, so with four
		// senders one is nearly always in between.
		before, _ := in.counts()
		k.upTo(time.Second)
		eventually(t, patience, "an inform is acknowledged", func() bool { n, _ := in.counts(); return n > before })
		k.upTo(250 * time.Millisecond)
		r.probe.kill9()
		k.n++
		r.probe.start()
	}
	close(stop)
	senders.Wait()
	eventually(t, 2*patience, "the hub has everything", func() bool {
		p := r.verify()
		return p != nil && p.Complete && p.Pending == 0
	})
	r.probe.stop()
	r.hub.stop()

	acked, failed := in.counts()
	for where, path := range map[string]string{"buffer": r.bufferDB(), "hub": r.hubDB()} {
		var all strings.Builder
		for _, text := range readContents(t, path).batches {
			all.WriteString(text)
		}
		kept := 0
		for _, name := range in.acked {
			if !strings.Contains(all.String(), name) {
				t.Errorf("%s was acknowledged and is not in the %s", name, where)
			}
		}
		for _, name := range in.failed {
			if strings.Contains(all.String(), name) {
				kept++
			}
		}
		t.Logf("%d kills: %d informs acknowledged, %d not (%d of them in the %s all the same)", k.n, acked, failed, kept, where)
	}
	if acked < strikes() {
		t.Errorf("only %d informs were acknowledged: that shows little", acked)
	}
	if failed == 0 {
		t.Error("no kill met an inform before its commit: that shows nothing")
	}
}
