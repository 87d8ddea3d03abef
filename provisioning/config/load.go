package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Loader reads site files. Its zero value reads as the daemon does.
type Loader struct {
	// WithoutSecrets checks the references to secrets but looks none of them up:
	// for a site file that is looked at on another machine. Each secret of the
	// result is then the same text of no meaning.
	WithoutSecrets bool

	// Getenv looks up environment variables; nil: os.LookupEnv.
	Getenv func(string) (string, bool)
}

// Load reads the site file at path and what its conf.d adds, as [Loader.Load]
// does with the zero Loader.
func Load(path string) (*Site, error) { return Loader{}.Load(path) }

// Parse reads one site file from memory, as [Loader.Parse] does with the zero
// Loader.
func Parse(name string, data []byte) (*Site, error) { return Loader{}.Parse(name, data) }

// Load reads the site file at path and the files conf.d/*.yaml beside it. The
// error is an [*Error] when the files can be read but not used.
func (l Loader) Load(path string) (*Site, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read site file: %w", err)
	}
	p := l.newParse()
	p.add(path, data)

	dir := filepath.Join(filepath.Dir(path), "conf.d")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what conf.d adds to the site file: %w", err)
	}
	for _, e := range entries { // sorted by name
		file := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case filepath.Ext(e.Name()) == ".yaml":
			data, err := readFile(file)
			if err != nil {
				return nil, fmt.Errorf("read what conf.d adds to the site file: %w", err)
			}
			p.add(file, data)
		default:
			p.files = append(p.files, file)
			p.warnf(pos{file: len(p.files) - 1}, "is left out: only conf.d/*.yaml is read")
		}
	}
	return p.site()
}

// Parse reads one site file from memory. The name is what messages call it. The
// error is an [*Error].
func (l Loader) Parse(name string, data []byte) (*Site, error) {
	p := l.newParse()
	p.add(name, data)
	return p.site()
}

// readFile reads at most a byte more than a site file may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// parsing is one site file on its way from text to a Site.
type parsing struct {
	decoder
	root *node
}

func (l Loader) newParse() *parsing {
	if l.Getenv == nil {
		l.Getenv = os.LookupEnv
	}
	return &parsing{decoder: decoder{
		report:  &report{},
		secrets: resolver{getenv: l.Getenv, skip: l.WithoutSecrets},
	}}
}

// add reads one more file and merges it into what there is.
func (p *parsing) add(name string, data []byte) {
	file := len(p.files)
	p.files = append(p.files, name)
	root := parse(p.report, file, data)
	switch {
	case root == nil || !p.want(root, mapping, "", "keys with values, such as site:"):
	case p.root == nil:
		p.root = root
	default:
		merge(p.report, p.root, root, "")
	}
}

// site makes the Site of what was read, or says everything that is wrong.
func (p *parsing) site() (*Site, error) {
	s := defaults()
	if p.root != nil {
		p.takeLater()
		p.decode(p.root, reflect.ValueOf(&s).Elem(), "")
		p.check(&s)
	} else if len(p.problems) == 0 {
		p.errorf(pos{}, "is empty; the least it needs is site: {id: ..., tenant: ...}")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	var b strings.Builder
	p.root.canonical(&b)
	sum := sha256.Sum256([]byte(b.String()))
	s.hash = hex.EncodeToString(sum[:])
	s.Warnings = p.sorted(p.warnings)
	return &s, nil
}

// takeLater takes out the sections that are part of the design but not built
// yet, and says so: whoever writes one should not be told that it is a typo.
func (p *parsing) takeLater() {
	kept := p.root.entries[:0]
	for _, e := range p.root.entries {
		switch e.key {
		case "sla", "localui", "update":
			p.errorf(e.at, "%q is known but not built yet in this version; remove it for now", e.key)
		default:
			kept = append(kept, e)
		}
	}
	p.root.entries = kept
}
