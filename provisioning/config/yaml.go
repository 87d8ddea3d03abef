package config

import (
	"bytes"
	"cmp"
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of one file. The library's parser takes quadratic time in the number of
// keys side by side and recurses without a limit of its own; with these a file
// made to be slow takes a few seconds at worst. 100,000 tokens are some 5,000
// devices.
const (
	maxFile   = 1 << 20 // bytes
	maxTokens = 100_000
	maxFlow   = 16  // brackets within brackets
	maxIndent = 200 // columns
	maxDashes = 8   // list markers in one line
)

// parse reads one file into r.files[file]'s tree. It returns nil when the file
// holds nothing, or after a problem that leaves no tree to look at.
func parse(r *report, file int, data []byte) (root *node) {
	if len(data) > maxFile {
		r.errorf(pos{file: file}, "is larger than 1 MiB")
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // some editors' byte order mark
	// The library has panicked on odd input before; a daemon that must come up
	// again after a bad edit says so instead.
	defer func() {
		if recover() != nil {
			r.errorf(pos{file: file}, "cannot be read as YAML")
			root = nil
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if !admissible(r, file, tokens) {
		return nil
	}
	tokens = rejoin(r, file, tokens)
	// Keys that are set twice are found below, all of them and with both places.
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, message := pos{file: file}, "it cannot be read"
		var located yaml.Error
		if errors.As(err, &located) {
			message = located.GetMessage()
			if t := located.GetToken(); t != nil {
				at = tokenPos(file, t)
			}
		}
		r.errorf(at, "not valid YAML: %s", plain(message))
		return nil
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return nil
	}
	b := builder{r, file}
	return b.node(tree.Docs[0].Body, pos{file: file, line: 1, column: 1})
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

func tokenPos(file int, t *token.Token) pos {
	if t == nil || t.Position == nil {
		return pos{file: file}
	}
	return pos{file, max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// admissible refuses, before the parser sees them, what a site file may not use
// and what is nested so deeply that it can only be an accident or an attack.
func admissible(r *report, file int, tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		r.errorf(pos{file: file}, "is too long; put a part of it into conf.d")
		return false
	}
	before := len(r.problems)
	refuse := func(t *token.Token, message string) { r.errorf(tokenPos(file, t), "%s", message) }
	content, ended := false, false
	flow, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
			if t.Position.Column > maxIndent && flow == 0 && t.Type != token.CommentType {
				refuse(t, "is indented too deeply")
				return false
			}
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			refuse(t, "anchors (&), aliases (*) and merge keys (<<) are not used in a site file; write the value out")
		case token.TagType:
			refuse(t, "tags (!) are not used in a site file; quote the value if it begins with !")
		case token.DirectiveType:
			refuse(t, "directives (%) are not used in a site file")
		case token.MappingKeyType:
			refuse(t, "keys that begin with ? are not used in a site file; write key: value")
		case token.DocumentHeaderType:
			if content || ended {
				refuse(t, "a second document begins here, but a site file is one; remove the line, or put what follows into conf.d")
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

// builder makes nodes of the library's tree.
type builder struct {
	r    *report
	file int
}

// node converts n; at is where it stands when it has no place of its own, as a
// value that was left out.
func (b builder) node(n ast.Node, at pos) *node {
	if n == nil {
		return &node{at: at}
	}
	if _, ok := n.(*ast.NullNode); !ok {
		at = tokenPos(b.file, n.GetToken())
	}
	out := &node{at: at, kind: scalar}
	switch n := n.(type) {
	case *ast.NullNode:
		out.kind = empty
	case *ast.MappingNode:
		out.kind = mapping
		b.mapping(out, n.Values)
		if !n.IsFlowStyle && len(out.entries) > 0 {
			out.at = out.entries[0].at
		}
	case *ast.MappingValueNode:
		out.kind = mapping
		b.mapping(out, []*ast.MappingValueNode{n})
		out.at = out.entries[0].at
	case *ast.SequenceNode:
		out.kind = list
		for _, item := range n.Values {
			out.items = append(out.items, b.node(item, at))
		}
	case *ast.LiteralNode:
		out.text = n.Value.Value
	case *ast.StringNode:
		out.text = n.Value
		out.plain = n.Token.Type == token.StringType
	default:
		// Numbers, true, .inf: the text decides, as the field knows what it wants.
		t := n.GetToken()
		out.text, out.plain = t.Value, true
		switch t.Type {
		case token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType:
			out.number = true
		case token.BoolType:
			out.boolean = true
		}
	}
	return out
}

func (b builder) mapping(out *node, values []*ast.MappingValueNode) {
	first := make(map[string]pos, len(values))
	for _, v := range values {
		e := entry{at: tokenPos(b.file, v.Key.GetToken())}
		if t := v.Key.GetToken(); t != nil {
			e.key = t.Value
		}
		e.value = b.node(v.Value, e.at)
		if at, twice := first[e.key]; twice {
			b.r.errorf(e.at, "%s is set twice, first at %s", cmp.Or(shown(e), "this key"), b.r.place(at))
			continue
		}
		first[e.key] = e.at
		out.entries = append(out.entries, e)
	}
}
