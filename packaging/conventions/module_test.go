package conventions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/siteprobe/siteprobe"

// root is the module's folder as seen from this package.
const root = "../.."

// skipped are folders in which nobody's source lives.
func skipped(name string) bool {
	return name == "bin" || name == ".git" || name == ".run" || name == ".cache"
}

// eachFile calls f for every file of the module, with its slash-separated path
// from the root.
func eachFile(t *testing.T, f func(rel string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(d.Name()):
			return fs.SkipDir
		case !d.Type().IsRegular(), d.Name() == ".git": // a file where the checkout is a worktree
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err == nil {
			f(filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// source is one parsed Go file.
type source struct {
	name      string // from the root
	dir       string // from the root: what an import of it names after the module
	test      bool
	generated bool
	fset      *token.FileSet
	file      *ast.File
}

// at writes where n stands, for a message.
func (s *source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// imports lists the paths that the file imports.
func (s *source) imports() []string {
	var out []string
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// sources parses every Go file outside testdata.
func sources(t *testing.T) []*source {
	t.Helper()
	var out []*source
	eachFile(t, func(rel string) {
		if !strings.HasSuffix(rel, ".go") || strings.Contains("/"+rel, "/testdata/") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
		if err != nil {
			t.Fatal(err)
		}
		s := &source{name: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), fset: token.NewFileSet()}
		s.file, err = parser.ParseFile(s.fset, rel, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		s.generated = ast.IsGenerated(s.file)
		out = append(out, s)
	})
	if len(out) == 0 {
		t.Fatal("found no source: is the module's root still at " + root + "?")
	}
	return out
}

// under tells whether dir is the folder top or inside it.
func under(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }
