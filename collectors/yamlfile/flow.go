package yamlfile

import (
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// rejoin mends what the library's scanner does to colons within {}: YAML says
// that a colon without a space after it is text, and everywhere else the scanner
// agrees, but {servers: [mqtts://mqtt.msp.example:8883]} becomes a list of a
// mapping with the value 8883. In a list the pieces are joined again. Directly in
// {} such a colon is a problem, as {name:gw} has two readings.
func (r *reader) rejoin(tokens token.Tokens) token.Tokens {
	var out token.Tokens
	var open []token.Type // brackets
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			open = append(open, t.Type)
		case token.SequenceEndType, token.MappingEndType:
			open = open[:max(len(open)-1, 0)]
		case token.MappingValueType:
			if len(open) == 0 || i+1 == len(tokens) || !isText(tokens[i+1]) || !touches(t, tokens[i+1]) {
				break
			}
			before := (*token.Token)(nil)
			if i > 0 && isText(tokens[i-1]) && touches(tokens[i-1], t) {
				before = tokens[i-1]
			}
			switch {
			case open[len(open)-1] == token.SequenceStartType:
				text, at := t.Value+tokens[i+1].Value, t.Position
				if before != nil {
					text, at = before.Value+text, before.Position
					out = out[:len(out)-1]
				}
				t = token.String(text, text, at)
				i++
			case before != nil:
				r.errorf(place(t), "a space must follow this colon")
			}
		}
		out = append(out, t)
	}
	linked := token.Tokens{}
	linked.Add(out...)
	return linked
}

// isText tells whether t is a scalar without quotes.
func isText(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType,
		token.FloatType, token.BoolType, token.NullType, token.InfinityType, token.NanType:
		return true
	}
	return false
}

// touches tells whether b begins where a ends.
func touches(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line && a.Position.Column+utf8.RuneCountInString(a.Value) == b.Position.Column
}
