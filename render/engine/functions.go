package engine

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// pure is the set, without templates, of all functions that depend on nothing but their arguments.
var pure = sync.OnceValue(func() *template.Template {
	return template.New(rootName).Funcs(pureFunctions())
})

// sprigFunctions must not be changed.
var sprigFunctions = sync.OnceValue(sprig.TxtFuncMap)

// pureFunctions are Helm's: sprig's without those that read the environment, and its own.
func pureFunctions() template.FuncMap {
	f := maps.Clone(sprigFunctions())
	delete(f, "env")
	delete(f, "expandenv")
	maps.Copy(f, formats)
	f["required"] = required
	f["fail"] = func(message string) (string, error) { return "", saying(message) }
	f["lookup"] = func(string, string, string, string) (map[string]any, error) { return map[string]any{}, nil }
	f["getHostByName"] = func(string) string { return "" }
	// Helm's have the order of a Go map, which is another one each time.
	f["keys"], f["values"] = sortedKeys, sortedValues
	// These are known by name to the parser, and replaced for each run.
	f["include"] = func(string, any) (string, error) { return "", errNoRun }
	f["tpl"] = func(string, any) (string, error) { return "", errNoRun }
	return f
}

var errNoRun = errors.New("called outside of a render")

func required(message string, value any) (any, error) {
	if value == nil || value == "" {
		return value, saying(message)
	}
	return value, nil
}

func sortedKeys(dicts ...map[string]any) []string {
	all := []string{}
	for _, d := range dicts {
		all = append(all, slices.Sorted(maps.Keys(d))...)
	}
	return all
}

func sortedValues(d map[string]any) []any {
	all := []any{}
	for _, k := range slices.Sorted(maps.Keys(d)) {
		all = append(all, d[k])
	}
	return all
}

// builtins are the functions of text/template itself, which its parser has to be told.
var builtins = []string{
	"and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf", "println",
	"slice", "urlquery",
}

var functionNames = sync.OnceValue(func() map[string]any {
	names := map[string]any{}
	for name := range pureFunctions() {
		names[name] = true
	}
	for _, name := range builtins {
		names[name] = true
	}
	return names
})
