package web

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/uplink/hub"
)

// exposition writes Prometheus' text format: each family with its help and type,
// once, and then its samples.
type exposition struct{ b bytes.Buffer }

func (e *exposition) family(name, kind, help string) {
	e.b.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n")
}

// sample writes one; labels are names and values in turn.
func (e *exposition) sample(name string, v float64, labels ...string) {
	e.b.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		e.b.WriteByte("{,"[min(i, 1)])
		e.b.WriteString(labels[i] + `="` + escapeLabel(labels[i+1]) + `"`)
	}
	if len(labels) > 0 {
		e.b.WriteByte('}')
	}
	e.b.WriteString(" " + strconv.FormatFloat(v, 'g', -1, 64) + "\n")
}

func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

// siteMetric is a family with a sample for each site for which value is known.
type siteMetric struct {
	name, kind, help string
	value            func(*hub.SiteInfo, *siteRow, *summary) (float64, bool)
}

func (w *Web) metrics(r *http.Request) (*answer, error) {
	infos, sums, err := w.overview(r.Context())
	if err != nil {
		return nil, err
	}
	e := &exposition{}
	e.family("siteprobe_hub_build_info", "gauge", "The hub's version.")
	e.sample("siteprobe_hub_build_info", 1, "version", w.opt.Version)
	e.family("siteprobe_hub_sites", "gauge", "Sites that ever sent something.")
	e.sample("siteprobe_hub_sites", float64(len(infos)))
	e.family("siteprobe_hub_refused_total", "counter", "Messages that were not stored, by reason.")
	refused := w.hub.Refused()
	for _, reason := range slices.Sorted(maps.Keys(refused)) {
		e.sample("siteprobe_hub_refused_total", float64(refused[reason]), "reason", reason)
	}
	rows := make([]*siteRow, len(infos))
	for i := range infos {
		rows[i] = w.row(&infos[i], sums[infos[i].Site.Probe()])
	}
	for _, m := range siteMetrics() {
		e.family(m.name, m.kind, m.help)
		for i := range infos {
			x := &infos[i]
			if v, ok := m.value(x, rows[i], sums[x.Site.Probe()]); ok {
				e.sample(m.name, v, "tenant", x.Site.Tenant, "site", x.Site.Name)
			}
		}
	}
	return &answer{kind: "text/plain; version=0.0.4; charset=utf-8", body: e.b.Bytes()}, nil
}

// siteMetrics are the families with a sample for each site. What the box said
// stays as it said it last; siteprobe_hub_site_online tells whether it is there.
func siteMetrics() []siteMetric {
	seen := func(f func(*hub.Seen) int64) func(*hub.SiteInfo, *siteRow, *summary) (float64, bool) {
		return func(x *hub.SiteInfo, _ *siteRow, _ *summary) (float64, bool) { return float64(f(&x.Seen)), true }
	}
	said := func(f func(*hub.SiteInfo) float64) func(*hub.SiteInfo, *siteRow, *summary) (float64, bool) {
		return func(x *hub.SiteInfo, _ *siteRow, _ *summary) (float64, bool) {
			if x.Status == nil {
				return 0, false
			}
			return f(x), true
		}
	}
	proved := func(f func(*summary) float64) func(*hub.SiteInfo, *siteRow, *summary) (float64, bool) {
		return func(_ *hub.SiteInfo, _ *siteRow, s *summary) (float64, bool) {
			if s == nil || !s.Proved {
				return 0, false
			}
			return f(s), true
		}
	}
	const p = "siteprobe_hub_"
	return []siteMetric{
		{p + "blocks_total", "counter", "Blocks stored since the hub's start.", seen(func(s *hub.Seen) int64 { return s.Blocks })},
		{p + "readings_total", "counter", "Readings stored since the hub's start.", seen(func(s *hub.Seen) int64 { return s.Readings })},
		{p + "redelivered_total", "counter", "Blocks that came although they were stored, since the hub's start.", seen(func(s *hub.Seen) int64 { return s.Redelivered })},
		{p + "unusable_total", "counter", "Blocks that are stored but cannot be read by this version, since the hub's start.", seen(func(s *hub.Seen) int64 { return s.Unusable })},
		{p + "last_message_timestamp_seconds", "gauge", "When the site's last message came, since the hub's start.", func(x *hub.SiteInfo, _ *siteRow, _ *summary) (float64, bool) {
			return float64(x.Seen.LastMessage.UnixMilli()) / 1000, !x.Seen.LastMessage.IsZero()
		}},
		{p + "site_online", "gauge", "1 where the box is connected and was heard of lately.", func(_ *hub.SiteInfo, r *siteRow, _ *summary) (float64, bool) {
			if r.State.Text == "online" {
				return 1, true
			}
			return 0, true
		}},
		{p + "pending_readings", "gauge", "Readings that wait at the box, as it said last.", said(func(x *hub.SiteInfo) float64 { return float64(x.Status.Buffer.PendingReadings) })},
		{p + "pending_bytes", "gauge", "Octets that wait at the box, as it said last.", said(func(x *hub.SiteInfo) float64 { return float64(x.Status.Buffer.PendingBytes) })},
		{p + "dropped_readings", "gauge", "Readings that the box dropped, as it said last.", said(func(x *hub.SiteInfo) float64 { return float64(x.Status.Buffer.Dropped) })},
		{p + "devices", "gauge", "Devices of the site, as it said last.", said(func(x *hub.SiteInfo) float64 { return float64(x.Status.Devices.Total) })},
		{p + "devices_answering", "gauge", "Devices whose last poll gave readings, as the box said last.", said(func(x *hub.SiteInfo) float64 { return float64(x.Status.Devices.Answering) })},
		{p + "incidents_open", "gauge", "Open incidents, as the box said last.", said(func(x *hub.SiteInfo) float64 { return float64(len(x.Status.Incidents)) })},
		{p + "pending_batches", "gauge", "Batches that wait at the box, by its account.", proved(func(s *summary) float64 { return float64(s.Pending) })},
		{p + "dropped_batches", "gauge", "Batches that the box dropped, by its account.", proved(func(s *summary) float64 { return float64(s.DroppedBatches) })},
		{p + "lost_batches", "gauge", "Batches of which nobody knows where they are.", proved(func(s *summary) float64 { return float64(s.Lost) })},
	}
}
