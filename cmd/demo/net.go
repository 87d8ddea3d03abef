package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// freePort gives a loopback address whose port is free: the wanted one or, of the
// next few, the first. When all are taken it gives the wanted one, whose user will
// say so.
func freePort(network string, wanted int) string {
	const few = 50
	address := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	for port := wanted; port < wanted+few; port++ {
		if isFree(network, address(port)) {
			return address(port)
		}
	}
	return address(wanted)
}

func port(address string) int {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0 // not one of freePort's
	}
	return int(a.Port())
}

func isFree(network, address string) bool {
	if network == "udp" {
		c, err := net.ListenPacket(network, address)
		return err == nil && c.Close() == nil
	}
	l, err := net.Listen(network, address)
	return err == nil && l.Close() == nil
}

// answersHTTP tells whether a page is served.
func answersHTTP(ctx context.Context, url string) bool {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is here
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	r, err := c.Do(req)
	if err != nil {
		return false
	}
	return r.Body.Close() == nil && r.StatusCode == http.StatusOK
}

// answersTCP tells whether somebody listens.
func answersTCP(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	return err == nil && c.Close() == nil
}
