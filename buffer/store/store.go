// Package store keeps blocks in SQLite: the tables that the box and the hub
// share. On the box there is one probe in them, at the hub there are many.
//
// It knows how to open, refuse and set aside a database, how to put and find
// blocks and schemas, and how to read readings back out of them. What a block's
// state means is for its users: package buffer (the box) and package hub.
//
// # Durability
//
// WAL with synchronous=FULL: a transaction that was committed survives a power
// cut (NORMAL, go-sqlite3's default with WAL, loses it). There is one connection
// that writes; reading happens on others and sees whole transactions. No write
// takes a context: cancelling one inside a transaction would roll it back and let
// the statements after it commit one by one.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// The marks by which a database of ours is known, and the version of its tables.
const (
	applicationID = 0x53505242 // "SPRB"
	userVersion   = 3
)

// tables is what a new database has. A column more is also one more in the shapes of
// wreck.go, by which salvage tells rows.
const tables = `
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE probe(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE epoch(probe INTEGER, id INTEGER, prev INTEGER, boot BLOB, start INTEGER, last_commit INTEGER, clean INTEGER,
	n INTEGER, at INTEGER, sure INTEGER, PRIMARY KEY(probe, id)) WITHOUT ROWID;
CREATE TABLE schema(hash BLOB PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE block(seq INTEGER PRIMARY KEY AUTOINCREMENT, probe INTEGER, id BLOB, class INTEGER, epoch INTEGER, tier INTEGER,
	t0 INTEGER, t1 INTEGER, readings INTEGER, boot BLOB, shift INTEGER, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX block_time ON block(probe, t1, t0);
CREATE TABLE pending(seq INTEGER PRIMARY KEY, class INTEGER, id BLOB, size INTEGER, readings INTEGER);
CREATE TABLE gap(probe INTEGER, epoch INTEGER, source TEXT, first INTEGER, count INTEGER, t0 INTEGER, t1 INTEGER, reason TEXT,
	PRIMARY KEY(probe, epoch, source, first)) WITHOUT ROWID;
CREATE TABLE have(probe INTEGER, epoch INTEGER, tier INTEGER, ranges BLOB, PRIMARY KEY(probe, epoch, tier)) WITHOUT ROWID;
CREATE TABLE account(probe INTEGER, epoch INTEGER, source TEXT, next INTEGER, pending BLOB, at INTEGER,
	PRIMARY KEY(probe, epoch, source)) WITHOUT ROWID;
` + clockTables

// clockTables came with version 2. boot and shift are of blocks that were sealed
// while the clock was unsure: their boot, and the offset that t0 and t1 are by.
const clockTables = `
CREATE INDEX block_unsure ON block(probe, boot, shift) WHERE boot IS NOT NULL;
CREATE TABLE clock(probe INTEGER, boot BLOB, offset INTEGER, sure INTEGER, at INTEGER, todo INTEGER, PRIMARY KEY(probe, boot)) WITHOUT ROWID;
`

// upgrades bring the tables from version i+1 to the next. One that has shipped is
// never changed: tables above says what a new database has.
var upgrades = []string{
	`ALTER TABLE block ADD COLUMN boot BLOB; ALTER TABLE block ADD COLUMN shift INTEGER;
	ALTER TABLE epoch ADD COLUMN n INTEGER; ALTER TABLE epoch ADD COLUMN at INTEGER; ALTER TABLE epoch ADD COLUMN sure INTEGER;` + clockTables,
	// It cost two pages for each block, one when it came and one when it went.
	"DROP INDEX IF EXISTS pending_id;",
}

// Why a database cannot be used; Open's errors wrap one of them where it is the
// file's fault and not that of the disk or its rights.
var (
	ErrForeign = errors.New("not a siteprobe database")
	ErrNewer   = errors.New("written by a newer version")
	ErrDamaged = errors.New("damaged database")
	ErrInUse   = errors.New("another process uses this database: is the daemon running already?")
)

// Store is an open database. Its methods are safe for use by several goroutines;
// those of a nil Store return [ErrNotOpen].
type Store struct {
	path   string
	locked *os.File // holds the lock; nil for reading only
	w, r   *sql.DB
	codec  *block.Codec

	version int64 // of the tables; below userVersion only for reading

	schemas schemaCache
	bad     badRows

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // transactions
}

// Options of Open.
type Options struct {
	MaxBytes int64 // what the database file may grow to; 0: no limit
	ReadOnly bool  // for commands that look at a database that another process writes
	NoSync   bool  // for tests whose crashes are not power cuts
	// Sync is SQLite's synchronous, which NoSync overrides; empty: FULL. The fault
	// lab weakens it, to see that it would find a loss.
	Sync string
	// Below is how many numbers a database that is made leaves free before its first
	// block: for blocks that are older than it, see [Tx.PutBelow].
	Below int64
	// KeepTorn has what a damaged log holds behind the damage kept as [Aside], before
	// SQLite passes it over and overwrites it.
	KeepTorn bool
}

// Open opens the database at path and makes it if there is none.
func Open(path string, o Options) (*Store, error) {
	codec, err := block.NewCodec()
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, codec: codec}
	if err := s.open(o); err != nil {
		s.Close()
		return nil, fmt.Errorf("opening %s: %w", path, classify(refused(path, err)))
	}
	return s, nil
}

// lock keeps a second process from writing to the database: both would number
// batches, and each would take the other's blocks for its own.
func (s *Store) lock() error {
	f, err := os.OpenFile(s.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrInUse
		}
		return fmt.Errorf("locking: %w", err)
	}
	s.locked = f
	return nil
}

func (s *Store) open(o Options) error {
	if !o.ReadOnly {
		if err := s.lock(); err != nil {
			return err
		}
	}
	if err := looksLikeSQLite(s.path); err != nil {
		return err
	}
	if o.KeepTorn && !o.ReadOnly {
		if err := keepTorn(s.path, time.Now()); err != nil {
			return err
		}
	}
	sync := cmp.Or(o.Sync, "FULL")
	if o.NoSync {
		sync = "OFF"
	}
	dsn := func(extra string) string {
		return "file:" + (&url.URL{Path: s.path}).EscapedPath() + "?_journal_mode=WAL&_synchronous=" + sync + "&_busy_timeout=10000&_cache_size=-2000" + extra
	}
	if o.ReadOnly {
		if _, err := os.Stat(s.path); err != nil {
			return err
		}
	} else {
		// What a site measures is nobody else's: SQLite would make it world-readable.
		f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			err = f.Close()
		} else if errors.Is(err, os.ErrExist) {
			err = nil // it is not opened here: closing it would drop the locks of this process
		}
		if err != nil {
			return err
		}
		if s.w, err = sql.Open("sqlite3", dsn("&_txlock=immediate")); err != nil {
			return err
		}
		s.w.SetMaxOpenConns(1)
		if err := s.prepare(o); err != nil {
			return err
		}
	}
	var err error
	if s.r, err = sql.Open("sqlite3", dsn("&_query_only=1")); err != nil {
		return err
	}
	s.r.SetMaxOpenConns(4)
	s.r.SetMaxIdleConns(2)
	return s.View(func(tx *Tx) error {
		var app, version int64
		defer func() { s.version = version }()
		if err := tx.queryRow("PRAGMA application_id").Scan(&app); err != nil {
			return err
		}
		if err := tx.queryRow("PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		switch {
		case app != applicationID:
			return ErrForeign
		case version > userVersion:
			return fmt.Errorf("%w (tables of version %d, this one knows %d)", ErrNewer, version, userVersion)
		}
		if version < userVersion {
			return nil // for reading only, and until its owner has brought it up to date
		}
		return tx.intact()
	})
}

// prepare makes the tables in an empty database, brings older ones up to date, and
// bounds the database's size.
func (s *Store) prepare(o Options) error {
	tx, err := s.w.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	var app, version, n int64
	for q, to := range map[string]*int64{"PRAGMA application_id": &app, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_master": &n} {
		if err := tx.QueryRow(q).Scan(to); err != nil {
			return err
		}
	}
	if n > 0 && app != applicationID {
		return ErrForeign
	}
	if version > userVersion {
		return fmt.Errorf("%w (tables of version %d, this one knows %d)", ErrNewer, version, userVersion)
	}
	todo := tables
	if n > 0 {
		todo = strings.Join(upgrades[max(version, 1)-1:], "\n")
	}
	if todo != "" {
		if _, err := tx.Exec(fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d; %s", applicationID, userVersion, todo)); err != nil {
			if se := (sqlite3.Error{}); errors.As(err, &se) && se.Code == sqlite3.ErrError {
				return fmt.Errorf("%w: bringing its tables up to date: %w", ErrDamaged, err)
			}
			return err
		}
		if n == 0 && o.Below > 0 {
			if _, err := tx.Exec("INSERT INTO sqlite_sequence(name, seq) VALUES('block', ?)", o.Below); err != nil {
				return err
			}
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	// The owner says when (Checkpoint); this is for one that does not.
	if _, err = s.w.Exec(fmt.Sprintf("PRAGMA wal_autocheckpoint=%d", 4*checkpointPages)); err != nil {
		return err
	}
	if o.MaxBytes > 0 {
		// Deleting needs room too, so the file's limit stands above the budget that
		// its user keeps to.
		_, err = s.w.Exec(fmt.Sprintf("PRAGMA max_page_count=%d", o.MaxBytes/pageSize))
	}
	return err
}

const pageSize = 4096

// checkpointPages is how long the log gets before it is copied into the database:
// longer makes opening slow after a crash, shorter writes the same pages more often.
const checkpointPages = 1000

// CheckpointBytes is what an owner lets the log grow by between two Checkpoints.
const CheckpointBytes = checkpointPages * pageSize

// Checkpoint copies the log into the database, as far as no reader is in the way,
// and flushes it. It may be called again at any time; nothing depends on it but the
// log's length.
func (s *Store) Checkpoint() error {
	var busy, log, copied int64
	err := s.write(func(db *sql.DB) error {
		return db.QueryRow("PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &copied)
	})
	if err != nil {
		return fmt.Errorf("copying the log into the database: %w", err)
	}
	return nil
}

// classify tells damage from the disk's own errors.
func classify(err error) error {
	var se sqlite3.Error
	if errors.As(err, &se) && (se.Code == sqlite3.ErrCorrupt || se.Code == sqlite3.ErrNotADB) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Damaged tells whether an error of any method says that the file is damaged.
func Damaged(err error) bool { return errors.Is(classify(err), ErrDamaged) }

// Full tells whether an error says that there is no room.
func Full(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && se.Code == sqlite3.ErrFull
}

// Why returns the word for SetAside that an error of Open calls for, or the empty
// string where the file is not to blame.
func Why(err error) string {
	switch err = classify(err); {
	case errors.Is(err, ErrForeign):
		return "foreign"
	case errors.Is(err, ErrNewer):
		return "newer"
	case errors.Is(err, ErrDamaged):
		return "damaged"
	}
	return ""
}

// Close closes the database, once the transactions that run have ended: the last
// connection that closes deletes the log by its name, which may be another
// database's by then.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	s.running.Wait()
	var errs []error
	if s.r != nil {
		errs = append(errs, s.r.Close())
	}
	if s.w != nil {
		errs = append(errs, s.w.Close())
	}
	s.codec.Close()
	if s.locked != nil {
		errs = append(errs, s.locked.Close()) // the last: it lets the next one in
		s.locked = nil
	}
	return errors.Join(errs...)
}

// Codec returns the codec of the store, for whoever works on its blocks.
func (s *Store) Codec() *block.Codec { return s.codec }

// Path returns the database file's name.
func (s *Store) Path() string { return s.path }

// Tx is one transaction.
type Tx struct {
	tx *sql.Tx
	s  *Store
}

// Update runs f in a transaction that writes; an error of f rolls it back.
func (s *Store) Update(f func(*Tx) error) error {
	return s.write(func(db *sql.DB) error { return s.run(db, f) })
}

// View runs f in a transaction that reads: it sees one state.
func (s *Store) View(f func(*Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	return s.run(s.r, f)
}

// write calls f with the connection that writes.
func (s *Store) write(f func(*sql.DB) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	if s.w == nil {
		return errors.New("the database is open for reading only")
	}
	return f(s.w)
}

// enter keeps Close waiting until running is told that the caller is done.
func (s *Store) enter() error {
	if s == nil {
		return ErrNotOpen
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrNotOpen
	}
	s.running.Add(1)
	return nil
}

func (s *Store) run(db *sql.DB, f func(*Tx) error) error {
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	err = f(&Tx{tx, s})
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: one table names a row that another has not", ErrDamaged)
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

func (t *Tx) exec(q string, args ...any) (sql.Result, error) { return t.tx.Exec(q, args...) }
func (t *Tx) queryRow(q string, args ...any) row             { return row{t.tx.QueryRow(q, args...)} }
func (t *Tx) query(q string, args ...any) (*sql.Rows, error) { return t.tx.Query(q, args...) }

// Usage tells what the database holds: bytes in use and bytes of the file.
func (t *Tx) Usage() (used, file int64, err error) {
	var pages, free int64
	if err = t.queryRow("PRAGMA page_count").Scan(&pages); err == nil {
		err = t.queryRow("PRAGMA freelist_count").Scan(&free)
	}
	return (pages - free) * pageSize, pages * pageSize, err
}
