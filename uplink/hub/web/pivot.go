package web

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// table is series that share their labels' names: a row for each combination of
// values, a column for each metric.
type table struct {
	Index   []string // the labels' names
	Columns []*column
	Rows    []*row
	Left    int // rows left out
}

type column struct {
	Head, Title string
	order       int
}

type row struct {
	Index []string
	cells map[*column]*store.Points
}

// Of tables as a whole.
const maxTableRows = 600

// known are the columns that have a name of their own, in their order. Metrics of
// one column stand in for each other.
var known = []struct {
	head, title string
	metrics     []string
}{
	{"State", "ifOperStatus", []string{"ifOperStatus"}},
	{"Admin", "ifAdminStatus", []string{"ifAdminStatus"}},
	{"Speed", "ifHighSpeed or ifSpeed", []string{"ifHighSpeed", "ifSpeed"}},
	{"In", "ifHCInOctets or ifInOctets, as a rate", []string{"ifHCInOctets", "ifInOctets"}},
	{"Out", "ifHCOutOctets or ifOutOctets, as a rate", []string{"ifHCOutOctets", "ifOutOctets"}},
	{"In errors", "ifInErrors, as a rate", []string{"ifInErrors"}},
	{"Out errors", "ifOutErrors, as a rate", []string{"ifOutErrors"}},
	{"In discards", "ifInDiscards, as a rate", []string{"ifInDiscards"}},
	{"Out discards", "ifOutDiscards, as a rate", []string{"ifOutDiscards"}},
	{"Size", "node_filesystem_size_bytes", []string{"node_filesystem_size_bytes"}},
	{"Available", "node_filesystem_avail_bytes", []string{"node_filesystem_avail_bytes"}},
	{"Read-only", "node_filesystem_readonly", []string{"node_filesystem_readonly"}},
	{"Carrier", "node_network_carrier", []string{"node_network_carrier"}},
	{"In", "node_network_receive_bytes_total, as a rate", []string{"node_network_receive_bytes_total"}},
	{"Out", "node_network_transmit_bytes_total, as a rate", []string{"node_network_transmit_bytes_total"}},
}

// columnOf returns the column of a metric.
func columnOf(metric string) column {
	for i, k := range known {
		if slices.Contains(k.metrics, metric) {
			return column{k.head, k.title, i}
		}
	}
	return column{words(metric), words(metric), len(known)}
}

// pivot parts a source's series into those that stand alone and tables. Labels
// that all series share say nothing and are left out.
func pivot(series []store.Points) (alone []*store.Points, tables []*table) {
	common := commonLabels(series)
	type group struct {
		*table
		rows map[string]*row
		cols map[string]*column
	}
	groups := map[string]*group{}
	var order []string
	for i := range series {
		p := &series[i]
		var names, values []string
		for _, l := range p.Series.Labels {
			if !slices.Contains(common, l) {
				names, values = append(names, l.Name), append(values, l.Value)
			}
		}
		if len(names) == 0 {
			alone = append(alone, p)
			continue
		}
		key := strings.Join(names, "\x00")
		g := groups[key]
		if g == nil {
			g = &group{&table{Index: names}, map[string]*row{}, map[string]*column{}}
			groups[key] = g
			order = append(order, key)
		}
		c := columnOf(p.Series.Metric)
		if g.cols[c.Title] == nil {
			g.cols[c.Title] = &c
			g.Columns = append(g.Columns, &c)
		}
		r := g.rows[strings.Join(values, "\x00")]
		if r == nil {
			r = &row{Index: values, cells: map[*column]*store.Points{}}
			g.rows[strings.Join(values, "\x00")] = r
			g.Rows = append(g.Rows, r)
		}
		if old := r.cells[g.cols[c.Title]]; old == nil || newer(p, old) {
			r.cells[g.cols[c.Title]] = p
		}
	}
	slices.Sort(order)
	for _, key := range order {
		t := groups[key].table
		slices.SortStableFunc(t.Columns, func(a, b *column) int { return cmp.Or(a.order-b.order, strings.Compare(a.Head, b.Head)) })
		slices.SortStableFunc(t.Rows, func(a, b *row) int { return slices.CompareFunc(a.Index, b.Index, natural) })
		if len(t.Rows) > maxTableRows {
			t.Left = len(t.Rows) - maxTableRows
			t.Rows = t.Rows[:maxTableRows]
		}
		tables = append(tables, t)
	}
	return alone, tables
}

// newer tells whether a's last reading is the later one.
func newer(a, b *store.Points) bool {
	return a.Points[len(a.Points)-1].T > b.Points[len(b.Points)-1].T
}

func commonLabels(series []store.Points) []collectors.Label {
	if len(series) == 0 {
		return nil
	}
	common := slices.Clone(series[0].Series.Labels)
	if len(series) == 1 {
		return common
	}
	for i := range series {
		common = slices.DeleteFunc(common, func(l collectors.Label) bool { return !slices.Contains(series[i].Series.Labels, l) })
	}
	return common
}

// natural compares names so that 2 comes before 10.
func natural(a, b string) int {
	for a != "" && b != "" {
		na, nb := leadingDigits(a), leadingDigits(b)
		if na > 0 && nb > 0 {
			x, errX := strconv.ParseUint(a[:na], 10, 64)
			y, errY := strconv.ParseUint(b[:nb], 10, 64)
			if errX == nil && errY == nil && x != y {
				return cmp.Compare(x, y)
			}
			if a[:na] != b[:nb] {
				return cmp.Or(na-nb, strings.Compare(a[:na], b[:nb]))
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func leadingDigits(s string) (n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
