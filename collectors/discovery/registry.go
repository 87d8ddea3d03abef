package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// FileName is the registry's in the data folder.
const FileName = "discovery.json"

// Bounds of the registry.
const (
	registryVersion = 1
	maxFile         = 16 << 20 // bytes
	MaxDevices      = 10_000
	maxOthers       = 32 // addresses of a device
	MaxModules      = 64 // of a device
	maxTries        = 20_000
	maxUntold       = 1_000
	maxSightings    = 1 << 16
)

// Book is what the registry file holds.
type Book struct {
	Version int            `json:"version"`
	Devices []Device       `json:"devices"`
	Sweep   *Progress      `json:"sweep,omitempty"` // one that is not through
	Swept   time.Time      `json:"swept,omitzero"`  // when the last one was through
	Tries   map[string]Try `json:"tries,omitempty"` // of credentials, by engine ID or address
	// Untold are events that no daemon has emitted yet: a sweep from the command line
	// has no other way to tell. Each has a label found with when that was (RFC 3339).
	Untold []collectors.Event `json:"untold,omitempty"`
}

// Registry keeps a [Book] in a file. The daemon and commands share it: who changes it
// holds a lock meanwhile, reads it anew, and puts a whole file in its place.
//
// It is a file under a lock and not the daemon's, asked for over its socket, since
// devices are looked for and adopted on boxes where no daemon runs yet.
type Registry struct{ path string }

// OpenRegistry makes the registry of a data folder. Nothing is read or made yet.
func OpenRegistry(dir string) *Registry { return &Registry{filepath.Join(dir, FileName)} }

// ErrDamaged is of a registry file that cannot be used.
var ErrDamaged = errors.New("the registry of discovered devices is damaged, or another version's")

// Read gives what the file holds now; of one that is not there an empty book. The
// error wraps ErrDamaged where what is there cannot be used.
func (r *Registry) Read() (Book, error) {
	b := Book{Version: registryVersion}
	data, err := statefile.Read(r.path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil && !errors.Is(err, statefile.ErrTooLarge) {
		return b, fmt.Errorf("reading the discovered devices: %w", err)
	}
	var in Book
	if err != nil || json.Unmarshal(data, &in) != nil || in.Version != registryVersion {
		return b, fmt.Errorf("%w (%s)", ErrDamaged, r.path)
	}
	in.tidy()
	return in, nil
}

// Update changes the file: f is given what it holds now, under the lock. An error of f
// leaves it as it is. A damaged file is set aside, beside it under the name
// discovery.json.damaged, and f is given an empty book, in which an event says so.
func (r *Registry) Update(ctx context.Context, f func(*Book) error) error {
	unlock, err := lock(ctx, r.path+".lock")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder of the box's data (%s) is not there yet; siteprobe run makes it", filepath.Dir(r.path))
	}
	if err != nil {
		return fmt.Errorf("locking the discovered devices: %w", err)
	}
	defer unlock()
	b, err := r.Read()
	if errors.Is(err, ErrDamaged) {
		if err := os.Rename(r.path, r.path+".damaged"); err != nil {
			return fmt.Errorf("setting aside damaged devices: %w", err)
		}
		b.tell(time.Now(), collectors.Event{Kind: "discovery_damaged", Severity: collectors.Error,
			Text: "the registry of discovered devices was damaged and is set aside; adopted devices have to be adopted again"})
	} else if err != nil {
		return err
	}
	if err := f(&b); err != nil {
		return err
	}
	b.tidy()
	data, err := json.Marshal(b)
	if err == nil && len(data) > maxFile { // what is least needed goes first
		for i := range b.Devices {
			b.Devices[i].Modules = nil
		}
		b.Sweep = nil
		if data, err = json.Marshal(b); err == nil && len(data) > maxFile {
			err = errors.New("there is too much of it")
		}
	}
	if err == nil {
		err = statefile.Replace(r.path, data)
	}
	if err != nil {
		return fmt.Errorf("keeping the discovered devices: %w", err)
	}
	return nil
}

// Stamp tells one state of the file from another.
func (r *Registry) Stamp() string {
	info, err := os.Stat(r.path)
	if err != nil {
		return ""
	}
	inode := uint64(0)
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = s.Ino
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size(), inode)
}

// Watch tells of changes to the file, by whomever, until ctx is done. It looks at
// each tick.
func (r *Registry) Watch(ctx context.Context, tick <-chan time.Time, changed chan<- struct{}) {
	was := r.Stamp()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		now := r.Stamp()
		if now == was {
			continue
		}
		was = now
		select {
		case changed <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// tell adds events that were found at a time; of too many the oldest go. They may be
// told by a daemon that only starts days later.
func (b *Book) tell(at time.Time, es ...collectors.Event) {
	for _, e := range es {
		e.Labels = append(e.Labels, collectors.Label{Name: "found", Value: at.UTC().Format(time.RFC3339)})
		b.Untold = append(b.Untold, e)
	}
	if n := len(b.Untold) - maxUntold; n > 0 {
		b.Untold = b.Untold[n:]
	}
}

var errBusy = errors.New("another siteprobe holds it; is a sweep running?")

// lock takes the lock of a file, or gives up with errBusy when ctx is done. The lock goes with the
// process, however it ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	// The folder may be another user's than ours: no link of theirs is followed.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	statefile.OwnLikeFolder(f)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = f.Close() // nothing was written
			return nil, errBusy
		}
	}
}
