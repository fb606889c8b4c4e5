package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A checker is a struct with rules that span its fields.
type checker interface{ check() error }

// decodeYAML sets what data says in the struct that into points to. It walks YAML nodes rather than use yaml.Unmarshal, for
// errors that people can act on: all at once, each with its line and the nearest known key, and none with a Go type.
func decodeYAML(name string, data []byte, into any) error {
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF): // nothing but comments
		return nil
	case err != nil:
		return syntaxError(name, err)
	}
	d := &decoder{name: name}
	d.value(doc.Content[0], reflect.ValueOf(into).Elem(), "")
	switch err := dec.Decode(&more); {
	case err == nil:
		d.fail(&more, "a second document: write one only")
	case !errors.Is(err, io.EOF):
		return syntaxError(name, err)
	}
	return errors.Join(d.errs...)
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

func syntaxError(name string, err error) error {
	text := err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: not YAML: %s", name, m[1], strings.TrimPrefix(text, m[0]))
	}
	return fmt.Errorf("%s: not YAML: %s", name, strings.TrimPrefix(text, "yaml: "))
}

type decoder struct {
	name string
	errs []error
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s:%d: %w", d.name, n.Line, fmt.Errorf(format, args...)))
}

// value decodes n into v; at is v's key for errors, empty at the top.
func (d *decoder) value(n *yaml.Node, v reflect.Value, at string) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.fail(n, "%sanchors and aliases are not read here: write the value out", prefix(at))
		return
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if d.scalar(n, at, "text") {
			if err := text.UnmarshalText([]byte(n.Value)); err != nil {
				d.fail(n, "%s%w", prefix(at), err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, at)
	case reflect.Slice:
		d.sequence(n, v, at)
	case reflect.Int, reflect.Int64:
		d.number(n, v, at)
	default:
		d.fail(n, "%sno way to read a %s (a bug in tagpin)", prefix(at), v.Kind())
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, at string) {
	if empty(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%swant keys with values, got %s", prefix(at), describe(n))
		return
	}
	fields, names := fieldsOf(v)
	before := len(d.errs)
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field, known := fields[key.Value]
		switch line, repeated := seen[key.Value], seen[key.Value] > 0; {
		case key.Kind != yaml.ScalarNode || key.Anchor != "":
			d.fail(key, "%swant a plain key, got %s", prefix(at), describe(key))
		case repeated:
			d.fail(key, "%skey %q stands in line %d already", prefix(at), key.Value, line)
		case !known:
			d.fail(key, "%sunknown key %q%s; known here: %s",
				prefix(at), clip(key.Value), nearest(key.Value, names), strings.Join(names, ", "))
		default:
			d.value(value, field, key.Value)
		}
		seen[key.Value] = key.Line
	}
	if c, ok := v.Interface().(checker); ok && len(d.errs) == before {
		if err := c.check(); err != nil {
			d.fail(n, "%s%w", prefix(at), err)
		}
	}
}

func fieldsOf(v reflect.Value) (map[string]reflect.Value, []string) {
	fields, names := map[string]reflect.Value{}, []string{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		fields[name] = v.Field(i)
		names = append(names, name)
	}
	return fields, names
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, at string) {
	if empty(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "%swant a list, got %s", prefix(at), describe(n))
		return
	}
	items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		if empty(item) {
			d.fail(item, "%sentry %d is empty", prefix(at), i+1)
			continue
		}
		d.value(item, items.Index(i), at)
	}
	v.Set(items)
}

// number decodes whole numbers, and durations in Go's notation.
func (d *decoder) number(n *yaml.Node, v reflect.Value, at string) {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		if !d.scalar(n, at, "a duration") {
			return
		}
		t, err := time.ParseDuration(n.Value)
		if err != nil {
			d.fail(n, "%s%q is not a duration: write it like 45s or 1m30s", prefix(at), clip(n.Value))
			return
		}
		v.SetInt(int64(t))
		return
	}
	i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
		d.fail(n, "%swant a whole number, got %s", prefix(at), describe(n))
		return
	}
	v.SetInt(i)
}

// scalar says whether n is one plain value, and reports it otherwise.
func (d *decoder) scalar(n *yaml.Node, at, want string) bool {
	ok := n.Kind == yaml.ScalarNode && (n.Tag == "!!str" || n.Tag == "!!int" || n.Tag == "!!float")
	if !ok {
		d.fail(n, "%swant %s, got %s", prefix(at), want, describe(n))
	}
	return ok
}

func empty(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys with values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case empty(n):
		return "nothing"
	}
	return strconv.Quote(clip(n.Value))
}

func prefix(at string) string {
	if at == "" {
		return ""
	}
	return at + ": "
}
