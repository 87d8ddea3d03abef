// Package yamlfile reads YAML that a person wrote into nodes that know where they
// stand, within bounds, and without what YAML has that surprises: anchors, aliases,
// merge keys, tags, directives, complex keys and a second document are refused. It
// opens no file. What a key means, and whether it may stand twice, is the reader's.
//
//	root, problems := yamlfile.Parse(data, yamlfile.Limits{Bytes: 1 << 20, Tokens: 100_000, What: "a profile"})
package yamlfile

// Kind of a node.
type Kind uint8

// The kinds.
const (
	Empty  Kind = iota // nothing, ~ or null
	Scalar             // one value
	List
	Mapping
)

func (k Kind) String() string {
	return [...]string{"nothing", "a single value", "a list", "keys with values"}[k]
}

// Place is where something stands in the file.
type Place struct {
	Line   int // from 1; 0 where the file itself is meant
	Column int // from 1, in characters
}

// Node is a value of the file.
type Node struct {
	At      Place
	Kind    Kind
	Text    string // of a scalar, as it is written
	Plain   bool   // a scalar without quotes
	Number  bool   // a plain scalar that YAML takes for a whole number
	Boolean bool   // a plain scalar that YAML takes for true or false
	Items   []*Node
	Entries []Entry // in the file's order; a key may stand twice
}

// Entry is one key of a mapping.
type Entry struct {
	Key   string
	At    Place // of the key
	Value *Node // never nil
}

// Get returns the value of a key, the first where it stands twice, or nil. It is
// nil too for what is no mapping.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Entries {
		if n.Entries[i].Key == key {
			return n.Entries[i].Value
		}
	}
	return nil
}

// Problem is something that keeps a file, or what follows in it, from being read.
// Its message holds no excerpt of the file: that could be a secret.
type Problem struct {
	At      Place
	Message string
}

// Limits bound a file and say what it is in messages.
type Limits struct {
	Bytes  int
	Tokens int
	What   string // "a site file"
	Rest   string // the folder for what is too much, such as "conf.d"; empty: there is none
}
