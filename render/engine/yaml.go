package engine

import (
	"math"
	"strings"
	"unicode/utf8"

	yamlv2 "go.yaml.in/yaml/v2"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"
)

// toYAML prints what Helm's does. That makes JSON of a value, parses the JSON as YAML and prints the result: a third of the
// work of a large chart. For values that come out of this as they went in, it is left out.
func toYAML(v any) string {
	marshal := yaml.Marshal
	if plain, ok := plainValue(v); ok {
		v, marshal = plain, yamlv2.Marshal
	}
	data, err := marshal(v)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

// plainValue is what JSON and YAML would make of a value, if that is easily told.
func plainValue(v any) (any, bool) {
	switch v := v.(type) {
	case nil, bool, int, int64:
		return v, true
	case string:
		return v, plainText(v)
	case float64:
		return plainNumber(v)
	case []any:
		return plainList(v)
	case map[string]any:
		return plainMap(v)
	case chartutil.Values:
		return plainMap(v)
	}
	return nil, false
}

// plainNumber makes a whole number of a float that is one: JSON prints both alike.
func plainNumber(f float64) (any, bool) {
	const exact = 1 << 53
	if f == math.Trunc(f) {
		return int64(f), math.Abs(f) < exact
	}
	return f, !math.IsNaN(f)
}

func plainList(list []any) (any, bool) {
	if list == nil {
		return nil, true
	}
	out := make([]any, len(list))
	for i, v := range list {
		var ok bool
		if out[i], ok = plainValue(v); !ok {
			return nil, false
		}
	}
	return out, true
}

func plainMap(m map[string]any) (any, bool) {
	const (
		longestKey = 128 // YAML has a limit of 1024 characters, and JSON escapes one with up to six
		mergeKey   = "<<"
	)
	if m == nil {
		return nil, true
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		plain, ok := plainValue(v)
		if !ok || k == mergeKey || len(k) > longestKey || !plainText(k) {
			return nil, false
		}
		out[k] = plain
	}
	return out, true
}

// plainText reports whether a string survives: control characters, line separators and what is no UTF-8 may not.
func plainText(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return utf8.ValidString(s) && !strings.ContainsFunc(s, odd)
		case c < ' ' && c != '\n' && c != '\t' || c == 0x7f:
			return false
		}
	}
	return true
}

func odd(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r >= '\ufff0'
}
