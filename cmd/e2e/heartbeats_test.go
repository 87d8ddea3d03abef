package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/uplink/wire"
)

// TestHeartbeats: a job calls the daemon, which still knows it after a restart.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	r := newReceiving(t)
	token := filepath.Join(r.dir, "token")
	if err := os.WriteFile(token, []byte("a-token-of-e2e\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	section := fmt.Sprintf("heartbeats: {listen: %q, jobs: [{name: backup, every: 24h, token: {file: %s}}]}\n", addr, token)
	call := func(token string) int {
		resp, err := http.Post("http://"+addr+"/heartbeat/backup/"+token+"?status=fail&message=disk+full", "", nil)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	r.site(section)
	r.probe.start()
	r.probe.mustAwait("siteprobe runs", r.probe.begin)
	eventually(t, patience, "the job is heard", func() bool { return call("a-token-of-e2e") == http.StatusNoContent })
	if got := call("another-token"); got != http.StatusNotFound {
		t.Errorf("a wrong token: %d", got)
	}
	r.awaitStatus("the call is counted", func(s *wire.Status) bool {
		return len(s.Receivers) == 1 && s.Receivers[0].Name == "heartbeats" && s.Receivers[0].Messages == 2 && s.Receivers[0].Dropped == 1
	})
	r.reload("")
	r.awaitStatus("nobody listens", func(s *wire.Status) bool { return len(s.Receivers) == 0 })
	if got := call("a-token-of-e2e"); got != 0 {
		t.Errorf("it still answers: %d", got)
	}
	r.reload(section)
	eventually(t, patience, "the job is heard again", func() bool { return call("a-token-of-e2e") == http.StatusNoContent })
	r.probe.stop()
	book, err := os.ReadFile(filepath.Join(r.dir, "heartbeats.json"))
	if err != nil || !strings.Contains(string(book), "disk full") || strings.Contains(string(book), "a-token") {
		t.Errorf("the book: %v, %s", err, book)
	}
}
