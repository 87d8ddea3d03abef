package runbook

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors/statefile"
)

//go:embed cards/*.md
var builtin embed.FS

// maxCards bounds the files of a folder that are read.
const maxCards = 500

// Fallback is the card of whatever has none.
const Fallback = "UNDETERMINED"

// Cards are the cards in force. They do not change and may be used concurrently.
type Cards struct {
	lang  string
	files []layer // the first counts most
}

// layer is a folder's cards, by name and language.
type layer map[id]*page

// id is a card's name and language; a folder's card may have none.
type id struct{ name, lang string }

var (
	cardName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	language = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$`)
)

// ValidLang tells whether lang is a language such as de or pt-BR (RFC 5646, the common
// part of it).
func ValidLang(lang string) bool { return language.MatchString(lang) }

// Problem is a file of the folder that does not count, and why.
type Problem struct {
	File    string
	Message string
}

func (p Problem) String() string { return p.File + ": " + p.Message }

// Open reads the cards of a folder and puts them before the built-in ones. A folder that
// is not there is an empty one. lang is the site's language; empty: English. Whatever is
// wrong is left out and told; there are always cards.
func Open(dir, lang string) (*Cards, []Problem) {
	if !ValidLang(lang) {
		lang = words[0].Lang
	}
	c := &Cards{lang: lang}
	own, problems := readFolder(dir)
	c.files = append(c.files, own, builtins())
	return c, problems
}

// builtins reads the built-in cards, which a test holds to be right.
func builtins() layer {
	out := layer{}
	entries, err := builtin.ReadDir("cards")
	if err != nil {
		return out
	}
	for _, e := range entries {
		data, err := builtin.ReadFile("cards/" + e.Name())
		if err != nil {
			continue
		}
		if p, err := parse(data); err == nil {
			k, _ := idOf(e.Name())
			if k.lang == "" {
				k.lang = words[0].Lang
			}
			out[k] = p
		}
	}
	return out
}

// idOf reads NAME.md or NAME.LANG.md.
func idOf(file string) (id, error) {
	name, lang, has := strings.Cut(strings.TrimSuffix(file, ".md"), ".")
	switch {
	case !cardName.MatchString(name):
		return id{}, errors.New("is not called NAME.md or NAME.LANG.md, with a name of letters, digits, - and _")
	case has && !ValidLang(lang):
		return id{}, errors.New("what stands before .md is no language such as de or pt-BR")
	}
	return id{name, lang}, nil
}

func readFolder(dir string) (layer, []Problem) {
	out := layer{}
	if dir == "" {
		return out, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, []Problem{{dir, "cannot be read: " + reason(err)}}
	}
	var problems []Problem
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") || filepath.Ext(e.Name()) != ".md" {
			continue
		}
		if len(out) >= maxCards {
			problems = append(problems, Problem{dir, fmt.Sprintf("has more than %d cards; the rest is left out", maxCards)})
			break
		}
		k, err := idOf(e.Name())
		if err == nil {
			out[k], err = readCard(file)
		}
		if err != nil {
			delete(out, k)
			problems = append(problems, Problem{file, err.Error()})
		}
		if len(problems) >= maxCards {
			break
		}
	}
	return out, problems
}

func readCard(file string) (*page, error) {
	info, err := os.Stat(file) // asked before opening, which would wait at a pipe
	switch {
	case err != nil:
		return nil, errors.New("cannot be read: " + reason(err))
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	}
	data, err := statefile.Read(file, maxFile)
	switch {
	case errors.Is(err, statefile.ErrTooLarge):
		return nil, fmt.Errorf("has more than %d KiB", maxFile>>10)
	case err != nil:
		return nil, errors.New("cannot be read: " + reason(err))
	}
	return parse(data)
}

// reason is an error of package os without the path, which the problem names already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}

// Lang is the language that was asked for.
func (c *Cards) Lang() string { return c.lang }

// In gives the same cards for another language.
func (c *Cards) In(lang string) *Cards {
	if !ValidLang(lang) {
		return c
	}
	return &Cards{lang: lang, files: c.files}
}

// Words are those of the cards' language.
func (c *Cards) Words() *Words { return WordsOf(c.lang) }

// languages are those that count, the first first: de-AT, de, none, en.
func (c *Cards) languages() []string {
	out := []string{c.lang}
	if base, _, more := strings.Cut(c.lang, "-"); more {
		out = append(out, base)
	}
	return append(out, "", words[0].Lang)
}

// find gives the page of a name that counts.
func (c *Cards) find(name string) (p *page, lang string) {
	for _, l := range c.files {
		for _, lang := range c.languages() {
			if p := l[id{name, lang}]; p != nil {
				if lang == "" {
					lang = c.lang
				}
				return p, lang
			}
		}
	}
	return nil, ""
}

// Has tells whether there is a card of that name.
func (c *Cards) Has(name string) bool {
	p, _ := c.find(name)
	return p != nil
}

// Card gives the card of the first name that has one, filled in; the one called
// [Fallback] where none has.
func (c *Cards) Card(v Vars, names ...string) Card {
	for _, name := range append(names, Fallback) {
		if p, lang := c.find(name); p != nil {
			return p.card(name, lang, v, WordsOf(lang))
		}
	}
	return Card{Name: Fallback, Title: Fallback} // a test holds that this does not happen
}

// Names lists the cards there are, sorted.
func (c *Cards) Names() []string {
	var out []string
	for _, l := range c.files {
		for k := range l {
			if !slices.Contains(out, k.name) {
				out = append(out, k.name)
			}
		}
	}
	slices.Sort(out)
	return out
}
