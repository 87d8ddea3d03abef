package main

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// loadAll is load with the devices that were adopted, as the daemon polls them.
func loadAll(l config.Loader, path string) (*config.Site, error) {
	site, err := load(l, path)
	if err != nil {
		return nil, err
	}
	book, err := discovery.OpenRegistry(dataDir(site)).Read()
	if err != nil {
		return nil, &exit{unknown, err}
	}
	site, _ = withAdopted(site, &book)
	return site, nil
}

// withAdopted gives the site with the devices that were adopted behind those of the
// site file, which wins: an adopted device at the address of one of its, or of the
// same name, is not polled twice. Nor is one whose credential the site file no longer
// has; lacking names those.
func withAdopted(site *config.Site, book *discovery.Book) (all *config.Site, lacking []*discovery.Device) {
	out := *site
	out.Devices = slices.Clone(site.Devices)
	there := addressesOf(site)
	for i := range book.Devices {
		d := &book.Devices[i]
		_, same := there[d.Address]
		if _, named := site.Device(d.Name); d.State != discovery.Adopted || same || named {
			continue
		}
		x := config.Device{Name: d.Name, Address: addressOf(d.Address, site.Discovery.Port), Ping: d.Credential == "", Labels: d.Labels}
		if !x.Ping {
			if _, ok := site.Credential(d.Credential); !ok {
				lacking = append(lacking, d)
				continue
			}
			x.Credentials = []string{d.Credential}
		}
		out.Devices = append(out.Devices, x)
	}
	return &out, lacking
}

// withAdopted is the site with what the registry holds now, and tells of what is not
// polled.
func (j *jobs) withAdopted(site *config.Site) *config.Site {
	if j.book == nil {
		return site
	}
	book, err := j.book.Read()
	if err != nil {
		j.log.Error("adopted devices are not polled", "error", err)
		return site
	}
	found := 0
	for i := range book.Devices {
		if book.Devices[i].Adoptable() {
			found++
		}
	}
	j.found.Store(int64(found))
	all, lacking := withAdopted(site, &book)
	for _, d := range lacking {
		j.log.Error("an adopted device is not polled: the site file does not have its credential", "device", d.Name, "credential", d.Credential)
	}
	j.adopted = all.Devices[len(site.Devices):]
	return all
}

// addressOf is an address as the site file has it, with SNMP's port where that is
// another than usual.
func addressOf(a netip.Addr, port int) string {
	if port == 0 || port == 161 {
		return a.String()
	}
	return netip.AddrPortFrom(a, uint16(port)).String()
}

// watchBook tells when the registry of discovered devices was changed, by whomever.
func (j *jobs) watchBook(ctx context.Context, changed chan<- struct{}) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	j.book.Watch(ctx, tick.C, changed)
}

// readopt polls what has been adopted and no longer what was forgotten.
func (d *appliance) readopt() {
	was := d.jobs.adopted
	site := d.jobs.withAdopted(d.site)
	if reflect.DeepEqual(was, d.jobs.adopted) {
		return
	}
	if err := d.schedule(d.site); err != nil {
		d.log.Error("adopted devices cannot be polled", "error", err)
		return
	}
	d.receivers.apply(site, &d.jobs.kinds)
	d.log.Info("adopted devices have changed", "adopted", len(d.jobs.adopted))
}

// discoverySettings are what the collector of discovery is made of.
type discoverySettings struct {
	discovery.Config
	names    map[string]bool // of the site file
	at       map[netip.Addr]string
	targets  []discovery.Target
	profiles int
}

func namesOf(site *config.Site) map[string]bool {
	out := map[string]bool{}
	for _, d := range site.Devices {
		out[d.Name] = true
	}
	return out
}

// targets are the devices that are asked by SNMP: those of the site file, and with
// them those that were adopted.
func (j *jobs) targets(file, all *config.Site) (out []discovery.Target) {
	for _, d := range all.Devices {
		set := all.DeviceSettings(d)
		if len(set.Credentials) == 0 {
			continue
		}
		_, listed := file.Device(d.Name)
		out = append(out, discovery.Target{Listed: listed, Config: snmp.Config{
			Device: d.Name, Address: d.Address, Credentials: set.Credentials, Timeout: set.Timeout, Retries: set.Retries, Profile: j.kinds.named[d.Profile]}})
	}
	return out
}

// discovery makes the collector that looks for devices.
func (j *jobs) discovery(set discoverySettings, dialer *scope.Dialer, step func(discovery.Step)) (*discovery.Collector, error) {
	opts := []snmp.Option{snmp.WithSockets(j.sockets), snmp.WithKinds(j.kinds.Kinds)}
	if j.memory != nil {
		opts = append(opts, snmp.WithMemory(j.memory))
	}
	return discovery.New(set.Config, discovery.Options{
		Scope: dialer, Registry: j.book, Pinger: j.pinger, SNMP: opts, Targets: set.targets,
		Taken: func(name string) bool { return set.names[name] }, Names: set.at, Step: step,
	})
}
