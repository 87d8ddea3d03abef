package pdu

import (
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
)

// CleanText makes text for people out of what a device sent: UTF-8 where it is,
// else Latin-1, else hexadecimal. Padding of NULs and blanks goes; so do control
// characters and those that turn the direction of writing, with which a device
// could make a page or a terminal show what is not there. At most
// collectors.MaxText bytes are left.
func CleanText(b []byte) string {
	b = trim(b)
	if len(b) > 4*collectors.MaxText {
		b = b[:4*collectors.MaxText]
		for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
		if len(b) > 0 && b[len(b)-1] >= utf8.RuneSelf {
			b = b[:len(b)-1] // the first byte of a character that was cut
		}
	}
	var s string
	switch {
	case utf8.Valid(b):
		s = string(b)
	default:
		s = latin1(b)
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\t' && r != '\r' && r != '\n' {
			return collectors.Clip("0x"+hex.EncodeToString(b), collectors.MaxText)
		}
	}
	return collectors.Clip(strings.TrimSpace(strings.Map(visible, s)), collectors.MaxText)
}

func trim(b []byte) []byte {
	padding := func(c byte) bool { return c == 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	for len(b) > 0 && padding(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && padding(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func latin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// visible turns a line break into a blank and drops what is not shown.
func visible(r rune) rune {
	switch {
	case r == '\t' || r == '\r' || r == '\n' || r == '\u2028' || r == '\u2029':
		return ' '
	case unicode.Is(unicode.Cf, r) || r == utf8.RuneError:
		return -1
	}
	return r
}

// Text makes text out of whatever a text object holds.
func (v *Varbind) Text() string {
	switch v.Tag {
	case TagOID:
		return collectors.Clip(string(AppendDotted(nil, v.Bytes)), collectors.MaxText)
	case TagOctets, TagOpaque:
		return CleanText(v.Bytes)
	}
	return ""
}
