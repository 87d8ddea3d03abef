// Package walkfile reads what a device once said, out of a file: what net-snmp's
// snmpwalk printed with numbers (-On, whatever -O says of values), or a .snmprec
// recording of snmpsim's. It serves to try a profile without the device.
//
//	vars, problems, err := walkfile.Read(file)
//
// A file is a stranger's: what cannot be understood is left out and told of, up to
// the bounds of this package.
package walkfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Bounds of a file.
const (
	maxLine      = 1 << 20
	maxVariables = 1 << 20
	maxProblems  = 20
)

// Read reads a walk or a recording. The variables come in order, each identifier
// once: the first counts. problems name lines that were left out. The error is that
// of a file without any variable, or of reading it.
func Read(r io.Reader) (vars []pdu.Varbind, problems []string, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	p := &parser{}
	for n := 1; s.Scan(); n++ {
		p.line(n, strings.TrimRight(s.Text(), "\r"))
		if len(p.vars) > maxVariables {
			return nil, nil, fmt.Errorf("it has more than %d variables", maxVariables)
		}
	}
	p.end()
	if err := s.Err(); err != nil {
		return nil, p.problems, fmt.Errorf("reading a walk: %w", err)
	}
	if len(p.vars) == 0 {
		return nil, p.problems, errors.New("it holds no variables: what `snmpwalk -On` prints, or a .snmprec file, is wanted")
	}
	slices.SortStableFunc(p.vars, func(a, b pdu.Varbind) int { return pdu.Compare(a.OID, b.OID) })
	return slices.CompactFunc(p.vars, func(a, b pdu.Varbind) bool { return pdu.Compare(a.OID, b.OID) == 0 }), p.problems, nil
}

// parser reads line by line; a value of a walk may go over several.
type parser struct {
	vars     []pdu.Varbind
	problems []string

	at    int // the line that the value began in; 0: there is none
	oid   []byte
	value string
}

func (p *parser) problem(n int, text string) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, fmt.Sprintf("line %d: %s", n, text))
	}
}

func (p *parser) line(n int, line string) {
	if oid, tag, value, ok := recorded(line); ok {
		p.end()
		v, err := recordedValue(tag, value)
		b, known := pdu.AppendOID(nil, oid)
		switch {
		case !known:
			p.problem(n, fmt.Sprintf("%q is no identifier", collectors.Clip(oid, 64)))
		case err != nil:
			p.problem(n, err.Error())
		default:
			v.OID = b
			p.vars = append(p.vars, v)
		}
		return
	}
	if name, value, ok := strings.Cut(line, " ="); ok {
		if oid, known := walked(name); known {
			p.end()
			p.at, p.oid, p.value = n, oid, strings.TrimPrefix(value, " ")
			return
		}
	}
	switch {
	case p.at > 0 && goesOn(p.value) && len(p.value) < maxLine:
		p.value += "\n" + line
	case strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#"):
		p.problem(n, fmt.Sprintf("%q is neither a line of a walk nor of a recording", collectors.Clip(line, 40)))
	}
}

// goesOn tells whether a value may have another line.
func goesOn(value string) bool {
	for _, kind := range []string{"STRING:", "Hex-STRING:", "BITS:", "OPAQUE:", "Opaque:", `"`} {
		if strings.HasPrefix(value, kind) {
			return true
		}
	}
	return false
}

// walked reads the identifier of a line of a walk: ".1.3.6" or "iso.3.6".
func walked(name string) ([]byte, bool) {
	if rest, ok := strings.CutPrefix(name, "iso."); ok {
		name = "1." + rest
	}
	return pdu.AppendOID(nil, name)
}

// end takes the value over that has come to its end.
func (p *parser) end() {
	if p.at == 0 {
		return
	}
	v, err := walkedValue(p.value)
	switch {
	case errors.Is(err, errAbsent):
	case err != nil:
		p.problem(p.at, err.Error())
	default:
		v.OID = p.oid
		p.vars = append(p.vars, v)
	}
	p.at = 0
}
