package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSecret bounds a secret's file, in bytes.
const maxSecret = 4 << 10

// unread stands in for a secret that is not looked up. It is long enough for the
// shortest password that SNMPv3 allows.
const unread = "this secret was not read"

// resolver finds the secrets that the site file refers to.
type resolver struct {
	getenv func(string) (string, bool)
	skip   bool // check the references, but look nothing up
}

// secret resolves the reference n. Nothing of n is repeated in a message: the
// place says which one it is, and what stands there may be the secret itself.
func (d *decoder) secret(n *node, path string) string {
	const how = "write where it is: {file: /etc/siteprobe/NAME}, {env: NAME} or {systemd: NAME}"
	switch {
	case n.kind == scalar:
		d.errorAt(n, path, "a secret must not stand in the site file; %s", how)
		return ""
	case n.kind != mapping || len(n.entries) != 1:
		d.errorAt(n, path, "must be one reference to a secret; %s", how)
		return ""
	}
	var find func(*node) (string, error)
	e := n.entries[0]
	switch e.key {
	case "file":
		find = d.fileSecret
	case "env":
		find = d.envSecret
	case "systemd":
		find = d.systemdSecret
	case "sealed":
		d.errorAt(n, path, "sealed secrets come with provisioning, which is not built yet in this version; use file, env or systemd")
		return ""
	default:
		d.errorAt(n, path, "is no reference to a secret; %s", how)
		return ""
	}
	path = join(path, e.key)
	if !d.want(e.value, scalar, path, "a single name") {
		return ""
	}
	text, err := find(e.value)
	if err != nil {
		d.errorAt(e.value, path, "%v", err)
	}
	return text
}

// envSecret reads an environment variable.
func (d *decoder) envSecret(n *node) (string, error) {
	if n.text == "" || strings.ContainsAny(n.text, "= \t\r\n\x00") {
		return "", errors.New("must be the name of an environment variable")
	}
	if d.secrets.skip {
		return unread, nil
	}
	value, ok := d.secrets.getenv(n.text)
	if !ok {
		return "", errors.New("no environment variable of this name is set")
	}
	return oneLine(value)
}

// systemdSecret reads a credential that the service manager has handed over.
func (d *decoder) systemdSecret(n *node) (string, error) {
	if !name.MatchString(n.text) || strings.Trim(n.text, ".") == "" {
		return "", errors.New("must be the name of a systemd credential")
	}
	if d.secrets.skip {
		return unread, nil
	}
	dir, ok := d.secrets.getenv("CREDENTIALS_DIRECTORY")
	if !ok {
		return "", errors.New("this process was not given systemd credentials; name it in the unit (LoadCredential=), or run the check as the service does")
	}
	text, _, err := readSecret(filepath.Join(dir, n.text))
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("the unit hands over no credential of this name (LoadCredential=)")
	}
	return text, explain(err)
}

// fileSecret reads a file, and warns when everybody can.
func (d *decoder) fileSecret(n *node) (string, error) {
	if !filepath.IsAbs(n.text) || strings.ContainsRune(n.text, 0) {
		return "", errors.New("must be the absolute path of the secret's file")
	}
	if d.secrets.skip {
		return unread, nil
	}
	text, mode, err := readSecret(n.text)
	if err == nil && mode&0o004 != 0 {
		d.warnf(n.at, "everybody on this machine can read this secret's file; chmod o-r it")
	}
	return text, explain(err)
}

// Errors of readSecret and oneLine. They hold neither path nor content.
var (
	errNotRegular = errors.New("is not a regular file")
	errTooLarge   = errors.New("is larger than 4 KiB, too large for a secret")
	errEmpty      = errors.New("is there but empty")
	errLines      = errors.New("has more than one line")
)

func readSecret(path string) (string, fs.FileMode, error) {
	// Asked before opening, which would wait at a pipe.
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, errNotRegular
	}
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", 0, err
	}
	if len(data) > maxSecret {
		return "", 0, errTooLarge
	}
	text, err := oneLine(string(data))
	return text, info.Mode(), err
}

// oneLine takes the newline off that editors put at a file's end.
func oneLine(s string) (string, error) {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
	switch {
	case s == "":
		return "", errEmpty
	case strings.ContainsAny(s, "\n\r\x00"):
		return "", errLines
	}
	return s, nil
}

// explain says what is wrong with a secret's file without naming it: errors of
// package os hold the path.
func explain(err error) error {
	switch {
	case err == nil || errors.Is(err, errNotRegular) || errors.Is(err, errTooLarge) || errors.Is(err, errEmpty) || errors.Is(err, errLines):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("the user this program runs as may not read this file")
	}
	return errors.New("this file cannot be read")
}
