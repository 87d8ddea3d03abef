// Package report writes service levels as one HTML file for whoever pays for them: it
// needs nothing outside of itself, has no script, and prints well on A4, in grey too.
//
// Everything that came from a device, an event or the site file is text in it: the
// template escapes it, control characters are made visible, and a content security
// policy that allows the file's own style sheet and nothing else stands behind that.
package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/siteprobe/siteprobe/collectors/sla"
)

// Report is what a file is made of.
type Report struct {
	Site       string // its name
	Tenant     string // of the MSP
	ISP        string // the line's provider, and with what reference and where it is called
	Circuit    string
	Hotline    string
	Contacts   []Contact // at the site
	Made       time.Time
	Version    string // of siteprobe
	Config     string // the hash of the site file
	Statements []*sla.Statement
}

// Contact is somebody at the site.
type Contact struct{ Name, Phone, Email string }

//go:embed report.html
var page string

//go:embed report.css
var style string

// Write writes the report.
func Write(w io.Writer, r Report) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return fmt.Errorf("reading the report's template: %w", err)
	}
	v := viewOf(&r)
	v.Style = template.CSS(style)
	v.Policy = policy(style)
	if err := t.Execute(w, v); err != nil {
		return fmt.Errorf("filling in the report: %w", err)
	}
	return nil
}

// policy allows the one style sheet that is in the file.
func policy(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}
