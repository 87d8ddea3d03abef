package profile

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// BuiltIn is the Origin of profiles that come with the program.
const BuiltIn = "built-in"

// Generic is the name of the profile for devices that no other one is for.
const Generic = "_generic"

// maxFiles bounds a folder of profiles.
const maxFiles = 2000

// Set is all profiles there are, the built-in ones and a user's. It is not changed
// once it is made.
type Set struct {
	sources map[sourceKey]*source
	named   map[string]*Profile
	ranked  []candidate
	hash    string
}

// sourceKey names a file: a user's profile may have the name of a built-in one.
type sourceKey struct {
	user bool
	name string
}

// source is one file, read when it is first asked for.
type source struct {
	key  sourceKey
	file string // for messages
	read func() ([]byte, error)

	state    state
	problems values.Report
	whole    *part // with all that it extends; nil when it cannot be read
	sum      [sha256.Size]byte
	height   int // over how many steps it extends others
}

type state uint8

const (
	fresh state = iota
	reading
	done
)

// Open reads the built-in profiles and those of dir, of which there may be none: a
// dir that does not exist is fine. Problems are those of all files; a file with an
// error counts as far as it could be understood.
func Open(dir string) (*Set, []Problem) {
	s := &Set{sources: map[sourceKey]*source{}, named: map[string]*Profile{}}
	s.addBuiltIn()
	problems := s.addUser(dir)
	sum := sha256.New()
	for _, key := range s.keys() {
		src := s.sources[key]
		p, more := s.profile(src)
		problems = append(problems, more...)
		fmt.Fprintf(sum, "%t %q %x\n", key.user, src.file, src.sum)
		if p == nil {
			continue
		}
		// The built-in ones come first, so that a user's takes the place of its
		// namesake.
		s.named[key.name] = p
	}
	s.hash = hex.EncodeToString(sum.Sum(nil))
	return s, append(problems, s.rank()...)
}

// Hash names what the set was made of: it is equal for two sets of the same files
// with the same content.
func (s *Set) Hash() string { return s.hash }

func (s *Set) addBuiltIn() {
	entries, _ := builtin.ReadDir("builtin") // it is in the program
	for _, e := range entries {
		path := "builtin/" + e.Name()
		key := sourceKey{false, baseName(e.Name())}
		s.sources[key] = &source{key: key, file: path, read: func() ([]byte, error) { return builtin.ReadFile(path) }}
	}
}

func (s *Set) addUser(dir string) (problems []Problem) {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []Problem{{File: dir, Message: "cannot be read: " + reason(err)}}
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if ext := filepath.Ext(path); ext != ".yaml" && ext != ".yml" {
			problems = append(problems, Problem{File: path, Warning: true, Message: "is left out: profiles are *.yaml"})
			continue
		}
		key := sourceKey{true, baseName(e.Name())}
		if other := s.sources[key]; other != nil {
			problems = append(problems, Problem{File: path, Message: "is left out: " + other.file + " has the same name"})
			continue
		}
		if len(s.sources) == maxFiles {
			return append(problems, Problem{File: dir, Message: fmt.Sprintf("has too many files; %d profiles are read", maxFiles)})
		}
		s.sources[key] = &source{key: key, file: path, read: func() ([]byte, error) { return readFile(path) }}
	}
	return problems
}

// readFile reads at most a byte more than a profile may have, and only of a file: a
// pipe would never end.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// reason is an error without the path, which the problem has already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// keys are those of all sources: the built-in ones first, each in the order of their
// names.
func (s *Set) keys() []sourceKey {
	return slices.SortedFunc(maps.Keys(s.sources), func(a, b sourceKey) int {
		if a.user != b.user {
			if b.user {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
}

// Load reads one file that need not be in the set. What it extends is looked for
// beside it, then in the set. The profile is nil when nothing of the file could be
// understood.
func (s *Set) Load(path string) (*Profile, []Problem) {
	with := &Set{sources: map[sourceKey]*source{}}
	for key, src := range s.sources {
		// Read anew: what stands beside the file may take its place.
		with.sources[key] = &source{key: key, file: src.file, read: src.read}
	}
	dir := filepath.Dir(path)
	for _, e := range siblings(dir) {
		key, file := sourceKey{true, baseName(e)}, filepath.Join(dir, e)
		with.sources[key] = &source{key: key, file: file, read: func() ([]byte, error) { return readFile(file) }}
	}
	key := sourceKey{true, baseName(filepath.Base(path))}
	src := &source{key: key, file: path, read: func() ([]byte, error) { return readFile(path) }}
	with.sources[key] = src
	return with.profile(src)
}

// siblings are the profiles in a folder.
func siblings(dir string) (names []string) {
	entries, _ := os.ReadDir(dir) // what is not there is not extended
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && len(names) < maxFiles {
			names = append(names, e.Name())
		}
	}
	return names
}

// profile makes the profile of a source, with the problems of its file. Those of
// the files that it extends are theirs.
func (s *Set) profile(src *source) (*Profile, []Problem) {
	s.resolve(src)
	if src.whole == nil {
		return nil, src.problems.All()
	}
	origin := BuiltIn
	if src.key.user {
		origin = src.file
	}
	p := src.whole.profile(src.key.name, origin, func(file string, at yamlfile.Place, message string) {
		if file == src.file {
			src.problems.Warnf(at, "%s", message)
		}
	})
	return p, src.problems.All()
}

// resolve reads a source, if that has not been done, and all that it extends.
func (s *Set) resolve(src *source) {
	if src.state != fresh {
		return
	}
	src.state = reading
	defer func() { src.state = done }()
	r := &src.problems
	r.File = src.file
	data, err := src.read()
	if err != nil {
		r.Errorf(yamlfile.Place{}, "cannot be read: %s", reason(err))
		return
	}
	src.sum = sha256.Sum256(data)
	own, problems := read(src.file, data)
	for _, p := range problems {
		r.Add(p)
	}
	base := &part{}
	for _, e := range own.extends {
		if more := s.extended(src, e); more != nil {
			base = merge(base, more)
		}
	}
	src.whole = merge(base, own)
	if n := src.whole.count(); n > maxMetrics {
		r.Errorf(yamlfile.Place{}, "has %d metrics with all that it extends; %d is the most, so what it extends is left out", n, maxMetrics)
		src.whole = merge(&part{}, own)
	}
}

// extended finds what src extends: a user's file first, unless it is src itself,
// then a built-in one. Built-in profiles extend built-in ones only, so that a user's
// _base.yaml does not change them.
func (s *Set) extended(src *source, e extend) *part {
	var found *source
	for _, user := range []bool{true, false} {
		key := sourceKey{user, e.name}
		if found == nil && key != src.key && (src.key.user || !user) {
			found = s.sources[key]
		}
	}
	if found == nil && e.name == src.key.name {
		src.problems.Errorf(e.at, "a profile cannot extend itself")
		return nil
	}
	if found == nil {
		src.problems.Warnf(e.at, "there is no profile %q to extend%s", values.Clip(e.name), s.near(e.name))
		return nil
	}
	s.resolve(found)
	switch {
	case found.state == reading:
		src.problems.Errorf(e.at, "%q extends this profile, so this cannot extend it", values.Clip(e.name))
		return nil
	case found.height >= maxDepth:
		src.problems.Errorf(e.at, "profiles extend each other over more than %d steps", maxDepth)
		return nil
	}
	src.height = max(src.height, found.height+1)
	return found.whole
}

func (s *Set) near(name string) string {
	var names []string
	for _, key := range s.keys() {
		names = append(names, key.name)
	}
	if near := yamlfile.Nearest(name, names); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ""
}

// Named gives the profile of that name, the user's where there are two, or nil.
func (s *Set) Named(name string) *Profile { return s.named[baseName(name)] }

// List gives all profiles in the order of their names, those included that only
// others extend.
func (s *Set) List() []*Profile {
	var out []*Profile
	for _, name := range slices.Sorted(maps.Keys(s.named)) {
		out = append(out, s.named[name])
	}
	return out
}
