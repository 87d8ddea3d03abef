package profile

import (
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
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

type (
	node = yamlfile.Node
	keys = values.Keys
)

// Problem is what is wrong with a file, or a warning. A wrong entry is left out; the
// rest of its file counts.
type Problem = values.Problem

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
	values.Report
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
	r := &reader{Report: values.Report{File: file}, first: map[metricIn]*column{}}
	root, problems := yamlfile.Parse(data, yamlfile.Limits{Bytes: maxFile, Tokens: maxTokens, What: "a profile"})
	for _, p := range problems {
		r.Errorf(p.At, "%s", p.Message)
	}
	switch {
	case root != nil:
		r.document(root)
	case len(problems) == 0:
		r.Errorf(yamlfile.Place{}, "is empty; the least a profile needs is sysobjectid and metrics")
	}
	return &r.part, r.All()
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
	narrow := true
	p := &r.part
	r.Keys(n, "a profile", keys{
		"sysobjectid": r.objectIDs,
		"sysdescr":    func(n *node) { re, ok := r.Regexp(n, "sysdescr"); p.match.Descr, narrow = re, narrow && ok },
		"answers": func(n *node) {
			oid, ok := r.OID(n)
			p.match.Answers, narrow = oid, narrow && ok
		},
		"extends":     r.extend,
		"class":       values.Word(&r.Report, &p.class, "class", classes),
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
	if !narrow { // it must not match what it was not meant for
		p.match = Match{}
	}
	if tags != nil {
		p.labels = append(p.labels, r.tags(tags, false)...)
	}
	if metrics == nil {
		return
	}
	if metrics.Kind != yamlfile.List {
		r.Errorf(metrics.At, "metrics must be a list, not %s", metrics.Kind)
		return
	}
	r.Items(metrics, maxMetrics, r.entry)
}

// objectIDs takes patterns of sysObjectID.
func (r *reader) objectIDs(n *node) {
	r.Items(n, values.MaxList, func(n *node) {
		s, ok := r.Text(n, "sysobjectid")
		if !ok {
			return
		}
		s = strings.TrimPrefix(s, ".")
		if !validPattern(s) {
			r.Errorf(n.At, "%q is no pattern of sysObjectID: numbers with dots between them, where * stands for one of them or, at the end, for all that follow", values.Clip(s))
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
	r.Items(n, maxExtends, func(n *node) {
		s, ok := r.Text(n, "extends")
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
	a := &r.part.agent
	r.Keys(n, "agent", keys{
		"bulk":            optional(r, &a.bulk, func(to *bool) func(*node) { return r.SetBool(to, "bulk") }),
		"max_repetitions": optional(r, &a.maxRepetitions, func(to *int) func(*node) { return r.SetInt(to, "max_repetitions", 1, 127) }),
		"max_columns":     optional(r, &a.maxColumns, func(to *int) func(*node) { return r.SetInt(to, "max_columns", 1, 64) }),
		"allow_unordered": optional(r, &a.allowUnordered, func(to *bool) func(*node) { return r.SetBool(to, "allow_unordered") }),
		"uptime_source": optional(r, &a.uptimeSource, func(to *string) func(*node) {
			return values.Word(&r.Report, to, "uptime_source", map[string]string{"sysUpTime": "sysUpTime", "snmpEngineTime": "snmpEngineTime", "hrSystemUptime": "hrSystemUptime"})
		}),
	})
}

// optional sets what may be left out, where its value is right.
func optional[T any](r *reader, to **T, take func(*T) func(*node)) func(*node) {
	return func(n *node) {
		before := r.Errors
		v := new(T)
		if take(v)(n); r.Errors == before {
			*to = v
		}
	}
}

// staticTags takes a list of "name:value".
func (r *reader) staticTags(n *node) (out []Label) {
	r.Items(n, values.MaxList, func(n *node) {
		s, ok := r.Text(n, "a static tag")
		if !ok {
			return
		}
		name, value, ok := strings.Cut(s, ":")
		if !ok || name == "" {
			r.Errorf(n.At, "a static tag must be name:value")
			return
		}
		out = append(out, Label{Name: values.LabelName(name), From: []Source{{Value: strings.TrimSpace(value)}}})
	})
	return out
}
