package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// repository finds the folder of this module, from the current one upward.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("the current folder: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module github.com/siteprobe/siteprobe\n") {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside siteprobe's repository, whose programs this builds: change into it first", dir)
		}
	}
}

// build builds the two programs into the state folder.
func (d *demo) build(ctx context.Context, root string) error {
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "gcc"
	}
	if name := strings.Fields(compiler); len(name) > 0 {
		if _, err := exec.LookPath(name[0]); err != nil {
			return fmt.Errorf("%s is missing, and SQLite is written in C: apt-get install gcc libc6-dev", name[0])
		}
	}
	bin := filepath.Join(d.state, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return fmt.Errorf("building: %w", err)
	}
	note := ""
	if _, err := os.Stat(filepath.Join(bin, "siteprobe")); err != nil {
		note = " (the first time takes a minute or two: SQLite is compiled)"
	}
	d.out.progress("building siteprobe and siteprobe-hub%s …", note)
	start := time.Now()
	// Without -buildvcs=false each commit would link anew, and a checkout of another
	// user's would not build.
	c := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -X main.version=demo", "-o", bin+"/", "./cmd/siteprobe", "./cmd/siteprobe-hub")
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=1")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // so that go removes its temporary files
	c.WaitDelay = 5 * time.Second
	text, err := c.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("go is not in PATH: install Go (go.mod says which), or add its bin folder to PATH")
	case err != nil:
		return fmt.Errorf("the programs do not build (%w):\n%s", err, lastLines(string(text), 20))
	}
	d.out.item("built", "siteprobe and siteprobe-hub, in %s", seconds(time.Since(start)))
	return nil
}

// stateFolder makes the folder where all is kept. It is shown as short as the
// current folder allows.
func stateFolder(root, wanted string) (dir, shown string, err error) {
	if wanted == "" {
		wanted = filepath.Join(root, ".run")
	}
	if dir, err = filepath.Abs(wanted); err != nil {
		return "", "", fmt.Errorf("the state's folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", fmt.Errorf("making the state's folder (--state chooses another): %w", err)
	}
	shown = dir
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, dir); err == nil && filepath.IsLocal(rel) {
			shown = rel
		}
	}
	return dir, shown, nil
}
