package exporter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// Bounds of the file and of one module. The largest generated files have 4 MB. How long
// reading may take is bounded by package yamlfile.
const (
	maxFile    = 16 << 20 // bytes
	maxModule  = 4 << 20
	maxTokens  = 400_000
	maxMetrics = 8192
)

// Load reads one module. The profile is nil when there is no such module, or when
// the file cannot be read. Its Origin is the file.
func Load(file, module string) (*profile.Profile, []profile.Problem) {
	data, err := readFile(file)
	if err != nil {
		return nil, []profile.Problem{{File: file, Message: "cannot be read: " + err.Error()}}
	}
	return Parse(file, data, module)
}

func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(file)
	}
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// Parse reads one module from memory. The name is what messages call the file.
func Parse(file string, data []byte, module string) (*profile.Profile, []profile.Problem) {
	r := &reader{Report: values.Report{File: file}, profile: &profile.Profile{Name: module, Origin: file}}
	n, ok := r.module(data, module)
	if !ok {
		return nil, r.All()
	}
	r.read(n)
	return r.profile, r.All()
}

// reader reads one module.
type reader struct {
	values.Report
	profile *profile.Profile
	walk    [][]byte
	get     [][]byte
	tables  map[string]int // by what rows and labels they have
}

// module finds the node of a module. A file has dozens, so only the lines of that
// one are read as YAML; where the file is not laid out in lines, all of it.
func (r *reader) module(data []byte, name string) (*yamlfile.Node, bool) {
	if len(data) > maxFile {
		r.Errorf(yamlfile.Place{}, "is larger than %d MiB", maxFile>>20)
		return nil, false
	}
	part, names := cut(string(data), name)
	if part.text == "" {
		if len(names) > 0 {
			hint := "it has " + strings.Join(names[:min(len(names), 20)], ", ")
			if near := yamlfile.Nearest(name, names); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			r.Errorf(yamlfile.Place{}, "has no module %q; %s", values.Clip(name), hint)
			return nil, false
		}
		part.text = string(data)
	}
	root, problems := yamlfile.Parse([]byte(part.text), yamlfile.Limits{Bytes: maxModule, Tokens: maxTokens, What: "an snmp.yml"})
	shift(root, part.line)
	for _, p := range problems {
		if p.At.Line > 0 {
			p.At.Line += part.line
		}
		r.Errorf(p.At, "%s", p.Message)
	}
	n := root.Get(name)
	if n == nil {
		n = root.Get("modules").Get(name)
	}
	if n == nil && len(problems) == 0 {
		r.Errorf(yamlfile.Place{}, "has no module %q", values.Clip(name))
	}
	return n, n != nil
}

// shift moves nodes down by some lines: to where they stand in the whole file.
func shift(n *yamlfile.Node, lines int) {
	if n == nil || lines == 0 {
		return
	}
	n.At.Line += lines
	for _, i := range n.Items {
		shift(i, lines)
	}
	for i := range n.Entries {
		n.Entries[i].At.Line += lines
		shift(n.Entries[i].Value, lines)
	}
}

// lines are some of a file.
type lines struct {
	text string
	line int // how many come before them
}

// cut finds the lines of one module, and the names of all. The names are none where
// the file is not laid out as the generator does it.
func cut(text, module string) (part lines, names []string) {
	deep := -1 // how far modules are indented; -1: not known yet
	within := false
	var b strings.Builder
	number := -1
	for line := range strings.Lines(text) {
		number++
		trimmed := strings.TrimLeft(line, " ")
		if content := strings.TrimRight(trimmed, "\r\n"); content == "" || content[0] == '#' || content == "---" {
			if within {
				b.WriteString(line)
			}
			continue
		}
		indent := len(line) - len(trimmed)
		key, isKey := keyOf(trimmed)
		switch {
		case indent == 0 && isKey && (key == "modules" || key == "auths"):
			deep, within = -1, false
			if key == "auths" {
				deep = -2 // until modules
			}
			continue
		case deep == -1 && isKey:
			deep = indent
		case deep == -2:
			continue
		}
		if indent <= deep {
			within = isKey && indent == deep && key == module && part.text == "" && b.Len() == 0
			if isKey && indent == deep {
				names = append(names, key)
			}
			if within {
				part.line = number
			}
		}
		if within {
			b.WriteString(line)
		}
	}
	part.text = b.String()
	return part, names
}

// keyOf gives the key of a line that holds only one.
func keyOf(s string) (string, bool) {
	s = strings.TrimRight(s, " \r\n")
	key, ok := strings.CutSuffix(s, ":")
	if !ok || key == "" || strings.ContainsAny(key, " {}[],#&*!|>") || strings.HasPrefix(key, "-") {
		return "", false
	}
	return strings.Trim(key, `"'`), true
}
