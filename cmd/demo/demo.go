package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// demo is everything that runs.
type demo struct {
	o     options
	state string // the folder where all is kept, absolute
	shown string // the same as commands are shown with it
	out   *screen

	died      chan *process
	processes []*process // in the order in which they are stopped
	agents    []*snmptest.Agent
	relay     *relay
	probe     *probe
	page      string
	working   sync.WaitGroup // the outage
	endCut    context.CancelFunc
	cutting   chan struct{} // closed when the outage is over; nil before the first
}

// run starts all, watches over it, and stops all.
func run(ctx context.Context, o options, in *os.File, out *screen) error {
	root, err := repository()
	if err != nil {
		return err
	}
	d := &demo{o: o, out: out, died: make(chan *process, 8)}
	if d.state, d.shown, err = stateFolder(root, o.state); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(d.state, "lock"))
	if err != nil {
		return err
	}
	defer unlock()

	err = d.start(ctx, root)
	if err == nil {
		err = d.watch(ctx, in)
	}
	d.stop()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // asked to stop while it started
	}
	if err == nil {
		out.line("stopped; what was gathered stays in %s, and another start goes on from there", d.shown)
	}
	return err
}

// start starts from the end of the flow, so that nothing has to wait for what
// comes after it.
func (d *demo) start(ctx context.Context, root string) error {
	if err := d.build(ctx, root); err != nil {
		return err
	}
	s, err := readSecrets(filepath.Join(d.state, "secrets"))
	if err != nil {
		return err
	}
	broker, err := d.startHub(ctx, s)
	if err != nil {
		return err
	}
	if d.relay, err = newRelay(freePort("tcp", 11883), broker); err != nil {
		return err
	}
	devices, err := d.startAgents(ctx, s)
	if err != nil {
		return err
	}
	return d.startProbe(ctx, s, devices, broker)
}

func (d *demo) startHub(ctx context.Context, s *secrets) (broker string, err error) {
	data := filepath.Join(d.state, "hub")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", fmt.Errorf("making the hub's folder: %w", err)
	}
	users := filepath.Join(data, "users")
	if err := writeFile(users, siteName+":"+s.uplink+"\n"); err != nil {
		return "", err
	}
	page, broker := freePort("tcp", 8080), freePort("tcp", 1883)
	p, err := d.launch("hub", nil, filepath.Join(d.state, "bin", "siteprobe-hub"), "--data", data, "run", "--http", page, "--listen", broker, "--users", users)
	if err != nil {
		return "", err
	}
	d.page = "http://" + page + "/"
	if err := p.until(ctx, "answer on "+d.page, func() bool { return answersHTTP(ctx, d.page) && answersTCP(broker) }); err != nil {
		return "", err
	}
	d.out.item("hub", "page on %s, broker on %s", d.page, broker)
	return broker, nil
}

func (d *demo) startProbe(ctx context.Context, s *secrets, devices []device, broker string) error {
	ping := mayPing()
	if !ping {
		d.out.line("no pings: this user may not send echo requests (sysctl net.ipv4.ping_group_range says who may)")
	}
	checks := checks(ctx, d.page, broker, ping)
	file := filepath.Join(d.state, "site.yaml")
	data := filepath.Join(d.state, "probe")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("making the probe's folder: %w", err)
	}
	text, err := siteFile(site{
		Devices: devices, Checks: checks, Secrets: s.dir, Buffer: filepath.Join(data, "buffer.db"), Server: "mqtt://" + d.relay.address(), Name: siteName,
	})
	if err != nil {
		return err
	}
	if err := writeFile(file, text); err != nil {
		return err
	}
	d.probe, err = newProbe(filepath.Join(data, "control.sock"), filepath.Join(d.state, "bin", "siteprobe-hub"), filepath.Join(d.state, "hub"))
	if err != nil {
		return err
	}
	p, err := d.launch("probe", nil, filepath.Join(d.state, "bin", "siteprobe"), "-c", file, "run")
	if err != nil {
		return err
	}
	if err := p.until(ctx, "answer on its control socket", func() bool { _, err := d.probe.status(ctx); return err == nil }); err != nil {
		return err
	}
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.Kind
	}
	d.out.item("probe", "%d devices, %d services (%s) and this machine, every 5 s", len(devices), len(checks), strings.Join(names, ", "))
	return nil
}

// launch starts a program of the demo. The newest is stopped first: the flow ends
// where it was started.
func (d *demo) launch(name string, env []string, argv ...string) (*process, error) {
	p, err := launch(name, filepath.Join(d.state, "logs", name+".log"), d.died, env, argv...)
	if err != nil {
		return nil, err
	}
	d.processes = append([]*process{p}, d.processes...)
	return p, nil
}

// stop stops the probe before what it needs, so that it can say goodbye.
func (d *demo) stop() {
	d.out.status("stopping …")
	if d.endCut != nil {
		d.endCut()
	}
	d.working.Wait()
	for _, p := range d.processes {
		if killed := p.stop(stopTime); killed {
			d.out.line("%s did not stop within %v and was killed; its log is %s", p.name, stopTime, filepath.Join(d.shown, "logs", p.name+".log"))
		}
	}
	for _, a := range d.agents {
		_ = a.Close() // nobody asks it any more
	}
	if d.relay != nil {
		d.relay.close()
	}
	d.out.status("")
}

// stopTime is what each program gets to stop. The probe commits what it has and
// says goodbye to the broker.
const stopTime = 15 * time.Second
