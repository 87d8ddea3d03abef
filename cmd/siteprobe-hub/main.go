// Command siteprobe-hub is the MSP's receiving end: it stores what the boxes
// send, acknowledges it, and proves what is complete.
//
//	siteprobe-hub run      the hub, with its own broker or beside yours
//	siteprobe-hub verify   what is complete, dropped, pending, lost
//	siteprobe-hub version
//
// Exit codes: 0 fine; 1 the answer is bad news; 2 wrong usage; 3 could not find
// out.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

// exit is an error with an exit code; its text has been shown already where it is
// empty.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// The exit codes.
const (
	badNews = 1
	usage   = 2
	unknown = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:]))
}

func execute(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use: "siteprobe-hub", Short: "Stores what siteprobe boxes send, and proves what is complete",
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	var data string
	root.PersistentFlags().StringVar(&data, "data", "/var/lib/siteprobe-hub", "the folder of the hub's database")
	root.AddCommand(runCommand(&data), verifyCommand(&data), &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "siteprobe-hub", version) },
	})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, "siteprobe-hub:", err)
	}
	var e *exit
	if errors.As(err, &e) {
		return e.code
	}
	return usage
}
