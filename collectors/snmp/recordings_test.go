package snmp

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/recordingtest"
)

// TestRecordings collects recordings of real devices, which are not part of the
// repository: SITEPROBE_SHARED names the folder that has them and the program that
// serves them.
func TestRecordings(t *testing.T) {
	address := recordingtest.Serve(t)
	interfaces := interfacesByReadme(t, filepath.Join(recordingtest.Folder(t), "README.md"))
	for _, file := range recordingtest.Files(t) {
		name := file.Name
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
			if diff := cmp.Diff(recorded(t, file.Path, bs), numbers(bs)); diff != "" {
				t.Errorf("readings (-recorded +got):\n%s", diff)
			}
			if diff := cmp.Diff(readings(bs), readings(offline(t, file))); diff != "" {
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

// offline collects a recording without anybody who plays it.
func offline(t *testing.T, file recordingtest.File) []collectors.Batch {
	t.Helper()
	return mustPoll(t, collectorOf(t, Config{Device: file.Name, Address: "127.0.0.1"}, Offline(file.Variables(t))))
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
