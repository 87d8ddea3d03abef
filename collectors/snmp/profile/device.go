package profile

import (
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp/profile/internal/values"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// device is the old form of metadata: {vendor: cisco}.
func (r *reader) device(n *node) {
	vendor := ""
	r.Keys(n, "device", keys{"vendor": r.SetText(&vendor, "vendor")})
	if vendor != "" && r.part.fields["vendor"] == nil {
		r.field("vendor", []Field{{Value: vendor}})
	}
}

func (r *reader) field(name string, from []Field) {
	if r.part.fields == nil {
		r.part.fields = map[string][]Field{}
	}
	r.part.fields[name] = from
}

// deviceFields are the fields of a device, in the order of the manual.
func deviceFields() []string {
	return []string{"vendor", "model", "serial_number", "os_version", "name", "location",
		"description", "sys_object_id", "version", "product_name", "os_name", "os_hostname", "type"}
}

// metadata takes metadata.device. That of interfaces comes out of IF-MIB for all
// devices alike, so what profiles say of it is known and not needed.
func (r *reader) metadata(n *node) {
	r.Keys(n, "metadata", keys{
		"interface":  nil,
		"ip_address": nil,
		"device": func(n *node) {
			r.Keys(n, "metadata.device", keys{"fields": r.fields, "id_tags": nil})
		},
	})
}

func (r *reader) fields(n *node) {
	known := keys{}
	for _, name := range deviceFields() {
		known[name] = func(n *node) {
			from := r.fieldSources(n)
			if len(from) == 0 {
				return
			}
			if name == "type" {
				r.classOf(n, from)
				return
			}
			r.field(name, from)
		}
	}
	r.Keys(n, "fields", known)
}

// fieldSources takes {symbol: ...}, {symbols: [...]} and {value: ...}; the value
// counts last, so that it can stand in for what a device does not have.
func (r *reader) fieldSources(n *node) (from []Field) {
	value := ""
	one := func(n *node) {
		if f, ok := r.fieldSymbol(n); ok {
			from = append(from, f)
		}
	}
	r.Keys(n, "a field", keys{
		"value":   r.SetText(&value, "value"),
		"symbol":  one,
		"symbols": func(n *node) { r.Items(n, values.MaxList, one) },
	})
	if value != "" {
		from = append(from, Field{Value: value})
	}
	return slices.Clip(from)
}

func (r *reader) fieldSymbol(n *node) (f Field, ok bool) {
	s, ok := r.textSymbol(n)
	if !ok {
		return f, false
	}
	if s.oid == nil {
		r.Errorf(n.At, "has no OID")
		return f, false
	}
	return Field{OID: s.oid, Text: s.text, Extract: s.extract}, true
}

// classOf understands the field "type" where class is not set.
func (r *reader) classOf(n *node, from []Field) {
	if class, ok := classes[from[0].Value]; ok && r.part.class == "" {
		r.part.class = class
	} else if !ok {
		r.Warnf(n.At, "type is left out; class says what a device is")
	}
}

// textSymbol is an object that is read as text: of a tag or of a device's field.
type textSymbol struct {
	name    string
	oid     []byte
	text    TextForm
	extract *Extract
}

// textForms are the words of convert and format that say how octets read.
func textForms() map[string]TextForm {
	return map[string]TextForm{
		"text": Clean, "mac": MAC, "mac_address": MAC, "ip": IP, "ip_address": IP, "hex": Hex,
		"date": Date, "bits": BitNames, "hexle": HexLE, "hexbe": HexBE,
	}
}

// textSymbol takes {OID, name, ...}, or a name or an OID alone.
func (r *reader) textSymbol(n *node) (s textSymbol, ok bool) {
	if n.Kind == yamlfile.Scalar {
		s.name, s.oid, ok = r.bareSymbol(n)
		return s, ok
	}
	var e extractKeys
	ok = r.Keys(n, "a symbol", keys{
		"OID":           r.SetOID(&s.oid),
		"name":          r.SetText(&s.name, "name"),
		"format":        values.Word(&r.Report, &s.text, "format", textForms()),
		"convert":       values.Word(&r.Report, &s.text, "convert", textForms()),
		"extract_value": e.set(&e.value),
		"match_pattern": e.set(&e.pattern),
		"match_value":   e.set(&e.template),
		"MIB":           nil,
	})
	x, fine := r.extract(e)
	s.extract = x
	return s, ok && fine
}

// extractKeys are the keys of a symbol that take a part of its text.
type extractKeys struct{ value, pattern, template *node }

func (extractKeys) set(to **node) func(*node) { return func(n *node) { *to = n } }

// extract makes an Extract of either form: the first group of extract_value, or
// match_value filled from match_pattern. It is nil where neither is set.
func (r *reader) extract(e extractKeys) (x *Extract, ok bool) {
	switch {
	case e.value != nil:
		re, ok := r.Regexp(e.value, "extract_value")
		if !ok {
			return nil, false
		}
		if e.pattern != nil {
			r.Warnf(e.pattern.At, "match_pattern is left out beside extract_value")
		}
		if re.NumSubexp() == 0 {
			return &Extract{Pattern: re, Template: "${0}"}, true
		}
		return &Extract{Pattern: re, Template: "${1}"}, true
	case e.pattern != nil:
		re, ok := r.Regexp(e.pattern, "match_pattern")
		if !ok {
			return nil, false
		}
		if e.template == nil {
			return &Extract{Pattern: re, Template: "${0}"}, true
		}
		t, ok := r.Template(e.template, "match_value", re)
		return &Extract{Pattern: re, Template: t}, ok
	case e.template != nil:
		r.Warnf(e.template.At, "match_value is left out: there is no match_pattern")
	}
	return nil, true
}
