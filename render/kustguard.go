package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
)

// check looks at a kustomization before kustomize acts on it. What it can't decode is left to kustomize, which decodes it the
// same way and fails with the better message.
func (k *kustFS) check(name string) error {
	if err, done := k.checked[name]; done {
		return err
	}
	data, err := k.content(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var kust types.Kustomization
	if kust.Unmarshal(data) == nil {
		kust.FixKustomization()
		k.ownSchema = k.ownSchema || len(kust.OpenAPI) > 0
		err = k.prepare(name, &kust)
	}
	if needs := (*NeedsError)(nil); err != nil && !errors.As(err, &needs) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	if k.refused == nil {
		k.refused = err
	}
	k.checked[name] = err
	return err
}

// prepare puts what was fetched, and the charts that are inflated, into a kustomization, and makes sure that kustomize fetches
// nothing by itself.
func (k *kustFS) prepare(name string, kust *types.Kustomization) error {
	dir := path.Dir(name)
	if err := contained(dir, kust); err != nil {
		return err
	}
	brought, err := k.bring(dir, kust)
	if err != nil {
		return err
	}
	inflated, err := k.inflateCharts(dir, kust)
	if err != nil {
		return err
	}
	if err := k.tree.unmet(); err != nil {
		return err
	}
	if brought || inflated {
		if err := k.replace(name, kust); err != nil {
			return err
		}
	}
	return k.localOnly(dir, kust)
}

// localOnly refuses a kustomization that makes kustomize fetch something.
func (k *kustFS) localOnly(dir string, kust *types.Kustomization) error {
	schema := kust.OpenAPI["path"]
	for _, place := range append(pathPlaces(kust), pathPlace{name: "openapi", at: &schema}) {
		if host, remote := remoteHost(*place.at); remote {
			return errRemote(place.name, host)
		}
		if host, remote := remoteHost(withoutKey(*place.at)); remote && place.keyed {
			return errRemote(place.name, host)
		}
	}
	for _, entry := range slices.Concat(kust.Resources, kust.Components) {
		if _, err := join(dir, entry); err != nil {
			return fmt.Errorf("%q %w", entry, err)
		}
	}
	for _, plugins := range []struct {
		field   string
		entries []string
	}{{"generators", kust.Generators}, {"transformers", kust.Transformers}, {"validators", kust.Validators}} {
		for _, entry := range plugins.entries {
			if err := k.localPlugin(dir, entry); err != nil {
				return fmt.Errorf("%s: %w", plugins.field, err)
			}
		}
	}
	return nil
}

func errRemote(field, host string) error {
	return fmt.Errorf("%s: remote resources are not supported, and one is on %s: "+
		"keep it in this repository and name its path", field, host)
}

// withoutKey is the path of "[key=]path".
func withoutKey(source string) string {
	if _, file, found := strings.Cut(source, "="); found {
		return file
	}
	return source
}

// remoteHost reports whether kustomize would fetch an entry, by HTTP or by git, and names the host. It takes everything that
// kustomize takes for a URL, and a few more.
func remoteHost(entry string) (string, bool) {
	if u, err := url.Parse(entry); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return hostOf(u.Host), true
	}
	rest := strings.TrimPrefix(strings.ToLower(entry), "git::")
	for _, scheme := range []string{"ssh://", "https://", "http://", "file://", "git://"} {
		if after, ok := strings.CutPrefix(rest, scheme); ok {
			return hostOf(after), true
		}
	}
	if login := gitLogin.FindString(rest); login != "" {
		return hostOf(rest), true
	}
	if strings.HasPrefix(rest, "github.com/") || strings.HasPrefix(rest, "github.com:") || rest != strings.ToLower(entry) {
		return "github.com", true
	}
	return "", false
}

// hostOf is the host at the start of a URL without its scheme; a login before it is dropped, it may hold a password.
func hostOf(s string) string {
	s, _, _ = strings.Cut(s, "/")
	s = s[strings.LastIndex(s, "@")+1:]
	s, _, _ = strings.Cut(s, ":")
	if s == "" {
		return "another host"
	}
	return s
}

// localPlugin looks at an entry of generators, transformers or validators. It is the configuration itself, a file with it, or
// a directory: a kustomization whose output would be the configuration, known only after it ran.
func (k *kustFS) localPlugin(dir, entry string) error {
	if host, remote := remoteHost(entry); remote {
		return errRemote("it", host)
	}
	if err := localPaths([]byte(entry)); err != nil {
		return err
	}
	name, err := join(dir, entry)
	if err != nil {
		return fmt.Errorf("%q %w", entry, err)
	}
	switch {
	case k.tree.isDir(name):
		return fmt.Errorf("%s is a directory, which is not supported here: list the files in it", name)
	case !k.tree.isFile(name):
		return nil
	}
	data, err := k.content(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return localPaths(data)
}

// localPaths refuses the configuration of a plugin that names something remote in any field that can hold a path.
func localPaths(config []byte) error {
	for dec := yaml.NewDecoder(bytes.NewReader(config)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := localNode(&doc, ""); err != nil {
			return err
		}
	}
}

// localNode walks a document; field is the key that leads to n. What an alias stands for is walked where its anchor is.
func localNode(n *yaml.Node, field string) error {
	switch n.Kind {
	case yaml.AliasNode:
		if n.Alias.Kind == yaml.ScalarNode {
			return localScalar(text(n.Alias), field)
		}
		if pathField(field) {
			return fmt.Errorf("%s: an alias is not supported here: write the paths out", field)
		}
		return nil
	case yaml.ScalarNode:
		return localScalar(text(n), field)
	}
	for i, child := range n.Content {
		below := field
		if n.Kind == yaml.MappingNode {
			below = keyOf(n, i)
		}
		if err := localNode(child, below); err != nil {
			return err
		}
	}
	return nil
}

// keyOf is the key of a mapping's value, and empty for the keys themselves: they alternate.
func keyOf(mapping *yaml.Node, i int) string {
	if i%2 == 0 {
		return ""
	}
	return text(mapping.Content[i-1])
}

// text is what a scalar stands for, also as an alias or in base64 (!!binary).
func text(n *yaml.Node) string {
	var s string
	if n.Decode(&s) != nil {
		return n.Value
	}
	return s
}

func localScalar(value, field string) error {
	if !pathField(field) {
		return nil
	}
	for _, source := range []string{value, withoutKey(value)} {
		if host, remote := remoteHost(source); remote {
			return errRemote(field, host)
		}
	}
	return nil
}

// pathField reports whether a field of some built-in plugin holds paths. Letter case does not count, as in kustomize.
func pathField(name string) bool {
	switch strings.ToLower(name) {
	case "path", "paths", "file", "files", "env", "envs", "targetfilepath", "valuesfile", "additionalvaluesfiles", "argsfromfile":
		return true
	}
	return false
}
