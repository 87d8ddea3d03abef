package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store/sqlitefile"
)

// stampFormat is the time in the name of what was set aside.
const stampFormat = "20060102T150405Z"

// settled ends the name of what was set aside and has been read to its end.
const settled = ".read"

// Aside is a database that was set aside.
type Aside struct {
	Path    string // of the database; its log is beside it
	Why     string // Why's word
	At      string // when, as its name says; sorts by time
	Settled bool   // it has been read to its end
	Size    int64  // of all of it
}

// SetAside renames the database and its companions, so that a fresh one can take
// its place; it returns the new name, which says why and when.
func SetAside(path, why string, now time.Time) (string, error) {
	to := asideName(path, why, now)
	return to, rename(path, to)
}

func asideName(path, why string, now time.Time) string {
	base := fmt.Sprintf("%s.%s-%s", path, why, now.UTC().Format(stampFormat))
	to := base
	for i := 1; taken(to); i++ {
		to = fmt.Sprintf("%s-%d", base, i)
	}
	return to
}

// WhyTorn is the word for a log that SQLite reads in part only; the rest is kept,
// without a database.
const WhyTorn = "torn"

// keepTorn copies a log that is damaged before its end, which is as long as the log
// ever gets: a few megabytes. One whose database is gone it sets aside.
func keepTorn(path string, now time.Time) error {
	f, err := os.Open(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the log: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("looking at the log: %w", err)
	}
	if db, err := os.Stat(path); st.Size() > 0 && (errors.Is(err, fs.ErrNotExist) || err == nil && db.Size() == 0) {
		return rename(path, asideName(path, WhyTorn, now))
	}
	if st.Size() > maxKept || !sqlitefile.TornLog(sqlitefile.Source{ReaderAt: f, Size: st.Size()}, pageSize) {
		return nil
	}
	to := asideName(path, WhyTorn, now) + "-wal"
	out, err := os.OpenFile(to+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = io.Copy(out, f)
		err = errors.Join(err, out.Sync(), out.Close())
	}
	if err == nil {
		if err = os.Rename(to+".new", to); err == nil {
			err = SyncDir(filepath.Dir(path))
		}
	}
	if err != nil {
		_ = os.Remove(to + ".new")
		return nil // a disk without room for it is no reason not to open what there is
	}
	return nil
}

// maxKept is more than a log grows to.
const maxKept = 64 << 20

// taken tells whether anything has a name, or had it until it was settled.
func taken(path string) bool {
	for _, suffix := range []string{"", "-wal", settled} {
		if _, err := os.Lstat(path + suffix); !errors.Is(err, os.ErrNotExist) {
			return true
		}
	}
	return false
}

// rename moves a database and its companions.
func rename(path, to string) error {
	// The log goes first: a log beside a fresh database would be replayed into it.
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("setting aside %s: %w", path, err)
		}
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes a folder's entries durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Asides returns what was set aside of a database, the newest first.
func Asides(path string) ([]Aside, error) {
	es, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for what was set aside: %w", err)
	}
	found := map[string]*Aside{}
	for _, e := range es {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), "-wal"), "-shm")
		rest, ok := strings.CutPrefix(name, filepath.Base(path)+".")
		why, at, dash := strings.Cut(rest, "-")
		if !ok || !dash || why != "damaged" && why != "foreign" && why != "newer" && why != WhyTorn || strings.HasSuffix(name, ".new") {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // it went meanwhile, or is nothing of ours
		}
		a := found[name]
		if a == nil {
			a = &Aside{Path: filepath.Join(filepath.Dir(path), name), Why: why}
			a.At, a.Settled = strings.CutSuffix(at, settled)
			found[name] = a
		}
		a.Size += info.Size()
	}
	out := make([]Aside, 0, len(found))
	for _, a := range found {
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b Aside) int {
		return cmp.Or(cmp.Compare(b.At[:min(len(b.At), len(stampFormat))], a.At[:min(len(a.At), len(stampFormat))]), cmp.Compare(len(b.At), len(a.At)), cmp.Compare(b.At, a.At))
	})
	return out, nil
}

// Settle notes in its name that a has been read to its end; ours says that it was a
// database of ours, whatever the reason for setting it aside.
func (a *Aside) Settle(ours bool) error {
	to := a.Path + settled
	if ours {
		to = strings.Replace(to, ".foreign-"+a.At, ".damaged-"+a.At, 1)
	}
	if err := rename(a.Path, to); err != nil {
		return err
	}
	a.Path, a.Settled = to, true
	return nil
}

// Remove deletes it.
func (a *Aside) Remove() error {
	var errs []error
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Remove(a.Path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("deleting what was set aside: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Keep bounds of what is kept of a database that was set aside.
const keepSettled = 2

// Prune deletes what was set aside and is of no more use, and returns that. Of what
// has been read to its end the newest two stay, together up to a quarter of budget,
// for whoever wants to look; of logs, none. What is still to be read stays up to budget, the
// newest first and that always. A foreign file in which nothing was ours is
// somebody's, and never touched.
func Prune(path string, budget int64) (gone []Aside, err error) {
	all, err := Asides(path)
	if err != nil {
		return nil, err
	}
	var read, unread int
	var sizeRead, sizeUnread int64
	for _, a := range all {
		keep := true
		switch {
		case a.Why == "foreign" && a.Settled:
		case a.Why == WhyTorn && a.Settled:
			keep = false
		case a.Settled:
			if keep = read < keepSettled && sizeRead+a.Size <= budget/4; keep {
				read++
				sizeRead += a.Size
			}
		default:
			if keep = unread == 0 || a.Why == "foreign" || sizeUnread+a.Size <= budget; keep {
				unread++
				sizeUnread += a.Size
			}
		}
		if keep {
			continue
		}
		if err := a.Remove(); err != nil {
			return gone, err
		}
		gone = append(gone, a)
	}
	return gone, nil
}
