package sitetest

import (
	"fmt"
	"io"
	"os"
	"testing"
)

// roleVariable names the role in the environment of a process in the box.
const roleVariable = "SITEPROBE_LAB_ROLE"

// Main is a TestMain for tests that run their own program within the box: roles are
// what it can be started as by [Box.Role]. A role's error goes to stderr, exit code 1.
func Main(m *testing.M, roles map[string]func(args []string) error) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	run, ok := roles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "sitetest: no role %q\n", role)
		os.Exit(2)
	}
	go func() {
		// The other end is closed by the test's end.
		_, _ = io.Copy(io.Discard, os.NewFile(3, "alive"))
		os.Exit(1)
	}()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
