package web

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// base is what every page has.
type base struct {
	Title   string
	Version string
	Style   string
	Now     when
	Zone    string
	Refresh int    // seconds; 0: the page stays as it is
	Toggle  string // address of this page with the refreshing turned off, or on
	Crumbs  []crumb
}

// crumb is a step of the way to a page; the last has no address.
type crumb struct{ Text, URL string }

// base makes a page's frame. A reader may stop the refreshing: it disturbs those
// whose screen is read to them.
func (w *Web) base(r *http.Request, title string, refresh int) base {
	now := w.opt.Now()
	b := base{Title: title, Version: w.opt.Version, Style: w.style, Now: w.when(now), Zone: now.In(w.opt.Location).Format("MST"), Refresh: refresh}
	if refresh > 0 {
		q := r.URL.Query()
		if q.Get("refresh") == "off" {
			b.Refresh = 0
			q.Del("refresh")
		} else {
			q.Set("refresh", "off")
		}
		b.Toggle = r.URL.EscapedPath() + "?" + q.Encode()
	}
	return b
}

// when is an instant to be shown. The zero value is one that is not known.
type when struct {
	ISO  string // for programs
	Text string // for people: the time of day, with the date unless it is today
	Ago  string // "3 min ago"
}

func (w *Web) when(t time.Time) when {
	if t.IsZero() {
		return when{}
	}
	now := w.opt.Now()
	local, today := t.In(w.opt.Location), now.In(w.opt.Location)
	layout := "2 Jan 2006 15:04"
	switch {
	case local.Year() == today.Year() && local.YearDay() == today.YearDay():
		layout = "15:04:05"
	case local.Year() == today.Year():
		layout = "2 Jan 15:04"
	}
	ago := ""
	switch d := now.Sub(t); {
	case d < -time.Minute:
		ago = "in " + duration(-d)
	case d < time.Second:
		ago = "now"
	default:
		ago = duration(d) + " ago"
	}
	return when{t.UTC().Format(time.RFC3339), local.Format(layout), ago}
}

func (w *Web) whenMS(ms int64) when {
	if ms == 0 {
		return when{}
	}
	return w.when(time.UnixMilli(ms))
}

// clock reads a time of a message; what is not one is the zero time.
func clock(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 2000 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// alive asks the database for something small.
func (w *Web) alive() error {
	return w.hub.Store().View(func(tx *store.Tx) error {
		_, err := tx.Meta("hub")
		return err
	})
}

func siteURL(s wire.Site) string { return "/site/" + s.Tenant + "/" + s.Name }

// sourceURL is the address of a source. A name that a path cannot hold (a browser
// would resolve its dots) goes into the query.
func sourceURL(s wire.Site, source string) string {
	if path.Clean("/"+source) != "/"+source {
		return siteURL(s) + "/source/?" + url.Values{"source": {source}}.Encode()
	}
	parts := strings.Split(source, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return siteURL(s) + "/source/" + strings.Join(parts, "/")
}

// plotURL is the address of a plot of the last hours, or of those before to (Unix
// seconds) if it is not 0.
func plotURL(s wire.Site, source, series string, hours int, to int64) string {
	q := url.Values{"source": {source}, "series": {series}, "hours": {strconv.Itoa(hours)}}
	if to != 0 {
		q.Set("to", strconv.FormatInt(to, 10))
	}
	return siteURL(s) + "/plot?" + q.Encode()
}
