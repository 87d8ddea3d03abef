package config

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/sla"
)

// decoder fills Go values from nodes. A struct's keys are its fields' yaml tags;
// what a node does not mention keeps its value, which is the default.
type decoder struct {
	*report
	secrets resolver
}

// decode fills v from n. The path names n in messages.
func (d *decoder) decode(n *node, v reflect.Value, path string) {
	switch v.Interface().(type) {
	case Profile:
		if n.kind == scalar { // a name alone
			v = v.FieldByName("Name")
		}
	case discovery.Policy:
		if n.kind == scalar { // ask or auto
			v = v.FieldByName("Mode")
		}
	case sla.Hours:
		if n.kind == scalar { // 24x7, or one line
			n = &node{kind: list, at: n.at, items: []*node{n}}
		}
	case collectors.Secret:
		v.SetString(d.secret(n, path))
		return
	case time.Duration:
		decodeText(d, n, v, path, "a duration such as 30s, 5m or 35d", parseDuration)
		return
	case buffer.Bytes:
		decodeText(d, n, v, path, "a size such as 512MiB or 2GiB", parseBytes)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if n.kind != empty {
			v.Set(reflect.New(v.Type().Elem()))
			d.decode(n, v.Elem(), path)
		}
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Map:
		d.decodeMap(n, v, path)
	case reflect.Slice:
		d.decodeList(n, v, path)
	case reflect.String:
		decodeText(d, n, v, path, "a text", parseString)
	case reflect.Bool:
		decodeText(d, n, v, path, "true or false", parseBool)
	case reflect.Float64:
		decodeText(d, n, v, path, "a number", parseFloat)
	case reflect.Int:
		decodeText(d, n, v, path, "a whole number", parseInt)
	default:
		// A field of a type that nobody has taught this decoder; a test walks all
		// types of the site file, so no user meets this.
		d.errorAt(n, path, "cannot be set in a site file (%s)", v.Type())
	}
}

// want reports a node of the wrong kind. Nothing at all counts as an empty list
// or mapping: a section whose lines are all comments is no mistake.
func (d *decoder) want(n *node, k kind, path, what string) bool {
	switch n.kind {
	case k:
		return true
	case empty:
		if k == scalar {
			d.errorAt(n, path, "has no value; write one, or leave the key out")
		}
	default:
		d.errorAt(n, path, "must be %s, not %s", what, n.kind)
	}
	return false
}

func (d *decoder) decodeStruct(n *node, v reflect.Value, path string) {
	if !d.want(n, mapping, path, "keys with values") {
		return
	}
	fields, known := fieldsOf(v.Type())
	for _, e := range n.entries {
		if i, ok := fields[e.key]; ok {
			d.decode(e.value, v.Field(i), join(path, e.key))
			continue
		}
		d.unknown(e, known, path)
		d.mark(n) // what seems to be missing now may be what this key was meant to be
	}
}

// unknown reports a key that nothing knows, with what was probably meant.
func (d *decoder) unknown(e entry, known []string, path string) {
	if path != "" {
		path += ": "
	}
	suggestion := d.hint(e.key, known)
	if suggestion == "" {
		suggestion = "; known here: " + strings.Join(known, ", ")
	}
	key := "unknown key"
	if s := shown(e); s != "" {
		key += " " + s
	}
	d.errorf(e.at, "%s%s%s", path, key, suggestion)
}

// fieldsOf maps the keys of a struct to its fields, and lists them in order.
func fieldsOf(t reflect.Type) (index map[string]int, keys []string) {
	index = make(map[string]int, t.NumField())
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		index[key] = i
		keys = append(keys, key)
	}
	return index, keys
}

func (d *decoder) decodeMap(n *node, v reflect.Value, path string) {
	if !d.want(n, mapping, path, "keys with values") {
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.entries))
	for _, e := range n.entries {
		value := reflect.New(v.Type().Elem()).Elem()
		inner := path
		if word.MatchString(e.key) {
			inner = join(path, e.key)
		}
		d.decode(e.value, value, inner)
		out.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), value)
	}
	v.Set(out)
}

func (d *decoder) decodeList(n *node, v reflect.Value, path string) {
	if !d.want(n, list, path, "a list, such as [a, b]") {
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.decode(item, out.Index(i), itemPath(path, item, i))
	}
	v.Set(out)
}

// itemPath names an item of a list by its name where it has one: devices[gw].
func itemPath(path string, item *node, i int) string {
	if n := item.get("name"); n != nil && name.MatchString(n.text) {
		return path + "[" + n.text + "]"
	}
	return path + "[" + strconv.Itoa(i+1) + ". item]"
}

// decodeText fills v from a scalar by way of parse, whose error says what is
// wrong with the text without repeating it.
func decodeText[T any](d *decoder, n *node, v reflect.Value, path, what string, parse func(*node) (T, error)) {
	if !d.want(n, scalar, path, what) {
		return
	}
	x, err := parse(n)
	if err != nil {
		d.errorAt(n, path, "%v", err)
		return
	}
	v.Set(reflect.ValueOf(x).Convert(v.Type()))
}

// placed reports err, which a worker's Validate found in the section n, where it
// stands: such an error begins with the keys that lead to it ("tls: cert and key
// go together"). Joined errors are reported one by one.
func (d *decoder) placed(n *node, path string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			d.placed(n, path, err)
		}
		return
	}
	message := err.Error()
	for {
		key, rest, ok := strings.Cut(message, ": ")
		if !ok || !word.MatchString(key) {
			break
		}
		path, message = join(path, key), rest
		inner := n.get(key)
		if inner == nil { // it says what is missing
			break
		}
		n = inner
	}
	for _, i := range n.items { // of a list, it may say which item is meant
		if strings.HasPrefix(message, strconv.Quote(i.text)+": ") {
			n = i
			break
		}
	}
	d.errorAt(n, path, "%s", message)
}
