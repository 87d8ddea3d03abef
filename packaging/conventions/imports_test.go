package conventions

import (
	"path"
	"strings"
	"testing"
)

// TestImports holds the one way through: config -> collectors -> buffer ->
// uplink. Imports run against it, so that every part can be read and tested
// without the parts that come after it.
func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.imports() {
			if why := forbidden(s.dir, s.test, imp); why != "" {
				t.Errorf("%s imports %s: %s", s.name, imp, why)
			}
		}
	}
}

// forbidden says why a file in dir may not import imp, or nothing when it may.
func forbidden(dir string, test bool, imp string) string {
	if owners, why := owner(imp); owners != nil {
		for _, o := range owners {
			if dir == o {
				return ""
			}
		}
		return why
	}
	if dir == "collectors" && !test {
		return forbiddenWord(imp)
	}
	if !strings.HasPrefix(imp, module+"/") {
		return ""
	}
	to := strings.TrimPrefix(imp, module+"/")
	if testOnly(to) {
		if test || testOnly(dir) || dir == "cmd/demo" || dir == "cmd/bench" {
			return ""
		}
		return "a package whose name ends in test is for tests (and cmd/demo and cmd/bench): what it makes is made up, or has faults on purpose"
	}
	return forbiddenInside(dir, to)
}

// owner names the packages that alone may import a dependency, and why.
func owner(imp string) (dirs []string, why string) {
	for _, d := range []struct {
		prefix string
		dirs   []string
		why    string
	}{
		{"github.com/eclipse/paho.mqtt.golang", []string{"uplink/mqtt"},
			"only uplink/mqtt knows the MQTT client: the sender is written against uplink.Transport, so that a stick or a test can stand in"},
		{"github.com/mochi-mqtt/server", []string{"uplink/hub/broker", "uplink/uplinktest"},
			"only uplink/hub/broker and uplink/uplinktest know the broker's hooks"},
		{"github.com/gosnmp/gosnmp", []string{"collectors/snmp", "collectors/snmp/snmptest"},
			"only collectors/snmp knows the SNMP library: it sits behind the fetch seam so that a faster reader can replace it"},
		{"github.com/mattn/go-sqlite3", []string{"buffer", "buffer/store", "buffer/store/sqlitefile"},
			"only buffer opens databases: there is one place that decides about durability"},
	} {
		if imp == d.prefix || strings.HasPrefix(imp, d.prefix+"/") {
			return d.dirs, d.why
		}
	}
	return nil, ""
}

// forbiddenWord is the rule for the package collectors itself.
func forbiddenWord(imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case strings.Contains(first, "."):
		return "collectors holds the words that all parts share, so it has the standard library only"
	case first == "net" || first == "os" || first == "syscall":
		return "collectors holds the words that all parts share, so it neither sees the network nor the disk"
	}
	return ""
}

// forbiddenInside is the rule between packages of this module.
func forbiddenInside(dir, to string) string {
	switch {
	case under(to, "cmd"):
		return "nothing imports a command; cmd composes, what two commands share belongs into a package"
	case under(dir, "cmd"):
		return ""
	case to == "provisioning/config":
		return "only cmd composes: a worker owns its Config, provisioning/config knows all workers, so a worker that knew it would know every other"
	case under(dir, "collectors") && !under(to, "collectors"):
		return "collectors come first in the flow: what they find is handed to emit, they know nothing of what becomes of it"
	case under(dir, "buffer") && to != "collectors" && !under(to, "buffer"):
		return "the buffer keeps batches, which package collectors describes; it knows neither who made them nor who sends them"
	case under(dir, "uplink/hub") && (to == "collectors/incident" || to == "collectors/diagnosis"):
		return "" // the words in which incidents are told; the hub reads them and makes none
	case under(dir, "uplink") && to != "collectors" && !under(to, "buffer") && !under(to, "uplink"):
		return "the uplink sends what the buffer holds, in the words of package collectors; it knows neither workers nor provisioning"
	}
	return ""
}

// testOnly tells whether dir holds a package for tests.
func testOnly(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

// TestForbidden keeps the rules above from going blind.
func TestForbidden(t *testing.T) {
	own := func(p string) string { return module + "/" + p }
	for _, c := range []struct {
		dir  string
		test bool
		imp  string
		want bool
	}{
		{"collectors", false, "net/netip", true},
		{"collectors", false, "os", true},
		{"collectors", false, "context", false},
		{"collectors", true, "os", false},
		{"collectors", false, "github.com/google/uuid", true},
		{"collectors/snmp", false, own("collectors"), false},
		{"collectors/snmp", false, own("collectors/scope"), false},
		{"collectors/snmp", false, own("buffer"), true},
		{"collectors/check", false, own("uplink/wire"), true},
		{"collectors/check", true, own("provisioning/config"), true},
		{"buffer", false, own("collectors"), false},
		{"buffer", false, own("buffer/block"), false},
		{"buffer", false, own("collectors/snmp"), true},
		{"buffer/block", false, own("uplink"), true},
		{"uplink", false, own("buffer"), false},
		{"uplink/hub", false, own("uplink/wire"), false},
		{"uplink", false, own("collectors/schedule"), true},
		{"uplink/hub/web", false, own("collectors/incident"), false},
		{"uplink", false, own("collectors/incident"), true},
		{"uplink", false, own("provisioning/config"), true},
		{"provisioning/config", false, own("collectors/snmp"), false},
		{"cmd/siteprobe", false, own("provisioning/config"), false},
		{"uplink", false, own("cmd/siteprobe"), true},
		{"uplink", false, "github.com/eclipse/paho.mqtt.golang", true},
		{"uplink/mqtt", false, "github.com/eclipse/paho.mqtt.golang/packets", false},
		{"uplink/hub", false, "github.com/mochi-mqtt/server/v2", true},
		{"uplink/hub/broker", false, "github.com/mochi-mqtt/server/v2", false},
		{"collectors/check", false, "github.com/gosnmp/gosnmp", true},
		{"uplink/hub", false, "github.com/mattn/go-sqlite3", true},
		{"collectors/snmp", false, own("collectors/snmp/snmptest"), true},
		{"collectors/snmp", true, own("collectors/snmp/snmptest"), false},
		{"cmd/demo", false, own("collectors/snmp/snmptest"), false},
		{"cmd/siteprobe", false, own("uplink/uplinktest"), true},
	} {
		if got := forbidden(c.dir, c.test, c.imp); (got != "") != c.want {
			t.Errorf("forbidden(%s, test %v, %s) = %q, want a reason: %v", c.dir, c.test, c.imp, got, c.want)
		}
	}
}
