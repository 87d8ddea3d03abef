// Package web is the hub's page: which sites are there, how they are, what of
// their readings is stored, lost or on its way, and what the readings say.
//
//	w := web.New(h, web.Options{Version: version})
//	http.Serve(listener, w)
//
// # Pages
//
//	/                                          all sites, those with problems first
//	/incidents                                 what is open at all sites; ?owner=isp, ?q=
//	/site/{tenant}/{site}                      one site: status, incidents, sources, completeness, events
//	/site/{tenant}/{site}/source/{source...}   the latest readings of one source
//	/site/{tenant}/{site}/plot?source=&series=&hours=&to=
//	                                           one series as a plot and as a table
//	/api/v1/sites                              all sites as JSON
//	/api/v1/sites/{tenant}/{site}/verify       what `siteprobe-hub verify --json` prints; ?sources=1 for each source
//	/api/v1/sites/{tenant}/{site}/incidents    what broke there in the last 31 days, open ones first
//	/metrics                                   the hub in Prometheus' text format
//	/healthz                                   "ok" while the database answers
//
// Everything is made on the server; there is no script and nothing comes from
// elsewhere. Times are those of Options.Location, UTC unless it is set.
//
// # Access
//
// There is no login yet: whoever reaches the address reads everything. Listen on
// 127.0.0.1 and put a proxy with a login, or a tunnel, in front of it. Nothing can
// be changed through these pages; methods other than GET and HEAD are refused. A
// request whose Host is a name must name one of Options.Hosts, so that a website
// that the reader visits cannot read the hub through his browser by pointing a
// name of its own here.
//
// # Hostile text
//
// What devices, checks and boxes say is written by html/template only, into
// elements and quoted attributes, never into a script, a style or a template; the
// Content-Security-Policy allows no script at all. Control characters and those
// that change the direction of writing are shown as U+FFFD, so that no device
// disguises itself as another.
//
// # What a rate is
//
// Counters are stored raw. The rate at a reading is the rise since the reading
// before it, over the time between the two; octets become bits. A counter that
// falls was reset, and there is no rate. Neither is there one across a gap: a poll
// that failed, or more than [gapFactor] times the usual distance. In a plot a gap
// is shaded, and its tooltip says why where the hub knows.
//
// # Summaries
//
// Rollups, which the pages call summaries, are drawn as wide as they are: a gauge's
// mean with a band from its lowest to its highest reading, a counter's rate from one
// summary's last reading to the next one's. They are no gaps, however far apart; a
// gap is where a summary begins too long after the reading before. The text below
// the plot says from when to when there are summaries, and of what length.
//
// # Bounds
//
// A request may take Options.Budget; what was found by then is shown, with a word
// that it is not all. A few requests are worked on at a time. Proofs of
// completeness are kept for some seconds. Tables and plots have bounded sizes and
// say what they leave out.
package web
