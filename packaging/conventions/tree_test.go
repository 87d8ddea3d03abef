package conventions

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTopLevel: the six folders are the map of the project.
func TestTopLevel(t *testing.T) {
	allowed := strings.Fields("cmd collectors buffer uplink provisioning packaging go.mod go.sum Makefile README.md LICENSE bin")
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
next:
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		for _, a := range allowed {
			if e.Name() == a {
				continue next
			}
		}
		t.Errorf("%s at the top level: it belongs into one of the folders there (README.md says which is for what)", e.Name())
	}
}

// maxLines is far above what a file should have (400 is plenty, 600 a place to
// look): it catches what grew unnoticed.
const maxLines = 800

// TestFileLength keeps files readable in one sitting.
func TestFileLength(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.fset.File(s.file.FileStart).LineCount(); n > maxLines && !s.generated {
			t.Errorf("%s has %d lines (at most %d): split it by what its parts are for", s.name, n, maxLines)
		}
	}
}

// machine matches what is true on one machine only. The expressions are written
// so that they do not match themselves.
var machine = []struct {
	what string
	re   *regexp.Regexp
}{
	{"a path of somebody's machine", regexp.MustCompile(`(^|[^\w.-])/(work|root|home/\w+|Users/\w+)/`)},
	{"a package registry's host", regexp.MustCompile(`\b(proxy|sum)\.golang|\b(deb|security)\.debian|\bgoproxy\.|\bpypi\.org|registry\.npmjs`)},
}

// TestNothingOfAMachine: a clone works anywhere, so no file names a folder or a
// registry that only its author has.
func TestNothingOfAMachine(t *testing.T) {
	eachFile(t, func(rel string) {
		if path.Base(rel) == "go.sum" {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
		if err != nil {
			t.Error(err)
			return
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return // not text
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, m := range machine {
				if m.re.MatchString(line) {
					t.Errorf("%s:%d holds %s", rel, i+1, m.what)
				}
			}
		}
	})
}

// TestMachineExpressions keeps the expressions above from going blind.
func TestMachineExpressions(t *testing.T) {
	matches := func(s string) bool { return machine[0].re.MatchString(s) || machine[1].re.MatchString(s) }
	for _, s := range []string{"cd /wor" + "k/main", `"/roo` + `t/go"`, "/home" + "/ann/x", "https://proxy.gol" + "ang.org", "http://deb.deb" + "ian.org"} {
		if !matches(s) {
			t.Errorf("%q is not found", s)
		}
	}
	for _, s := range []string{"/var/lib/siteprobe/buffer.db", "https://example.com/root/x", "framework/main", "go/packages"} {
		if matches(s) {
			t.Errorf("%q is taken for something of a machine", s)
		}
	}
}
