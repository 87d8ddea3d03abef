package receive

import (
	"errors"
	"net"
	"strconv"
)

// Systemd as an address to listen at is the socket that systemd hands over.
const Systemd = "systemd"

// ValidListen tells what is wrong with an address to listen at: host:port, :port or
// [Systemd]. Empty is fine: nothing is received.
func ValidListen(s string) error {
	if s == "" || s == Systemd {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("listen: must be :port for all addresses of the box, address:port, or systemd for a socket that systemd hands over")
	}
	if host != "" && net.ParseIP(host) == nil {
		return errors.New("listen: must be an address of this box, or nothing before the colon for all of them")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("listen: its port must be a number from 1 to 65535")
	}
	return nil
}
