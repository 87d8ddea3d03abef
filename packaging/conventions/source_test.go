package conventions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// TestPackageDocs: the package comment is the manual of its folder.
func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			documented[s.dir] = documented[s.dir] || s.file.Doc != nil
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment: begin one file with what the package is for and how it is used", dir)
		}
	}
}

// TestExportedDocs: an exported function or type says what it promises.
func TestExportedDocs(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.generated {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() && d.Doc == nil {
					t.Errorf("%s: %s is exported and has no comment", s.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if spec, ok := spec.(*ast.TypeSpec); ok && spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						t.Errorf("%s: type %s is exported and has no comment", s.at(spec), spec.Name.Name)
					}
				}
			}
		}
	}
}

// TestNoInit: what a program is made of stands in its main, not in the order in
// which packages happen to be linked.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init: let the caller do it, visibly, as cmd/siteprobe's jobs.go lists every collector", s.at(f))
			}
		}
	}
}

// TestNoSleep: a test that sleeps is slow where it passes and fails where the
// machine is slower than its author's. Within a bubble of testing/synctest time is
// fake, so sleeping there costs nothing and is exact.
func TestNoSleep(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isSelector(call.Fun, "synctest", "Test") {
				return false
			}
			if isSelector(n, "time", "Sleep") {
				t.Errorf("%s: time.Sleep in a test: wait for the thing itself (a channel, a poll with a deadline), or use testing/synctest", s.at(n))
			}
			return true
		})
	}
}

func isSelector(n ast.Node, pkg string, names ...string) bool {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || x.Name != pkg {
		return false
	}
	for _, name := range names {
		if sel.Sel.Name == name {
			return true
		}
	}
	return len(names) == 0
}

// TestNoChangingGlobals finds package variables that something assigns to, and
// those whose type exists to be changed. Tables and errors that are only read
// are fine. It goes by names, so a local variable hides a global of its name.
func TestNoChangingGlobals(t *testing.T) {
	globals := map[string]map[string]bool{} // dir -> names
	all := sources(t)
	for _, s := range all {
		if s.test || s.generated {
			continue
		}
		if globals[s.dir] == nil {
			globals[s.dir] = map[string]bool{}
		}
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				spec := spec.(*ast.ValueSpec)
				for _, name := range spec.Names {
					globals[s.dir][name.Name] = name.Name != "_"
				}
				if isSelector(spec.Type, "sync", "Map", "Mutex", "RWMutex", "Once") || isSelector(spec.Type, "atomic") {
					t.Errorf("%s: a package variable that is there to be changed: make it a field of what owns it, so that two of them can live in one process", s.at(spec))
				}
			}
		}
	}
	for _, s := range all {
		if s.generated {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				for _, n := range assigned(f) {
					if globals[s.dir][n.Name] {
						t.Errorf("%s: %s changes the package variable %s: make it a field of what owns it", s.at(n), f.Name.Name, n.Name)
					}
				}
			}
		}
	}
}

// assigned lists the variables that f assigns to (or to a part of) and does not
// declare itself.
func assigned(f *ast.FuncDecl) []*ast.Ident {
	local := map[string]bool{}
	declare := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok {
			local[id.Name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					declare(e)
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				declare(n.Key)
				declare(n.Value)
			}
		}
		return true
	})
	var out []*ast.Ident
	target := func(e ast.Expr) {
		if id := base(e); id != nil && !local[id.Name] {
			out = append(out, id)
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					target(e)
				}
			}
		case *ast.IncDecStmt:
			target(n.X)
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
				target(n.Args[0])
			}
		}
		return true
	})
	return out
}

// base is the variable that an assignment's left side is a part of.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// TestAssigned keeps TestNoChangingGlobals from going blind.
func TestAssigned(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
func f(arg int) {
	local, table := 1, map[string]int{}
	var other int
	local, other, arg = 2, 3, 4
	table["a"]++
	for i := range 3 { i++ }
	seen["a"] = true
	count++
	delete(cache, "a")
	(*state).field[0].x = 1
}`, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, id := range assigned(file.Decls[0].(*ast.FuncDecl)) {
		got = append(got, id.Name)
	}
	if want := []string{"seen", "count", "cache", "state"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
