package draw

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/topology"
)

// facts makes a switch that hears others at its ports: "2:sw2 Gi1/0/1".
func facts(name string, number byte, hears ...string) *topology.Facts {
	f := &topology.Facts{Device: name, SysName: name, SysDescr: "Test switch <24 ports> & more", Chassis: topology.ID{Subtype: 4, Text: topology.MAC{2, 0, 0, 0, 0, number}.String()},
		Ports: map[uint32]int{}}
	for p := 1; p <= 24; p++ {
		f.Interfaces = append(f.Interfaces, topology.Interface{Index: 100 + p, Name: fmt.Sprintf("Gi1/0/%d", p), Speed: 1e9})
		f.Ports[uint32(p)] = 100 + p
	}
	for _, h := range hears {
		var p int
		var other, remote string
		if _, err := fmt.Sscanf(strings.ReplaceAll(h, ":", " "), "%d %s %s", &p, &other, &remote); err != nil {
			panic(err)
		}
		f.Neighbours = append(f.Neighbours, topology.Neighbour{Protocol: "lldp", IfIndex: 100 + p, SysName: other, PortID: topology.ID{Subtype: 5, Text: remote},
			Bridges: !strings.HasPrefix(other, "pc"), Addresses: nil})
	}
	return f
}

func build(all ...*topology.Facts) *topology.Graph {
	known := []topology.Known{{Name: "nas", Address: "192.168.1.5"}}
	for _, f := range all {
		known = append(known, topology.Known{Name: f.Device})
	}
	return topology.Build(known, all)
}

func TestText(t *testing.T) {
	gw := facts("gw", 1, "1:sw1 Gi1/0/24")
	gw.SysDescr = "A gateway\x1b[31m"
	gw.Partial = []string{"ARP: walking 192.168.1.1: no answer"}
	sw1 := facts("sw1", 2, "24:gw Gi1/0/1", "1:sw2 Gi1/0/1", "2:sw3 Gi1/0/1", "7:pc7 eth0", "8:pc8 eth0")
	sw2 := facts("sw2", 3, "1:sw1 Gi1/0/1", "9:sw3 Gi1/0/9")
	sw3 := facts("sw3", 4)
	sw3.FDB = []topology.Forwards{{IfIndex: 105, Port: 5, MACs: topology.MACList{{0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 6}}}}
	g := build(gw, sw1, sw2, sw3)
	var b bytes.Buffer
	if err := Text(&b, g, Options{Root: "gw"}); err != nil {
		t.Fatal(err)
	}
	want := `
DEVICE                               PLUGGED IN AT  ITS PORT  SPEED     CONFIDENCE  HOSTS  IS
gw                                                                                         A gateway?[31m
└─ sw1                               Gi1/0/1        Gi1/0/24  1 Gbit/s  high               Test switch <24 ports> & more
   ├─ sw2                            Gi1/0/1        Gi1/0/1   1 Gbit/s  high               Test switch <24 ports> & more
   ├─ sw3                            Gi1/0/2        Gi1/0/1   1 Gbit/s  medium      2      Test switch <24 ports> & more
   └─ 2 telephones or hosts (--all)                                                        

further links
  sw2 Gi1/0/9  - sw3 Gi1/0/9  1 Gbit/s  medium

without a link
  nas

not read to the end
  gw: ARP: walking 192.168.1.1: no answer
`
	if diff := cmp.Diff(want, "\n"+b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.Reset()
	if err := Text(&b, g, Options{Root: "gw", All: true}); err != nil || !strings.Contains(b.String(), "├─ pc7") {
		t.Errorf("%v:\n%s", err, b.String())
	}
	b.Reset()
	if err := Text(&b, topology.Build(nil, nil), Options{}); err != nil || b.Len() > 0 {
		t.Errorf("%v: %q", err, b.String())
	}
}

// fifty is a site of fifty devices: a core, nine switches and what hangs on them, with
// one link too many and names that are too long.
func fifty() *topology.Graph {
	core := facts("core", 1)
	all := []*topology.Facts{core}
	for i := 2; i <= 10; i++ {
		name := fmt.Sprintf("sw-floor-%d", i)
		core.Neighbours = append(core.Neighbours, facts("x", 0, fmt.Sprintf("%d:%s Gi1/0/24", i, name)).Neighbours...)
		s := facts(name, byte(i), fmt.Sprintf("24:core Gi1/0/%d", i))
		for p := 1; p <= 4 && len(all)+(i-2)*4 < 60; p++ {
			s.Neighbours = append(s.Neighbours, facts("x", 0, fmt.Sprintf("%d:ap-%d-%d-with-a-name-that-is-much-too-long-for-any-box GigabitEthernet0/%d/long", p, i, p, p)).Neighbours...)
		}
		all = append(all, s)
	}
	all[3].Neighbours = append(all[3].Neighbours, facts("x", 0, "20:sw-floor-7 Gi1/0/20").Neighbours...)
	all[5].Neighbours[1].SysName = `<script>alert("x")</script>&`
	for i := range all[4].Neighbours {
		all[4].Neighbours[i].Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}
	}
	return build(all...)
}

// TestSVG: it is XML, holds no markup of a device's, and no two labels or boxes
// overlap.
func TestSVG(t *testing.T) {
	g := fifty()
	var b bytes.Buffer
	if err := SVG(&b, g, Options{Root: "core", All: true}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "script" {
			t.Error("a device's markup is in it")
		}
	}
	if len(g.Nodes) < 45 || strings.Count(text, "<rect") < len(g.Nodes) {
		t.Errorf("%d boxes for %d nodes", strings.Count(text, "<rect"), len(g.Nodes))
	}
	type box struct{ x0, y0, x1, y1 float64 }
	var boxes []box
	for _, m := range regexp.MustCompile(`<text x="(\d+)" y="(\d+)" class="(.)"( text-anchor="end")?>([^<]*)</text>`).FindAllStringSubmatch(text, -1) {
		x, _ := strconv.ParseFloat(m[1], 64)
		y, _ := strconv.ParseFloat(m[2], 64)
		size := map[string]float64{"n": 12, "a": 9.5, "p": 10, "t": 11, "h": 12}[m[3]]
		wide := 0.58 * size * float64(len([]rune(strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&#34;", `"`).Replace(m[5]))))
		if m[4] != "" {
			x -= wide
		}
		boxes = append(boxes, box{x, y - size*0.8, x + wide, y + size*0.2})
	}
	for i, a := range boxes {
		for _, b := range boxes[i+1:] {
			if a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1 {
				t.Errorf("labels overlap: %v and %v", a, b)
			}
		}
	}
}

// TestSVGRenders lets a browser draw it: it must find no fault, and make an image.
func TestSVGRenders(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") == "1" {
			t.Fatal("chromium is required and missing")
		}
		t.Skip("there is no chromium")
	}
	dir := t.TempDir()
	file, image := filepath.Join(dir, "topology.svg"), filepath.Join(dir, "topology.png")
	var b bytes.Buffer
	if err := SVG(&b, fifty(), Options{Root: "core", All: true}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--window-size=1300,2700", "--screenshot="+image, "file://"+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("chromium does not work here: %v: %.200s", err, out)
	}
	if info, err := os.Stat(image); err != nil || info.Size() < 20_000 {
		t.Errorf("no image: %v", err)
	}
	if keep := os.Getenv("SITEPROBE_KEEP_IMAGE"); keep != "" {
		png, err := os.ReadFile(image)
		if err != nil || os.WriteFile(keep, png, 0o600) != nil {
			t.Error("the image cannot be kept")
		}
	}
}

func TestBrief(t *testing.T) {
	for long, want := range map[string]string{"": "", "Gi1/0/1": "Gi1/0/1", "TwentyFiveGigE1/0/12": "Tw1/0/12", "Port 12 on the left of unit 2": "… left of unit 2", "ethernet-with-a-very-long-name": "…-very-long-name"} {
		if got := brief(long); got != want {
			t.Errorf("%q: %q, want %q", long, got, want)
		}
	}
}
