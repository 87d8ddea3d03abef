package hub

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// SiteInfo is what the hub has heard of a site, without a look into its readings.
type SiteInfo struct {
	Site   wire.Site
	Status *wire.Status // as the box said last, or its will; nil: it never said
	Newest time.Time    // of the newest batch that is stored, by the box's clock; zero: none
	Cloned bool         // two boxes go on from one disk
	Seen   Seen         // since the hub's start
}

// Sites returns every site that ever sent something, in order of their names.
func (h *Hub) Sites() ([]SiteInfo, error) {
	var out []SiteInfo
	err := h.st.View(func(tx *store.Tx) error {
		probes, err := tx.Probes()
		if err != nil {
			return err
		}
		for id, name := range probes {
			site, ok := wire.ParseProbe(name)
			if !ok {
				continue // not from a topic
			}
			x, err := h.siteInfo(tx, id, site)
			if err != nil {
				return err
			}
			out = append(out, *x)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the sites: %w", err)
	}
	slices.SortFunc(out, func(a, b SiteInfo) int {
		return cmp.Or(cmp.Compare(a.Site.Tenant, b.Site.Tenant), cmp.Compare(a.Site.Name, b.Site.Name))
	})
	return out, nil
}

// Site returns what was heard of one site. The error wraps ErrUnknownSite where
// nothing ever came from it.
func (h *Hub) Site(s wire.Site) (x *SiteInfo, err error) {
	err = h.st.View(func(tx *store.Tx) error {
		id, err := tx.FindProbe(s.Probe())
		if err != nil {
			return err
		}
		if id == 0 {
			return ErrUnknownSite
		}
		x, err = h.siteInfo(tx, id, s)
		return err
	})
	if err != nil && !errors.Is(err, ErrUnknownSite) {
		err = fmt.Errorf("looking up %s: %w", s.Probe(), err)
	}
	return x, err
}

func (h *Hub) siteInfo(tx *store.Tx, id int64, s wire.Site) (*SiteInfo, error) {
	x := &SiteInfo{Site: s, Seen: h.Seen(s)}
	status, err := tx.Meta("status:" + s.Probe())
	if err != nil {
		return nil, err
	}
	if status != "" {
		if x.Status, err = wire.DecodeStatus([]byte(status)); err != nil {
			x.Status = nil // of a version that kept more than this one reads
		}
	}
	if x.Cloned, err = tx.Cloned(id); err != nil {
		return nil, err
	}
	newest, err := tx.NewestBlock(id)
	if newest > 0 {
		x.Newest = time.UnixMilli(newest)
	}
	return x, err
}
