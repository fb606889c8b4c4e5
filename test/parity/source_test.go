package parity

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/yaml"
)

type (
	source    = v1alpha1.ApplicationSource
	parameter = v1alpha1.ApplicationSourcePluginParameter
)

// viaTagpin is the application with a native source, moved to tagpin: each field becomes the parameter of its name.
func viaTagpin(native source) (source, error) {
	kind, spec := "helm", any(native.Helm)
	if native.Kustomize != nil {
		kind, spec = "kustomize", native.Kustomize
	}
	fields, err := untyped(spec)
	if err != nil {
		return source{}, err
	}
	plugin := &v1alpha1.ApplicationSourcePlugin{Name: "tagpin"}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if kind == "helm" && name == "parameters" {
			plugin.Parameters = append(plugin.Parameters, forced(native.Helm.Parameters)...)
		}
		value, err := asParameter(name, fields[name])
		if err != nil {
			return source{}, err
		}
		value.Name = kind + "." + name
		plugin.Parameters = append(plugin.Parameters, value)
	}
	return source{Path: native.Path, Plugin: plugin}, nil
}

func untyped(spec any) (map[string]any, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	return fields, json.Unmarshal(data, &fields)
}

// forced lists the parameters with forceString: a parameter's map has no room for it.
func forced(parameters []v1alpha1.HelmParameter) []parameter {
	var names []string
	for _, p := range parameters {
		if p.ForceString {
			names = append(names, p.Name)
		}
	}
	if names == nil {
		return nil
	}
	return []parameter{{Name: "helm.forceString", OptionalArray: &v1alpha1.OptionalArray{Array: names}}}
}

func asParameter(name string, value any) (parameter, error) {
	text := func(s string) (parameter, error) { return parameter{String_: &s}, nil }
	switch v := value.(type) {
	case string:
		return text(v)
	case bool:
		return text(strconv.FormatBool(v))
	case map[string]any:
		if name == "valuesObject" {
			return asYAML(v)
		}
		return asMap(v), nil
	case []any:
		switch name {
		case "patches":
			return asYAML(v)
		case "parameters", "fileParameters", "replicas":
			return asMap(pairs(v)), nil
		}
		return asArray(v), nil
	}
	return parameter{}, fmt.Errorf("no parameter for %s: %v", name, value)
}

func asYAML(v any) (parameter, error) {
	data, err := yaml.Marshal(v)
	text := string(data)
	return parameter{String_: &text}, err
}

func asMap(m map[string]any) parameter {
	out := map[string]string{}
	for k, v := range m {
		out[k] = fmt.Sprint(v)
	}
	return parameter{OptionalMap: &v1alpha1.OptionalMap{Map: out}}
}

func asArray(list []any) parameter {
	var out []string
	for _, v := range list {
		out = append(out, fmt.Sprint(v))
	}
	return parameter{OptionalArray: &v1alpha1.OptionalArray{Array: out}}
}

// pairs makes a map of a list of names with a value, path or count.
func pairs(list []any) map[string]any {
	out := map[string]any{}
	for _, entry := range list {
		e, _ := entry.(map[string]any)
		name, _ := e["name"].(string)
		for key, v := range e {
			if key == "value" || key == "path" || key == "count" {
				out[name] = v
			}
		}
		if _, known := out[name]; !known {
			out[name] = ""
		}
	}
	return out
}
