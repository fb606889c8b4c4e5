package engine

import (
	"bytes"
	"encoding/json"
	"strings"
	"text/template"

	"github.com/BurntSushi/toml"
	"sigs.k8s.io/yaml"
	yamlv3 "sigs.k8s.io/yaml/goyaml.v3"
)

// formats are the functions that Helm adds to sprig's, or replaces. What fails says so in its output: by nothing, by an entry
// "Error", or by the error as text.
var formats = template.FuncMap{
	"toYaml":        toYAML,
	"toYamlPretty":  toPrettyYAML,
	"toJson":        toJSON,
	"toToml":        toTOML,
	"fromYaml":      func(text string) map[string]any { return parsedMap(unmarshalYAML, text) },
	"fromYamlArray": func(text string) []any { return parsedList(unmarshalYAML, text) },
	"fromJson":      func(text string) map[string]any { return parsedMap(json.Unmarshal, text) },
	"fromJsonArray": func(text string) []any { return parsedList(json.Unmarshal, text) },
	"fromToml":      func(text string) map[string]any { return parsedMap(toml.Unmarshal, text) },
}

func unmarshalYAML(data []byte, v any) error { return yaml.Unmarshal(data, v) }

func parsedMap(parse func([]byte, any) error, text string) map[string]any {
	m := map[string]any{}
	if err := parse([]byte(text), &m); err != nil {
		m["Error"] = err.Error() // beside what could be read before it
	}
	return m
}

func parsedList(parse func([]byte, any) error, text string) []any {
	list := []any{}
	if err := parse([]byte(text), &list); err != nil {
		return []any{err.Error()}
	}
	return list
}

func toPrettyYAML(v any) string {
	var b bytes.Buffer
	enc := yamlv3.NewEncoder(&b)
	enc.SetIndent(2)
	if enc.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func toJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

func toTOML(v any) string {
	var b strings.Builder
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return err.Error()
	}
	return b.String()
}
