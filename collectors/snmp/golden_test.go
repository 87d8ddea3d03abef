package snmp

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/recordingtest"
)

// TestGolden polls each recording of a real device by the built-in profiles: who it
// is, every interface, every sensor. What is wanted stands in testdata/golden, whose
// README says how it was worked out.
func TestGolden(t *testing.T) {
	address := recordingtest.Serve(t)
	set, problems := profile.Open("")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	kinds := NewKinds(set)
	for _, file := range recordingtest.Files(t) {
		name := file.Name
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("testdata", "golden", name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			c := collectorOf(t, Config{Device: name, Address: address, Credentials: []Credential{v2c(name)}, Timeout: 3 * time.Second}, WithKinds(kinds))
			var bs []collectors.Batch
			if err := c.Collect(context.Background(), func(b collectors.Batch) { bs = append(bs, b) }); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(goldenLines(t, string(want)), gotLines(c, bs)); diff != "" {
				t.Errorf("(-golden +got):\n%s", diff)
			}
		})
	}
}

// goldenLines reads a golden file into a reading for each metric of each row, and
// the lines that are about the device.
func goldenLines(t *testing.T, text string) (lines []string) {
	t.Helper()
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line := s.Text()
		labels, readings, isRow := strings.Cut(line, "} ")
		switch {
		case line == "" || line[0] == '#':
		case !isRow:
			lines = append(lines, line)
		default:
			ls := regexp.MustCompile(`\w+="(?:[^"\\]|\\.)*"`).FindAllString(labels, -1)
			for _, r := range strings.Split(readings, "; ") {
				f := append(strings.Fields(r), "")
				n, err := strconv.ParseFloat(f[1], 64)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				lines = append(lines, readingLine(f[0], ls, n, f[2]))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func readingLine(metric string, labels []string, n float64, unit string) string {
	slices.Sort(labels)
	round := strconv.FormatFloat(n, 'g', 12, 64)
	return strings.TrimSpace(fmt.Sprintf("%s{%s} %s %s", metric, strings.Join(labels, ","), round, unit))
}

// gotLines are the same of a poll. Counters of interfaces are left to
// TestRecordings, and what every device has to others.
func gotLines(c *Collector, bs []collectors.Batch) (lines []string) {
	d := c.device()
	for _, f := range [][2]string{{"profile", d.Profile}, {"class", d.Class}, {"vendor", d.Vendor}, {"model", d.Model}, {"serial_number", d.Serial}, {"os_version", d.Firmware}} {
		if f[1] != "" {
			lines = append(lines, f[0]+" "+f[1])
		}
	}
	for _, name := range c.emptyTables() {
		lines = append(lines, "empty "+name)
	}
	for _, b := range bs {
		for i := range b.Schema.Series {
			s := &b.Schema.Series[i]
			f, ok := b.Values[i].Float(s.Kind)
			switch {
			case !ok || math.IsNaN(f):
			case strings.HasPrefix(s.Metric, "snmp_scrape_") || s.Metric == "sysUpTime":
			case s.Kind == collectors.Counter && s.Label("ifIndex") != "":
			default:
				var ls []string
				for _, l := range s.Labels {
					if l.Name != "device" {
						ls = append(ls, l.Name+"="+strconv.Quote(l.Value))
					}
				}
				lines = append(lines, readingLine(s.Metric, ls, f, s.Unit))
			}
		}
	}
	slices.Sort(lines)
	return lines
}
