package diagnosis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"

	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// Store keeps the baseline in a file. One goroutine at a time may use it.
type Store struct {
	path string
	base Baseline
}

const maxBaseline = 64 << 10

// OpenStore reads the file; one that is not there, or no baseline, is an empty one. The
// store can be used also after an error.
func OpenStore(path string) (*Store, error) {
	s := &Store{path: path}
	b, err := statefile.Read(path, maxBaseline)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	var base Baseline
	if err == nil {
		if err = json.Unmarshal(b, &base); err == nil {
			err = base.Validate()
		}
	}
	if err != nil {
		return s, fmt.Errorf("reading what is usual at this site: %w", err)
	}
	s.base = base
	return s, nil
}

// Baseline is what is kept.
func (s *Store) Baseline() Baseline { return s.base }

// Keep writes a baseline, if it says something new.
func (s *Store) Keep(b Baseline) error {
	was := s.base
	if was.Good >= acceptance { // how many there were matters only until then
		was.Good = b.Good
	}
	if reflect.DeepEqual(was, b) {
		return nil
	}
	data, err := json.Marshal(b)
	if err == nil {
		err = statefile.Replace(s.path, data)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.path, err)
	}
	s.base = b
	return nil
}
