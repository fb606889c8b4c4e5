package edit

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	yaml11 "sigs.k8s.io/yaml"
)

// A Write is one value of a values file.
type Write struct {
	// Path is keys separated by dots, with indices in brackets: image.tag, containers[0].image. A key at the top that is spelled
	// like the whole path is found as well ("image.tag": v1).
	Path string
	// Value is a text of one line. It is quoted where a reader could take it for a number, a date or a boolean.
	Value string
}

// SetValue is SetValues for a single value.
func SetValue(data []byte, path, value string) ([]byte, error) {
	return SetValues(data, []Write{{path, value}})
}

// SetValues changes values of a file for Helm, all or none. Nothing but the values that are named may change, nor what other
// keys mean: a value that is shared by an anchor can change only if all that share it are named and get the same text. A value
// that is an alias itself is replaced by its own text, and what it pointed to stays. What is missing is created at the end of
// the deepest mapping that exists. In a file of several documents the one that has the key is changed; Helm 3 reads only the
// first one, so SetHelm refuses others.
func SetValues(data []byte, writes []Write) ([]byte, error) {
	writes, err := inOrder(data, writes)
	if err != nil {
		return nil, err
	}
	out := data
	allowed := map[string]bool{}
	for _, w := range writes {
		out, err = change(out, func(f *file) (*splice, error) {
			p, err := f.find(w.Path)
			if err != nil {
				return nil, err
			}
			allowed[docPrefix(p.doc)+p.path] = true
			if p.value == nil {
				return f.add(p, w.Value)
			}
			return f.set(p, w.Value)
		})
		if err != nil {
			return nil, at(w.Path, err)
		}
	}
	if bytes.Equal(out, data) {
		return data, nil
	}
	if err := onlyChanged(data, out, func(path string) bool { return allowed[path] }); err != nil {
		return nil, at(writes[0].Path, err)
	}
	if err := holds(out, writes); err != nil {
		return nil, err
	}
	return out, nil
}

// at names the value in a refusal that does not.
func at(path string, err error) error {
	if r, ok := err.(*Refusal); ok && r.Path == "" && !strings.HasPrefix(r.Reason, "the file") { //nolint:errorlint // never wrapped here
		return &Refusal{Path: path, Line: r.Line, Reason: "was left as it is: " + r.Reason}
	}
	return err
}

// inOrder checks the writes and puts those first that go to the text itself, so that its aliases need no change any more.
func inOrder(data []byte, writes []Write) ([]Write, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	var direct, aliased []Write
	for i, w := range writes {
		if err := checkValue(w.Path, w.Value); err != nil {
			return nil, err
		}
		if j := slices.IndexFunc(writes[:i], func(o Write) bool { return o.Path == w.Path }); j >= 0 && writes[j] != w {
			return nil, refuse(w.Path, 0, "is the target of two images: give each its own")
		}
		p, err := f.find(w.Path)
		if err != nil {
			return nil, at(w.Path, err)
		}
		if p.alias {
			aliased = append(aliased, w)
		} else {
			direct = append(direct, w)
		}
	}
	return append(direct, aliased...), nil
}

// holds reads the result back.
func holds(data []byte, writes []Write) error {
	for _, w := range writes {
		if got, ok, err := GetValue(data, w.Path); err != nil || !ok || got != w.Value {
			return refuse(w.Path, 0, "cannot be edited in place: write it as a plain key and value on one line")
		}
	}
	return nil
}

// GetValue reads one value of a file for Helm as a template would see it: 1.20 without quotes is the number 1.2. It returns
// false when there is none, or a null.
func GetValue(data []byte, path string) (string, bool, error) {
	f, err := parse(data)
	if err != nil {
		return "", false, err
	}
	p, err := f.find(path)
	if err != nil {
		return "", false, at(path, err)
	}
	n := p.value
	for n == nil && p.merged != nil {
		n = p.merged
		if rest := p.missing[1:]; len(rest) > 0 {
			if p, err = follow(n, rest); err != nil {
				return "", false, at(path, err)
			}
			n = p.value
		}
	}
	if n == nil || isNull(resolved(n)) {
		return "", false, nil
	}
	if n = resolved(n); n.Kind != yaml.ScalarNode {
		return "", false, refuse(path, n.Line, "is %s, no single value: correct the path", kindName(n))
	}
	text, err := seen(n)
	return text, err == nil, err
}

// seen is what a reader of YAML 1.1 makes of a scalar.
func seen(n *yaml.Node) (string, error) {
	if n.Style&(quoted|yaml.TaggedStyle) != 0 {
		return n.Value, nil
	}
	var v any
	if err := yaml11.Unmarshal([]byte(n.Value), &v); err != nil {
		return n.Value, nil //nolint:nilerr // a text that means something only where it stands alone
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	json, err := yaml11.YAMLToJSON([]byte(n.Value))
	return strings.TrimSpace(string(json)), err
}
