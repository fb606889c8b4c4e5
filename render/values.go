package render

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// userValues merges what Argo CD gives to Helm on its command line: value files in their order, then valuesObject or values,
// then parameters, those with forceString, and files as parameters. Each wins over those before it.
func userValues(t *tree, dir string, r *Request) (map[string]any, error) {
	vals := map[string]any{}
	files, err := valueFiles(t, dir, r)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		data, err := valueFile(t, dir, "helm.valueFiles", file)
		if errors.Is(err, fs.ErrNotExist) && r.Helm.IgnoreMissingValueFiles {
			continue
		}
		if err != nil {
			return nil, err
		}
		if vals, err = mergeYAML(vals, data, file.raw); err != nil {
			return nil, err
		}
	}
	inline, field := r.Helm.ValuesObject, "helm.valuesObject"
	if inline == "" {
		inline, field = r.Helm.Values, "helm.values"
	}
	if vals, err = mergeYAML(vals, []byte(inline), field); err != nil {
		return nil, err
	}
	if err := setParameters(vals, r); err != nil {
		return nil, err
	}
	return vals, setFileParameters(t, dir, vals, r)
}

// A reference is a path as the user wrote it and after substitution.
type reference struct{ raw, path string }

func (r *Request) substituted(raw string) reference {
	ref := reference{raw: raw, path: r.substitute(raw)}
	if m := otherSource.FindStringSubmatch(raw); m != nil {
		if _, known := r.variable(m[1]); !known {
			ref.path = ""
		}
	}
	return ref
}

// otherSource is how a multi-source Application names the files of a source with `ref`.
var otherSource = regexp.MustCompile(`^\$([A-Za-z0-9_-]+)(/|$)`)

func valueFile(t *tree, dir, field string, ref reference) ([]byte, error) {
	if ref.path == "" && ref.raw != "" {
		return nil, fmt.Errorf("%s: %q: Argo CD gives a plugin only its own source, not those with a ref: "+
			"keep the file in this repository", field, ref.raw)
	}
	if isURL(ref.path) {
		return remoteFile(t, field, ref.path)
	}
	name, err := join(dir, ref.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %q %w", field, ref.raw, err)
	}
	data, err := t.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %q: %w: correct its name%s", field, name, err, ignoreHint(field))
	case err != nil:
		return nil, fmt.Errorf("%s: %q %w", field, ref.raw, err)
	}
	return data, nil
}

// remoteFile is what was fetched from a URL; nothing, when it has to be fetched yet.
func remoteFile(t *tree, field, url string) ([]byte, error) {
	scheme, _, _ := strings.Cut(url, ":")
	if scheme = strings.ToLower(scheme); scheme != "https" && scheme != "http" {
		return nil, fmt.Errorf("%s: files are read from https and http, not from %q: correct the URL", field, scheme)
	}
	file, ok := t.fetch(Need{Kind: FileNeed, URL: url})
	if !ok {
		return nil, nil
	}
	data, err := readFetched(file, maxFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", field, Bare(url), err)
	}
	return data, nil
}

func ignoreHint(field string) string {
	if field == "helm.valueFiles" {
		return ", or set helm.ignoreMissingValueFiles"
	}
	return ""
}

func mergeYAML(base map[string]any, data []byte, name string) (map[string]any, error) {
	next := map[string]any{}
	if err := yaml.Unmarshal(data, &next); err != nil {
		return nil, fmt.Errorf("parsing %s: %w", name, errors.New(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")))
	}
	return merged(base, next), nil
}

// merged lays b over a: maps are merged, everything else is replaced. A null stays: it deletes a chart's default later.
func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for k, v := range b {
		below, isMap := out[k].(map[string]any)
		if above, ok := v.(map[string]any); ok && isMap {
			v = merged(below, above)
		}
		out[k] = v
	}
	return out
}

// setParameters applies --set and then --set-string, in the order of their names: Argo CD's is that of a Go map.
func setParameters(vals map[string]any, r *Request) error {
	for _, name := range r.Helm.ForceString {
		if _, ok := r.Helm.Parameters[name]; !ok {
			return fmt.Errorf("helm.parameters: %q is to be a string, but there is no parameter of that name", name)
		}
	}
	names := slices.Sorted(maps.Keys(r.Helm.Parameters))
	isString := func(name string) bool { return slices.Contains(r.Helm.ForceString, name) }
	forced := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !isString(n) })
	plain := slices.DeleteFunc(names, isString)
	for _, set := range []struct {
		names []string
		parse func(string, map[string]any) error
	}{{plain, strvals.ParseInto}, {forced, strvals.ParseIntoString}} {
		for _, name := range set.names {
			value := escapeCommas(r.substitute(r.Helm.Parameters[name]))
			if err := set.parse(name+"="+value, vals); err != nil {
				return fmt.Errorf("helm.parameters: setting %q: %w", name, err)
			}
		}
	}
	return nil
}

func setFileParameters(t *tree, dir string, vals map[string]any, r *Request) error {
	for _, name := range slices.Sorted(maps.Keys(r.Helm.FileParameters)) {
		data, err := valueFile(t, dir, "helm.fileParameters", r.substituted(r.Helm.FileParameters[name]))
		if err != nil {
			return err
		}
		content := func([]rune) (any, error) { return string(data), nil }
		if err := strvals.ParseIntoFile(name+"=file", vals, content); err != nil {
			return fmt.Errorf("helm.fileParameters: setting %q: %w", name, err)
		}
	}
	return nil
}

// escapeCommas makes a value one value for Helm's --set, unless it is a list in braces.
func escapeCommas(s string) string {
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
		return s
	}
	var out strings.Builder
	var last rune
	for _, c := range s {
		if c == ',' && last != '\\' {
			out.WriteByte('\\')
		}
		out.WriteRune(c)
		last = c
	}
	return out.String()
}
