package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/siteprobe/siteprobe/uplink/wire"
)

// siteJSON is a site in /api/v1/sites. Numbers of batches are those of the last
// proof; it is null where none was made yet.
type siteJSON struct {
	Tenant       string       `json:"tenant"`
	Site         string       `json:"site"`
	State        string       `json:"state"` // "online", "offline", "silent", "no status", "never heard"
	Tone         string       `json:"tone"`  // "good", "warn", "bad": the worst of all that is known
	Heard        *string      `json:"heard"` // RFC 3339
	Status       *wire.Status `json:"status"`
	Completeness *proofJSON   `json:"completeness"`
}

type proofJSON struct {
	Expected    uint64 `json:"expected"`
	Stored      uint64 `json:"stored"`
	Downsampled uint64 `json:"downsampled"`
	Dropped     uint64 `json:"dropped"`
	Pending     uint64 `json:"pending"`
	Lost        uint64 `json:"lost"`
	Redelivered int64  `json:"redelivered"`
	Complete    bool   `json:"complete"`
	Proved      bool   `json:"proved"`
	AsOf        string `json:"as_of"`
}

func (w *Web) apiSites(r *http.Request) (*answer, error) {
	infos, sums, err := w.overview(r.Context())
	if err != nil {
		return nil, err
	}
	out := make([]siteJSON, len(infos))
	for i := range infos {
		x := &infos[i]
		sum := sums[x.Site.Probe()]
		row := w.row(x, sum)
		out[i] = siteJSON{Tenant: x.Site.Tenant, Site: x.Site.Name, State: row.State.Text, Tone: string(row.Tone), Status: x.Status}
		if t := row.health.Heard; !t.IsZero() {
			s := t.UTC().Format(time.RFC3339)
			out[i].Heard = &s
		}
		if sum != nil {
			out[i].Completeness = &proofJSON{sum.Expected, sum.Stored, sum.Downsampled, sum.DroppedBatches, sum.Pending, sum.Lost,
				sum.Redelivered, sum.Complete, sum.Proved, sum.AsOf}
		}
	}
	return jsonAnswer(out)
}

func (w *Web) apiVerify(r *http.Request) (*answer, error) {
	s, err := siteOf(r)
	if err != nil {
		return nil, err
	}
	proof, _, err := w.proofs.whole(s.Probe())
	if err != nil {
		return nil, err
	}
	x := *proof
	if r.URL.Query().Get("sources") != "1" {
		x.Sources = nil
	}
	return jsonAnswer(&x)
}

func jsonAnswer(v any) (*answer, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding an answer: %w", err)
	}
	return &answer{kind: "application/json; charset=utf-8", body: append(b, '\n')}, nil
}
