package topology

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// Store keeps the facts of a site's devices over restarts of the program, in one
// bounded file of compressed JSON. The graph follows from them and is not kept.
type Store struct {
	path string

	mu    sync.Mutex
	facts map[string]*Facts
}

const (
	storeVersion = 1
	maxFile      = 8 << 20  // bytes of the file
	maxPlain     = 64 << 20 // bytes in it, once expanded
	maxDevices   = 2000
	maxAge       = 24 * time.Hour // of what is known of a device that does not answer any more
)

type storeFile struct {
	Version int      `json:"version"`
	Facts   []*Facts `json:"facts"`
}

var errStore = errors.New("it is damaged, too large, or another version's")

// OpenStore reads the file at path, which need not exist yet. The store can be used
// whatever the error is: of a file that cannot be read nothing is known, and all is
// asked anew.
func OpenStore(path string) (*Store, error) {
	s := &Store{path: path, facts: map[string]*Facts{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the topology: %w", err)
	}
	defer f.Close()
	facts, err := readStore(f)
	if err != nil {
		return s, fmt.Errorf("reading the topology (%s): %w", path, err)
	}
	for _, f := range facts {
		s.facts[f.Device] = f
	}
	return s, nil
}

func readStore(r io.Reader) ([]*Facts, error) {
	z, err := gzip.NewReader(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, errStore
	}
	b, err := io.ReadAll(io.LimitReader(z, maxPlain+1))
	if err != nil || len(b) > maxPlain {
		return nil, errStore
	}
	return parseStore(b)
}

func parseStore(b []byte) ([]*Facts, error) {
	var in storeFile
	if json.Unmarshal(b, &in) != nil || in.Version != storeVersion {
		return nil, errStore
	}
	var out []*Facts
	for _, f := range in.Facts {
		if f != nil && f.Device != "" && len(out) < maxDevices {
			f.confine()
			out = append(out, f)
		}
	}
	return out, nil
}

// confine keeps what was read out of a file to the bounds of what is read of a
// device, and its text to what is fit for people.
func (f *Facts) confine() {
	text := func(s *string) { *s = pdu.CleanText([]byte(*s)) }
	for _, s := range []*string{&f.Device, &f.SysName, &f.SysDescr, &f.Chassis.Text} {
		text(s)
	}
	f.Partial = f.Partial[:min(len(f.Partial), maxPartial)]
	for i := range f.Partial {
		text(&f.Partial[i])
	}
	f.Interfaces = f.Interfaces[:min(len(f.Interfaces), maxInterfaces)]
	for i := range f.Interfaces {
		n := &f.Interfaces[i]
		text(&n.Name)
		text(&n.Descr)
		text(&n.Alias)
	}
	f.Own = f.Own[:min(len(f.Own), maxOwn)]
	f.Addresses = f.Addresses[:min(len(f.Addresses), maxAddresses)]
	f.LLDPPorts = f.LLDPPorts[:min(len(f.LLDPPorts), maxInterfaces)]
	for i := range f.LLDPPorts {
		text(&f.LLDPPorts[i].ID.Text)
		text(&f.LLDPPorts[i].Descr)
	}
	if len(f.Ports) > maxInterfaces {
		f.Ports = nil
	}
	f.Neighbours = f.Neighbours[:min(len(f.Neighbours), maxNeighbours)]
	for i := range f.Neighbours {
		n := &f.Neighbours[i]
		for _, s := range []*string{&n.Port, &n.Chassis.Text, &n.PortID.Text, &n.PortDescr, &n.SysName, &n.SysDescr, &n.Platform} {
			text(s)
		}
		n.Addresses = slices.DeleteFunc(n.Addresses, func(a netip.Addr) bool { return !usable(a) })
		n.Addresses = n.Addresses[:min(len(n.Addresses), maxAddresses)]
	}
	left := maxForwards
	for i := range f.FDB {
		w := &f.FDB[i]
		w.MACs = w.MACs[:min(len(w.MACs), left)]
		left -= len(w.MACs)
	}
	f.FDB = slices.DeleteFunc(f.FDB, func(w Forwards) bool { return len(w.MACs) == 0 })
	f.ARP = f.ARP[:min(len(f.ARP), maxBindings)]
}

// Facts gives what is known of each of the devices named, oldest first; of none that
// has not been asked yet.
func (s *Store) Facts(devices ...string) (out []*Facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range devices {
		if f := s.facts[d]; f != nil {
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b *Facts) int { return a.At.Compare(b.At) })
	return out
}

// Put takes over what a device said. Neighbours that were not read to the end are
// those that were known before.
func (s *Store) Put(f *Facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.facts[f.Device]
	if was == nil && len(s.facts) >= maxDevices {
		return
	}
	if f.Deaf && was != nil && len(was.Neighbours) > len(f.Neighbours) {
		f.Neighbours = was.Neighbours
	}
	s.facts[f.Device] = f
}

// Keep forgets all devices but those named, and what is too old to be true.
func (s *Store) Keep(devices []string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.facts, func(name string, f *Facts) bool {
		age := now.Sub(f.At)
		return !slices.Contains(devices, name) || age > maxAge || age < -maxAge
	})
}

// Save writes the file. It is whole or as it was. Where there is too much for it,
// forwarding databases are left out, the largest first.
func (s *Store) Save() error {
	s.mu.Lock()
	out := storeFile{Version: storeVersion}
	for _, name := range slices.Sorted(maps.Keys(s.facts)) {
		out.Facts = append(out.Facts, s.facts[name])
	}
	s.mu.Unlock()
	for {
		b, err := packed(&out)
		if err == nil && len(b) <= maxFile {
			if err = statefile.Replace(s.path, b); err != nil {
				return fmt.Errorf("writing the topology: %w", err)
			}
			return nil
		}
		if err != nil || !dropLargest(out.Facts) {
			return fmt.Errorf("writing the topology: %w", errors.Join(err, errStore))
		}
	}
}

func packed(out *storeFile) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(out); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// dropLargest leaves out the largest forwarding database of a list of facts, which
// themselves stay as they are.
func dropLargest(facts []*Facts) bool {
	largest, most := -1, 0
	for i, f := range facts {
		n := 0
		for _, w := range f.FDB {
			n += len(w.MACs)
		}
		if n > most {
			largest, most = i, n
		}
	}
	if largest < 0 {
		return false
	}
	f := *facts[largest]
	f.FDB = nil
	f.Partial = append(slices.Clone(f.Partial), "forwarding database: there was no room to keep it")
	facts[largest] = &f
	return true
}
