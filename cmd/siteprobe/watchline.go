package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// lineWatch is the daemon's diagnosis: it runs with the settings of the site file in
// force.
type lineWatch struct {
	d   *appliance
	cut int64 // for how many seconds the box was without power before this boot

	records *diagnosis.Recorder
	store   *diagnosis.Store

	mu     sync.Mutex
	runner *diagnosis.Runner // nil: it does not run
	cancel context.CancelFunc
	done   chan struct{}
}

// newLineWatch opens what is kept. What cannot be opened is logged and missed.
func newLineWatch(d *appliance, site *config.Site, cut int64) *lineWatch {
	w := &lineWatch{d: d, cut: cut}
	var err error
	if w.store, err = diagnosis.OpenStore(baselineFile(site)); err != nil {
		d.log.Warn("what is usual at this site", "error", err)
	}
	key, err := diagnosis.OpenKey(evidenceKey(site))
	if err != nil {
		d.log.Error("there will be no evidence", "error", err)
		return w
	}
	w.records = diagnosis.NewRecorder(diagnosis.RecorderOptions{Folder: evidenceFolder(site), Signer: key, Site: d.name.Probe(), Boot: d.clock.Boot(), Log: d.log,
		Config: func() string { return d.current().Hash() },
		Wall: func(s collectors.Stamp) (int64, bool) {
			offset, sure := d.clock.Offset()
			return offset + int64(s), sure
		}})
	return w
}

// current is the site file in force.
func (d *appliance) current() *config.Site {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.site
}

// apply starts the diagnosis of a site, in the place of the one before.
func (w *lineWatch) apply(site *config.Site) {
	was := w.stop()
	if site.Diagnosis.Heartbeat == 0 {
		w.d.engine.Unlooked()
		return
	}
	d := w.d
	in := diagnosisInputs(site)
	in.Uplink = func(context.Context) diagnosis.Uplink { return w.uplink() }
	in.Power = w.power
	in.DiskFull = func() bool {
		st, err := d.buf.Stats()
		return err != nil || st.Trouble != ""
	}
	gateway, _ := gatewayDevice(site)
	in.Peers = func(context.Context) (int, int) { return d.seen.peers(gateway.Name, time.Now()) }
	p := diagnosis.New(site.Diagnosis, diagnosisContract(site), in)
	r := diagnosis.NewRunner(p, diagnosis.Options{Config: site.Diagnosis, Now: d.clock.Now, Emit: d.buf.Add, Changed: w.changed, Was: was, Store: w.store, Records: w.records, Log: d.log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.mu.Lock()
	w.runner, w.cancel, w.done = r, cancel, done
	w.mu.Unlock()
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
}

// stop ends the diagnosis, waits for it, and gives the verdict that was in force, if
// there was one.
func (w *lineWatch) stop() (was diagnosis.Change) {
	w.mu.Lock()
	runner, cancel, done := w.runner, w.cancel, w.done
	w.runner, w.cancel = nil, nil
	w.mu.Unlock()
	if runner == nil {
		return was
	}
	cancel()
	<-done
	if v, first := runner.Verdict(); v.Sentence != "" {
		was = diagnosis.Change{Verdict: v, First: first}
	}
	return was
}

// trigger asks for a look now.
func (w *lineWatch) trigger() {
	if r := w.running(); r != nil {
		r.Trigger()
	}
}

func (w *lineWatch) running() *diagnosis.Runner {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runner
}

// watchCarrier tells the engine of incidents, and the diagnosis, when the box's own port
// loses its link and when it has one again, within a second.
func (w *lineWatch) watchCarrier(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for was := true; ; {
		if up, known := diagnosis.Carrier(); known && up != was {
			was = up
			w.d.log.Info("the box's own port", "link", up)
			w.d.engine.Link(up, w.d.clock.Now())
			w.trigger()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// changed hands a verdict on: an incident is made of it, or is over.
func (w *lineWatch) changed(c diagnosis.Change) { w.d.engine.Verdict(c.Verdict, c.First, c.Evidence) }

func (w *lineWatch) uplink() diagnosis.Uplink {
	w.d.mu.Lock()
	s := w.d.sender
	w.d.mu.Unlock()
	return uplinkWords(s, time.Now())
}

func (w *lineWatch) power() diagnosis.Power {
	return diagnosis.Power{CutS: w.cut, SinceS: int64(w.d.clock.Now() / 1000)}
}

// verdict is the one in force, for the status; nil: there is none yet.
func (w *lineWatch) verdict() *string {
	r := w.running()
	if r == nil {
		return nil
	}
	v, _ := r.Verdict()
	if v.Sentence == "" { // nobody has looked yet
		return nil
	}
	code := string(v.Code)
	return &code
}

// serve tells the command what the daemon knows.
func (w *lineWatch) serve(rw http.ResponseWriter, _ *http.Request) {
	k := daemonKnows{Uplink: w.uplink(), Power: w.power()}
	if r := w.running(); r != nil {
		var first collectors.Stamp
		k.Verdict, first = r.Verdict()
		k.Baseline = r.Baseline()
		offset, _ := w.d.clock.Offset()
		k.Since = sinceText(offset, first)
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(k) // the client has gone
}
