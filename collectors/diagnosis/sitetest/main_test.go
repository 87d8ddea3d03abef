package sitetest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
)

// TestMain: this package's own tests run within the box what starts goroutines.
func TestMain(m *testing.M) {
	Main(m, map[string]func([]string) error{
		"get":  get,
		"hang": func([]string) error { fmt.Println("hanging"); select {} },
	})
}

// get asks for a URL and prints status and body, with the resolver of the box.
func get(args []string) error {
	addrs, err := net.LookupHost("anchor1.lab.test")
	if err != nil {
		return err
	}
	fmt.Println(addrs)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(args[0])
	if err != nil {
		return err
	}
	fmt.Println(resp.StatusCode, resp.Header.Get("Location"))
	return resp.Write(os.Stdout)
}
