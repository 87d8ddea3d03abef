package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of the shape. The library's parser takes quadratic time in the number of
// keys side by side and recurses without a limit of its own; with these a file made to
// be slow takes a second for each 100,000 tokens at worst. Nothing that people or
// snmp_exporter's generator write comes near: its longest mappings are the names of some
// hundred values.
const (
	maxKeys   = 2000 // of one mapping in lines
	maxFlow   = 16   // brackets within brackets
	maxIndent = 200  // columns
	maxDashes = 8    // list markers in one line
)

// reader collects what is wrong with one file.
type reader struct {
	Limits
	problems []Problem
}

func (r *reader) errorf(at Place, format string, args ...any) {
	r.problems = append(r.problems, Problem{at, fmt.Sprintf(format, args...)})
}

// Parse reads one file. The node is nil when the file holds nothing, or after a
// problem that leaves nothing to look at.
func Parse(data []byte, l Limits) (root *Node, problems []Problem) {
	r := &reader{Limits: l}
	root = r.parse(data)
	return root, r.problems
}

func (r *reader) parse(data []byte) (root *Node) {
	if len(data) > r.Bytes {
		r.errorf(Place{}, "is larger than %d MiB", max(r.Bytes>>20, 1))
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // some editors' byte order mark
	// The library has panicked on odd input before; a daemon that must come up
	// again after a bad edit says so instead.
	defer func() {
		if recover() != nil {
			r.errorf(Place{}, "cannot be read as YAML")
			root = nil
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if !r.admissible(tokens) {
		return nil
	}
	tokens = r.rejoin(tokens)
	// Keys that are set twice are the reader's to find, all of them and with both
	// places.
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, message := Place{}, "it cannot be read"
		var located yaml.Error
		if errors.As(err, &located) {
			message = located.GetMessage()
			if t := located.GetToken(); t != nil {
				at = place(t)
			}
		}
		r.errorf(at, "not valid YAML: %s", plain(message))
		return nil
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return nil
	}
	return build(tree.Docs[0].Body, Place{1, 1})
}

// plain says in other words what technicians run into most.
func plain(message string) string {
	switch {
	case strings.Contains(message, "tab character"), strings.Contains(message, "'\t'"):
		return "a tab; indent with spaces"
	case message == "non-map value is specified":
		return "no key and value; a colon and a space go between them"
	case message == "value is not allowed in this context":
		return "does not belong here; is it indented like its neighbours?"
	}
	return message
}

func place(t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{}
	}
	return Place{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// admissible refuses, before the parser sees them, what such a file may not use
// and what is nested so deeply that it can only be an accident or an attack.
func (r *reader) admissible(tokens token.Tokens) bool {
	if len(tokens) > r.Tokens {
		r.errorf(Place{}, "is too long%s", r.rest("; put a part of it into "))
		return false
	}
	before := len(r.problems)
	refuse := func(t *token.Token, message string) { r.errorf(place(t), "%s", message) }
	content, ended := false, false
	var keys breadth
	flow, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
			if t.Position.Column > maxIndent && flow == 0 && t.Type != token.CommentType {
				refuse(t, "is indented too deeply")
				return false
			}
		}
		if key := keys.next(t); key != nil {
			refuse(key, "is one of too many keys side by side; the most are "+strconv.Itoa(maxKeys))
			return false
		}
		if message := r.refused(t.Type); message != "" {
			refuse(t, message)
		}
		switch t.Type {
		case token.DocumentHeaderType:
			if content || ended {
				refuse(t, "a second document begins here, but "+r.What+" is one; remove the line"+r.rest(", or put what follows into "))
				return false
			}
			content = true
		case token.DocumentEndType:
			ended = true
		case token.SequenceStartType, token.MappingStartType:
			if flow++; flow > maxFlow {
				refuse(t, "is nested too deeply")
				return false
			}
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			if dashes++; dashes > maxDashes {
				refuse(t, "is nested too deeply")
				return false
			}
		}
		if t.Type != token.CommentType {
			content = true
		}
	}
	return len(r.problems) == before
}

func (r *reader) rest(before string) string {
	if r.Rest == "" {
		return ""
	}
	return before + r.Rest
}

// refused says why a kind of token may not stand in such a file, or nothing.
func (r *reader) refused(t token.Type) string {
	switch t {
	case token.AnchorType, token.AliasType, token.MergeKeyType:
		return "anchors (&), aliases (*) and merge keys (<<) are not used in " + r.What + "; write the value out"
	case token.TagType:
		return "tags (!) are not used in " + r.What + "; quote the value if it begins with !"
	case token.DirectiveType:
		return "directives (%) are not used in " + r.What
	case token.MappingKeyType:
		return "keys that begin with ? are not used in " + r.What + "; write key: value"
	}
	return ""
}

// build converts n; at is where it stands when it has no place of its own, as a
// value that was left out.
func build(n ast.Node, at Place) *Node {
	if n == nil {
		return &Node{At: at}
	}
	if _, ok := n.(*ast.NullNode); !ok {
		at = place(n.GetToken())
	}
	out := &Node{At: at, Kind: Scalar}
	switch n := n.(type) {
	case *ast.NullNode:
		out.Kind = Empty
	case *ast.MappingNode:
		out.Kind = Mapping
		out.mapping(n.Values)
		if !n.IsFlowStyle && len(out.Entries) > 0 {
			out.At = out.Entries[0].At
		}
	case *ast.MappingValueNode:
		out.Kind = Mapping
		out.mapping([]*ast.MappingValueNode{n})
		out.At = out.Entries[0].At
	case *ast.SequenceNode:
		out.Kind = List
		for _, item := range n.Values {
			out.Items = append(out.Items, build(item, at))
		}
	case *ast.LiteralNode:
		out.Text = n.Value.Value
	case *ast.StringNode:
		out.Text = n.Value
		out.Plain = n.Token.Type == token.StringType
	default:
		// Numbers, true, .inf: the text decides, as the field knows what it wants.
		t := n.GetToken()
		out.Text, out.Plain = t.Value, true
		switch t.Type {
		case token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType:
			out.Number = true
		case token.BoolType:
			out.Boolean = true
		}
	}
	return out
}

func (n *Node) mapping(values []*ast.MappingValueNode) {
	for _, v := range values {
		e := Entry{At: place(v.Key.GetToken())}
		if t := v.Key.GetToken(); t != nil {
			e.Key = t.Value
		}
		e.Value = build(v.Value, e.At)
		n.Entries = append(n.Entries, e)
	}
}
