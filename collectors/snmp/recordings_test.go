package snmp

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/walkfile"
)

// TestRecordings collects recordings of real devices, which are not part of the
// repository: SITEPROBE_SHARED names the folder that has them and the program that
// serves them.
func TestRecordings(t *testing.T) {
	shared := sharedFolder(t)
	dir := filepath.Join(shared, "snmprec")
	address := serveRecordings(t, shared, dir)
	interfaces := interfacesByReadme(t, filepath.Join(dir, "README.md"))
	files, err := filepath.Glob(filepath.Join(dir, "*.snmprec"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recordings in %s: %v", len(files), dir, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".snmprec")
		if strings.Contains(name, "@") {
			continue // BRIDGE-MIB of one VLAN
		}
		t.Run(name, func(t *testing.T) {
			c := collectorOf(t, Config{Device: name, Address: address, Credentials: []Credential{v2c(name)}, Timeout: 3 * time.Second})
			bs := mustPoll(t, c)
			rows := map[string]bool{}
			for _, b := range bs {
				for i := range b.Schema.Series {
					if index := b.Schema.Series[i].Label("ifIndex"); index != "" {
						rows[index] = true
					}
				}
			}
			// The README counts ifTable's rows; a device may have more in ifXTable.
			if want := interfaces[name]; len(rows) < want {
				t.Errorf("%d interfaces, want %d", len(rows), want)
			}
			if diff := cmp.Diff(recorded(t, file, bs), numbers(bs)); diff != "" {
				t.Errorf("readings (-recorded +got):\n%s", diff)
			}
			if diff := cmp.Diff(readings(bs), readings(offline(t, name, file))); diff != "" {
				t.Errorf("read out of the file it differs (-served +file):\n%s", diff)
			}
			again := mustPoll(t, c)
			for i := range again {
				if again[i].Schema != bs[i].Schema {
					t.Errorf("batch %d has another schema in the second poll", i)
				}
			}
			if diff := cmp.Diff(numbers(bs), numbers(again)); diff != "" {
				t.Errorf("the second poll differs (-first +second):\n%s", diff)
			}
		})
	}
}

// sharedFolder is where the recordings are.
func sharedFolder(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("SITEPROBE_SHARED")
	if shared == "" {
		t.Skip("SITEPROBE_SHARED is not set: no recordings")
	}
	return shared
}

// offline collects a recording without anybody who plays it.
func offline(t *testing.T, name, file string) []collectors.Batch {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	vars, _, err := walkfile.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return mustPoll(t, collectorOf(t, Config{Device: name, Address: "127.0.0.1"}, Offline(vars)))
}

// serveRecordings builds the program that plays devices and starts it.
func serveRecordings(t *testing.T, shared, dir string) (address string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "serve")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(shared, "tools", "snmprec-serve")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the player: %v\n%s", err, out)
	}
	serve := exec.Command(program, "-dir", dir, "-listen", "127.0.0.1:0", "-q")
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	serve.Stderr = serve.Stdout
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`^serving \d+ recordings on (\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			return m[1]
		}
	}
	t.Fatal("the player has not said where it serves")
	return ""
}

// interfacesByReadme reads the table of the recordings' README.
func interfacesByReadme(t *testing.T, file string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\S+)` \\|[^|]*\\| \\d+ \\| (\\d+) \\|").FindAllStringSubmatch(string(text), -1) {
		m[row[1]], _ = strconv.Atoi(row[2])
	}
	if len(m) == 0 {
		t.Fatal("no table in the README of the recordings")
	}
	return m
}

// numbers maps metric and ifIndex to the reading, of all that is a number.
func numbers(bs []collectors.Batch) map[string]float64 {
	m := map[string]float64{}
	for _, b := range bs {
		for i, v := range b.Values {
			s := &b.Schema.Series[i]
			if f, ok := v.Float(s.Kind); ok && !strings.HasPrefix(s.Metric, "snmp_scrape_") {
				m[s.Metric+" "+s.Label("ifIndex")] = f
			}
		}
	}
	return m
}

// recorded gives what the recording holds under the same names. Of the columns
// that stand in for others it takes those that the readings have: which ones they
// should have is another test's.
func recorded(t *testing.T, file string, bs []collectors.Batch) map[string]float64 {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), "|", 3)
		if len(f) != 3 {
			continue
		}
		if _, twice := lines[f[0]]; twice {
			continue
		}
		if strings.HasSuffix(f[1], "x") {
			if _, err := hex.DecodeString(f[2]); err != nil {
				t.Fatalf("%s: %v", f[0], err)
			}
		} else if n, err := strconv.ParseFloat(f[2], 64); err == nil {
			lines[f[0]] = n
		}
	}
	got := numbers(bs)
	want := map[string]float64{}
	p := genericProfile(t)
	for _, o := range p.Scalars {
		if n, ok := lines[string(pdu.AppendDotted(nil, o.OID))]; ok && o.Kind != collectors.Text {
			want[o.Name+" "] = n
		}
	}
	for _, o := range p.Tables[0].Columns {
		root := string(pdu.AppendDotted(nil, o.OID)) + "."
		for oid, n := range lines {
			index, ok := strings.CutPrefix(oid, root)
			if !ok {
				continue
			}
			key := fmt.Sprintf("%s %s", o.Name, index)
			if _, read := got[key]; !read && (o.InsteadOf != "" || o.Name == "ifHighSpeed" && n == 0) {
				continue
			}
			want[key] = n
		}
	}
	return want
}
