package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

//go:embed assets
var assets embed.FS

// Options of New. The zero value of each field is its default.
type Options struct {
	Log      *slog.Logger     // nil: none
	Now      func() time.Time // nil: time.Now
	Version  string           // shown in the footer
	Location *time.Location   // of the times shown; nil: UTC
	Hosts    []string         // names under which the page may be asked for, besides addresses and localhost
	Budget   time.Duration    // what one request may take; 0: 8 s
}

// Web answers HTTP requests about a hub. It owns no goroutine and needs no Close;
// the hub must stay open for as long as requests come.
type Web struct {
	hub    *hub.Hub
	opt    Options
	proofs *proofs
	pages  map[string]*template.Template
	style  string // the style sheet's address, which changes with its text
	slots  chan struct{}
	serve  http.Handler
}

// Bounds of the work.
const (
	maxAtOnce = 4
	spare     = 4 * time.Second // beyond the budget: to write the page
)

// New returns the pages of a hub.
func New(h *hub.Hub, opt Options) *Web {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Location == nil {
		opt.Location = time.UTC
	}
	if opt.Budget <= 0 {
		opt.Budget = 8 * time.Second
	}
	w := &Web{hub: h, opt: opt, slots: make(chan struct{}, maxAtOnce), pages: map[string]*template.Template{}}
	w.proofs = newProofs(h.Store(), opt.Now)
	layout := template.Must(template.ParseFS(assets, "assets/layout.html"))
	for _, name := range []string{"sites", "site", "incidents", "source", "plot", "error"} {
		w.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(assets, "assets/"+name+".html"))
	}
	w.serve = http.TimeoutHandler(w.routes(), opt.Budget+spare, "The hub is busy. Try again in a moment.\n")
	return w
}

func (w *Web) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", w.page(w.sites))
	mux.Handle("GET /incidents", w.page(w.open))
	mux.Handle("GET /site/{tenant}/{site}", w.page(w.site))
	mux.Handle("GET /site/{tenant}/{site}/{$}", w.page(w.site))
	mux.Handle("GET /site/{tenant}/{site}/source/{source...}", w.page(w.source))
	mux.Handle("GET /site/{tenant}/{site}/plot", w.page(w.plot))
	mux.Handle("GET /api/v1/sites", w.page(w.apiSites))
	mux.Handle("GET /api/v1/sites/{tenant}/{site}/verify", w.page(w.apiVerify))
	mux.Handle("GET /api/v1/sites/{tenant}/{site}/incidents", w.page(w.apiIncidents))
	mux.Handle("GET /metrics", w.page(w.metrics))
	mux.HandleFunc("GET /healthz", w.healthz)
	for _, a := range []struct{ path, file, kind string }{
		{"/static/style.css", "style.css", "text/css; charset=utf-8"},
		{"/static/icon.svg", "icon.svg", "image/svg+xml"},
	} {
		text, err := fs.ReadFile(assets, "assets/"+a.file)
		if err != nil {
			panic(err) // it is part of the program
		}
		sum := sha256.Sum256(text)
		tag := hex.EncodeToString(sum[:8])
		if a.file == "style.css" {
			w.style = a.path + "?" + tag
		}
		mux.HandleFunc("GET "+a.path, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", a.kind)
			rw.Header().Set("Cache-Control", "public, max-age=86400")
			rw.Header().Set("ETag", `"`+tag+`"`)
			http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(text))
		})
	}
	mux.Handle("/", w.page(func(*http.Request) (*answer, error) { return nil, errNotFound }))
	return mux
}

// ServeHTTP answers a request.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(rw, "Only GET and HEAD.", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path != "/healthz" && !w.hostAllowed(r.Host) {
		http.Error(rw, "This hub was not told that it is reached under this name. Add the name to the hub's host names, or use its address.", http.StatusMisdirectedRequest)
		return
	}
	w.serve.ServeHTTP(rw, r)
}

// hostAllowed tells whether the request was meant for this hub: an address cannot
// be a stranger's name.
func (w *Web) hostAllowed(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	return host == "localhost" || net.ParseIP(host) != nil ||
		slices.ContainsFunc(w.opt.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// answer is what a handler has found out: a page's name and data, or a body.
type answer struct {
	page string
	data any
	kind string // content type of body
	body []byte
}

// Errors that are the reader's; everything else is ours.
var (
	errNotFound = errors.New("no such page")
	errNoSite   = errors.New("no such site")
)

// badQuery is a parameter that cannot be used, as a sentence.
type badQuery string

func (e badQuery) Error() string { return string(e) }

// page runs a handler within the bounds of the package and writes what it found.
// Nothing is written before all of it is there.
func (w *Web) page(f func(*http.Request) (*answer, error)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), w.opt.Budget)
		defer cancel()
		r = r.WithContext(ctx)
		select {
		case w.slots <- struct{}{}:
			defer func() { <-w.slots }()
		case <-ctx.Done():
			http.Error(rw, "The hub is busy. Try again in a moment.", http.StatusServiceUnavailable)
			return
		}
		a, err := f(r)
		code := http.StatusOK
		if err != nil {
			a, code = w.failure(r, err)
		}
		if a.page != "" {
			a.kind = "text/html; charset=utf-8"
			var b bytes.Buffer
			if err := w.pages[a.page].ExecuteTemplate(&b, "layout", a.data); err != nil {
				w.opt.Log.Error("writing a page", "page", a.page, "error", err)
				http.Error(rw, "The hub could not write this page; its log says why.", http.StatusInternalServerError)
				return
			}
			a.body = b.Bytes()
		}
		rw.Header().Set("Content-Type", a.kind)
		rw.Header().Set("Cache-Control", "no-store")
		rw.WriteHeader(code)
		_, _ = rw.Write(a.body) // the reader may be gone
	})
}

// errorPage is a page that says what went wrong.
type errorPage struct {
	base
	Text string
}

func (w *Web) failure(r *http.Request, err error) (*answer, int) {
	code, text := http.StatusInternalServerError, "The hub could not find this out; its log says why."
	var bad badQuery
	switch {
	case errors.Is(err, errNotFound):
		code, text = http.StatusNotFound, "There is no such page."
	case errors.Is(err, errNoSite), errors.Is(err, hub.ErrUnknownSite):
		code, text = http.StatusNotFound, "Nothing ever came from a site of this name."
	case errors.As(err, &bad):
		code, text = http.StatusBadRequest, err.Error()
	default:
		w.opt.Log.Error("answering a request", "path", r.URL.Path, "error", err)
	}
	b := w.base(r, http.StatusText(code), 0)
	return &answer{page: "error", data: &errorPage{b, text}}, code
}

// siteOf is the site of the address, if it may be one.
func siteOf(r *http.Request) (wire.Site, error) {
	s, ok := wire.ParseProbe(r.PathValue("tenant") + "/" + r.PathValue("site"))
	if !ok {
		return s, errNoSite
	}
	return s, nil
}

func (w *Web) healthz(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	if err := w.alive(); err != nil {
		w.opt.Log.Error("the health check failed", "error", err)
		http.Error(rw, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	_, _ = rw.Write([]byte("ok\n")) // the reader may be gone
}
