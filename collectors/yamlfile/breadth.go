package yamlfile

import "github.com/goccy/go-yaml/token"

// breadth counts the keys of each block mapping, before the parser sees them.
type breadth struct {
	open []level // the mappings that a key may belong to, outermost first
	last *token.Token
	flow int // brackets
}

type level struct{ column, keys int }

// next takes a token and returns the key that is one too many, or nil. Columns tell
// which one a key is of: all deeper ones have ended, and a list's marker ends those of
// the item before.
func (b *breadth) next(t *token.Token) (tooMany *token.Token) {
	last := b.last
	b.last = t
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		b.flow++
	case token.SequenceEndType, token.MappingEndType:
		b.flow--
	case token.SequenceEntryType:
		if b.flow == 0 {
			b.end(t.Position.Column)
		}
	case token.MappingValueType:
		if b.flow != 0 || last == nil {
			return nil
		}
		column := last.Position.Column
		b.end(column)
		if n := len(b.open); n == 0 || b.open[n-1].column != column {
			b.open = append(b.open, level{column: column})
		}
		at := &b.open[len(b.open)-1]
		if at.keys++; at.keys > maxKeys {
			return last
		}
	}
	return nil
}

// end forgets the mappings that are deeper than a column.
func (b *breadth) end(column int) {
	for n := len(b.open); n > 0 && b.open[n-1].column > column; n-- {
		b.open = b.open[:n-1]
	}
}
