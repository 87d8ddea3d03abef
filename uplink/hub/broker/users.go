package broker

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// LoadUsers reads a file of users: one "tenant/site:password" a line, empty lines
// and those that begin with # aside. Only its owner may be able to read it.
// Errors name the line, never what is in it.
func LoadUsers(path string) (map[string]collectors.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("reading users: %s has mode %o, others may read it (chmod 600 %s)", path, info.Mode().Perm(), path)
	}
	users, err := parseUsers(f)
	if err != nil {
		return nil, fmt.Errorf("reading users: %s: %w", path, err)
	}
	return users, nil
}

func parseUsers(r io.Reader) (map[string]collectors.Secret, error) {
	users := map[string]collectors.Secret{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		if _, valid := parseIdentity(name); !ok || !valid || password == "" {
			return nil, fmt.Errorf("line %d is not tenant/site:password", n)
		}
		if _, twice := users[name]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", n, name)
		}
		users[name] = collectors.Secret(password)
	}
	return users, lines.Err()
}

// sameSecret compares in a time that tells nothing about either.
func sameSecret(a collectors.Secret, b []byte) bool {
	x, y := sha256.Sum256([]byte(a.Reveal())), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
