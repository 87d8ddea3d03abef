package main

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// openKeys gives the keys as they are pressed, and a function that gives the
// terminal back as it was. Without a terminal, or in its background, there are no
// keys.
func openKeys(in *os.File, out *screen) (keys <-chan byte, restore func(), err error) {
	if in == nil || !out.terminal || !term.IsTerminal(int(in.Fd())) || !foreground(int(in.Fd())) {
		return nil, func() {}, nil
	}
	// Opened anew, so that a read can be broken off by closing it, and whoever else
	// holds the standard input does not find it nonblocking.
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return nil, func() {}, nil // a terminal, but not ours to control
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		tty.Close()
		return nil, nil, fmt.Errorf("the terminal: %w", err)
	}
	out.setRaw(true)

	pressed := make(chan byte)
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 1)
		for {
			if n, err := tty.Read(b); err != nil || n == 0 {
				return
			}
			select {
			case pressed <- b[0]:
			case <-done:
				return
			}
		}
	})
	return pressed, func() {
		close(done)
		tty.Close()
		reading.Wait()
		_ = term.Restore(int(in.Fd()), before) // the terminal may be gone
		out.setRaw(false)
	}, nil
}

// foreground tells whether this process may change the terminal; one in the
// background would be stopped if it tried.
func foreground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
