package profile

import (
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// Bounds of one file, and of what it becomes with all that it extends.
const (
	maxFile    = 1 << 20 // bytes
	maxTokens  = 100_000
	maxExtends = 32
	maxDepth   = 10
	maxMetrics = 4096
)

// part is what one file says, or several that extend each other, before it is a
// Profile.
type part struct {
	match   Match
	class   string
	fields  map[string][]Field
	agent   agent
	labels  []Label
	scalars []column
	tables  []*tablePart
	extends []extend
}

// extend is a file that another one extends.
type extend struct {
	name string // without its suffix
	at   yamlfile.Place
}

// agent has what is set; nil: not set.
type agent struct {
	bulk, allowUnordered       *bool
	maxRepetitions, maxColumns *int
	uptimeSource               *string
}

// column is a metric and the place that made it.
type column struct {
	Metric
	entry *entry
	file  string
	at    yamlfile.Place
}

// entry has the labels that the metrics of one entry share. One that is bare had no
// tags: those of the table count.
type entry struct {
	labels []Label
	bare   bool
}

// tablePart is a table. Its oid is that of the MIB's table, or of its entry.
type tablePart struct {
	name    string
	oid     []byte
	index   []Index
	columns []column
}

// reader reads one file into a part.
type reader struct {
	report
	part  part
	first map[metricIn]*column
}

// metricIn is a metric's name in a table, or among the scalars.
type metricIn struct {
	table *tablePart
	name  string
}

// read reads one file.
func read(file string, data []byte) (*part, []Problem) {
	r := &reader{report: report{file: file}, first: map[metricIn]*column{}}
	root, problems := yamlfile.Parse(data, yamlfile.Limits{Bytes: maxFile, Tokens: maxTokens, What: "a profile"})
	for _, p := range problems {
		r.errorf(p.At, "%s", p.Message)
	}
	switch {
	case root != nil:
		r.document(root)
	case len(problems) == 0:
		r.errorf(yamlfile.Place{}, "is empty; the least a profile needs is sysobjectid and metrics")
	}
	return &r.part, r.all()
}

// classes are what Device.Class may be, and what others call them.
var classes = map[string]string{
	"switch": "switch", "router": "router", "firewall": "firewall", "ups": "ups", "pdu": "pdu", "printer": "printer",
	"nas": "nas", "storage": "nas", "server": "server", "hypervisor": "hypervisor", "bmc": "bmc",
	"access-point": "access-point", "access_point": "access-point", "sensor": "sensor", "radio": "radio",
	"other": "other", "load_balancer": "other", "sd-wan": "router", "wlc": "other",
}

func (r *reader) document(n *node) {
	var metrics, tags *node
	p := &r.part
	r.keys(n, "a profile", keys{
		"sysobjectid": r.objectIDs,
		"sysdescr":    r.setRegexp(&p.match.Descr, "sysdescr"),
		"extends":     r.extend,
		"class":       word(&r.report, &p.class, "class", classes),
		"device":      r.device,
		"metadata":    r.metadata,
		"agent":       r.agent,
		"metrics":     func(n *node) { metrics = n },
		"metric_tags": func(n *node) { tags = n },
		"static_tags": func(n *node) { p.labels = append(p.labels, r.staticTags(n)...) },
		"name":        nil, // the file's name counts
		"description": nil,
		"version":     nil,
	})
	if tags != nil {
		p.labels = append(p.labels, r.tags(tags, false)...)
	}
	if metrics == nil {
		return
	}
	if metrics.Kind != yamlfile.List {
		r.errorf(metrics.At, "metrics must be a list, not %s", metrics.Kind)
		return
	}
	r.items(metrics, maxMetrics, r.entry)
}

// objectIDs takes patterns of sysObjectID.
func (r *reader) objectIDs(n *node) {
	r.items(n, maxList, func(n *node) {
		s, ok := r.text(n, "sysobjectid")
		if !ok {
			return
		}
		s = strings.TrimPrefix(s, ".")
		if !validPattern(s) {
			r.errorf(n.At, "%q is no pattern of sysObjectID: numbers with dots between them, where * stands for one of them or, at the end, for all that follow", clip(s))
			return
		}
		r.part.match.ObjectIDs = append(r.part.match.ObjectIDs, s)
	})
}

// validPattern tells whether s is an identifier some of whose arcs are "*".
func validPattern(s string) bool {
	arcs := strings.Split(s, ".")
	for i, a := range arcs {
		if a == "*" {
			arcs[i] = "1"
		}
	}
	_, ok := pdu.AppendOID(nil, strings.Join(arcs, "."))
	return ok && arcs[0] == "1"
}

func (r *reader) extend(n *node) {
	r.items(n, maxExtends, func(n *node) {
		s, ok := r.text(n, "extends")
		if !ok || s == "" {
			return
		}
		r.part.extends = append(r.part.extends, extend{baseName(s), n.At})
	})
}

// baseName is a file's name without its suffix.
func baseName(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, ".yaml"), ".yml")
}

func (r *reader) agent(n *node) {
	set := &r.part.agent
	var bulk, unordered bool
	var repetitions, columns int
	var uptime string
	r.keys(n, "agent", keys{
		"bulk":            func(n *node) { r.setBool(&bulk, "bulk")(n); set.bulk = &bulk },
		"max_repetitions": func(n *node) { r.setInt(&repetitions, "max_repetitions", 1, 127)(n); set.maxRepetitions = &repetitions },
		"max_columns":     func(n *node) { r.setInt(&columns, "max_columns", 1, 64)(n); set.maxColumns = &columns },
		"allow_unordered": func(n *node) {
			r.setBool(&unordered, "allow_unordered")(n)
			set.allowUnordered = &unordered
		},
		"uptime_source": func(n *node) {
			word(&r.report, &uptime, "uptime_source", map[string]string{"sysUpTime": "sysUpTime", "snmpEngineTime": "snmpEngineTime", "hrSystemUptime": "hrSystemUptime"})(n)
			set.uptimeSource = &uptime
		},
	})
}

// staticTags takes a list of "name:value".
func (r *reader) staticTags(n *node) (out []Label) {
	r.items(n, maxList, func(n *node) {
		s, ok := r.text(n, "a static tag")
		if !ok {
			return
		}
		name, value, ok := strings.Cut(s, ":")
		if !ok || name == "" {
			r.errorf(n.At, "a static tag must be name:value")
			return
		}
		out = append(out, Label{Name: labelName(name), From: []Source{{Value: strings.TrimSpace(value)}}})
	})
	return out
}
