package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mattn/go-sqlite3"
)

// looksLikeSQLite refuses a file that is something else, or whose header SQLite
// would believe and should not, before SQLite touches it.
func looksLikeSQLite(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 100)
	n, _ := f.Read(head)
	if n == 0 {
		return nil // SQLite makes a database of it
	}
	if magic := "SQLite format 3\x00"; string(head[:min(n, len(magic))]) != magic {
		return ErrForeign
	}
	if n < len(head) || !plausibleHeader(head) {
		return fmt.Errorf("%w: its header", ErrDamaged)
	}
	return nil
}

// plausibleHeader checks the fields that never change in a database of ours. A
// damaged one makes a database read-only, or has SQLite take pages for what they
// are not and write over them.
func plausibleHeader(h []byte) bool {
	for _, x := range []struct {
		at   int
		want string
	}{
		{16, "\x10\x00"},         // the size of a page
		{20, "\x00\x40\x20\x20"}, // nothing reserved; shares of a page
		{52, "\x00\x00\x00\x00"}, // no vacuum by itself
		{64, "\x00\x00\x00\x00"},
	} {
		if !bytes.Equal(h[x.at:x.at+len(x.want)], []byte(x.want)) {
			return false
		}
	}
	text := h[56:60] // 0 until the first table is made, then UTF-8
	return (h[18] == 1 || h[18] == 2) && (h[19] == 1 || h[19] == 2) && text[0]|text[1]|text[2] == 0 && text[3] <= 1
}

// maxSeq is a block number that is never reached: from the highest that there is,
// SQLite would count no further.
const maxSeq = 1 << 56

// layout lists the tables with their columns, and the indexes, whichever upgrades
// they came by.
const layout = `SELECT m.type || ' ' || m.name || ' ' || m.tbl_name || ' ' || coalesce(i.name || ' ' || i.type || ' ' || i."notnull" || ' ' || i.pk, m.sql, '')
	FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) i ON m.type='table' WHERE m.name NOT LIKE 'sqlite_%' ORDER BY 1`

// blank is the layout of an empty database.
var blank = sync.OnceValues(func() ([]string, error) {
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection would have a database of its own
	if _, err := db.Exec(tables); err != nil {
		return nil, err
	}
	return laidOut(db.Query)
})

func laidOut(query func(string, ...any) (*sql.Rows, error)) (out []string, err error) {
	rows, err := query(layout)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x string
		if err := rows.Scan(&x); err != nil {
			return nil, scanned(err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// intact tells whether the tables are those that an empty database would get, and
// can be used. Else statements would fail for ever with errors that do not speak of
// damage.
func (t *Tx) intact() error {
	want, err := blank()
	if err != nil {
		return err
	}
	have, err := laidOut(t.query)
	if err != nil {
		return err
	}
	if !slices.Equal(have, want) {
		return fmt.Errorf("%w: its tables are not ours", ErrDamaged)
	}
	var last int64
	if err := t.queryRow("SELECT max(coalesce((SELECT max(seq) FROM block), 0), coalesce((SELECT max(seq) FROM sqlite_sequence), 0))").Scan(&last); err != nil {
		return err
	}
	if last > maxSeq || last < 0 {
		return fmt.Errorf("%w: a block has the number %d", ErrDamaged, last)
	}
	return t.queryRow("SELECT count(*) FROM probe").Scan(new(int64))
}

// row is a row of a query for one. No row at all is [sql.ErrNoRows], which is damage
// where nobody says otherwise.
type row struct{ *sql.Row }

func (r row) Scan(to ...any) error { return scanned(r.Row.Scan(to...)) }

// scanned tells values of a wrong type from other errors: SQLite keeps in a column
// whatever the row says, and a bit of that may have flipped.
func scanned(err error) error {
	if se := (sqlite3.Error{}); err == nil || errors.Is(err, sql.ErrNoRows) || errors.As(err, &se) || !strings.HasPrefix(err.Error(), "sql: Scan error") {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
