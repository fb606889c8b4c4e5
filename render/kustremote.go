package render

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// Where what was fetched appears to kustomize: files and inflated charts below the kustomization that names them, since files
// must be there, and bases beside the repository's own directories.
const (
	filesDir = ".tagpin-files"
	basesDir = ".tagpin-bases"
)

// A pathPlace is a place in a kustomization where a path can stand.
type pathPlace struct {
	name string
	// at holds the path, for a file of a generator behind "key=".
	at *string
	// base says that it may be a directory with a kustomization, file that it may be a file; keyed that a key may stand before it.
	base, file, keyed bool
}

// pathPlaces are those of a kustomization, but for generators, transformers and validators.
func pathPlaces(k *types.Kustomization) []pathPlace {
	var out []pathPlace
	list := func(entries []string, f pathPlace) {
		for i := range entries {
			f.at = &entries[i]
			out = append(out, f)
		}
	}
	list(k.Resources, pathPlace{name: "resources", base: true, file: true})
	list(k.Components, pathPlace{name: "components", base: true})
	list(k.Crds, pathPlace{name: "crds", file: true})
	list(k.Configurations, pathPlace{name: "configurations", file: true})
	for i := range k.Patches {
		out = append(out, pathPlace{name: "patches", at: &k.Patches[i].Path, file: true})
	}
	for i := range k.PatchesJson6902 { //nolint:staticcheck // people still use it
		out = append(out, pathPlace{name: "patches", at: &k.PatchesJson6902[i].Path, file: true}) //nolint:staticcheck // people still use it
	}
	for i := range k.PatchesStrategicMerge { //nolint:staticcheck // people still use it
		out = append(out, pathPlace{name: "patches", at: (*string)(&k.PatchesStrategicMerge[i]), file: true}) //nolint:staticcheck // people still use it
	}
	for i := range k.Replacements {
		out = append(out, pathPlace{name: "replacements", at: &k.Replacements[i].Path, file: true})
	}
	for i := range k.ConfigMapGenerator {
		out = append(out, sourcePlaces("configMapGenerator", &k.ConfigMapGenerator[i].KvPairSources)...)
	}
	for i := range k.SecretGenerator {
		out = append(out, sourcePlaces("secretGenerator", &k.SecretGenerator[i].KvPairSources)...)
	}
	return out
}

func sourcePlaces(name string, s *types.KvPairSources) []pathPlace {
	out := []pathPlace{{name: name, at: &s.EnvSource, file: true}}
	for i := range s.EnvSources {
		out = append(out, pathPlace{name: name, at: &s.EnvSources[i], file: true})
	}
	for i := range s.FileSources {
		out = append(out, pathPlace{name: name, at: &s.FileSources[i], file: true, keyed: true})
	}
	return out
}

// bring replaces what is remote in a kustomization of dir by what was fetched for it. It says whether anything was replaced.
func (k *kustFS) bring(dir string, kust *types.Kustomization) (bool, error) {
	changed := false
	fields := pathPlaces(kust)
	schema := kust.OpenAPI["path"]
	fields = append(fields, pathPlace{name: "openapi", at: &schema, file: true})
	for _, f := range fields {
		local, err := k.local(dir, f)
		if err != nil {
			return false, fmt.Errorf("%s: %w", f.name, err)
		}
		if local != "" {
			*f.at, changed = local, true
		}
	}
	if changed && schema != "" {
		kust.OpenAPI["path"] = schema
	}
	return changed, nil
}

// local is the path in place of a remote one, empty for what is not remote. Needs that are not met are noted.
func (k *kustFS) local(dir string, f pathPlace) (string, error) {
	entry, key := *f.at, ""
	if f.keyed {
		if before, after, ok := strings.Cut(entry, "="); ok && !isHTTP(entry) {
			entry, key = after, before+"="
		}
	}
	if _, remote := remoteHost(entry); !remote {
		return "", nil
	}
	need, spec, err := f.need(entry)
	if err != nil {
		return "", fmt.Errorf("%s: %w", Bare(entry), err)
	}
	at, ok := k.tree.fetch(need)
	if !ok {
		return "", nil
	}
	if info, err := os.Stat(at); err == nil && info.IsDir() {
		return k.mountBase(dir, at, spec)
	}
	name, err := k.addFile(dir, entry, at)
	if key == "" && f.keyed {
		key = path.Base(Bare(entry)) + "="
	}
	return key + name, err
}

// need is what an entry wants.
func (f pathPlace) need(entry string) (Need, gitSpec, error) {
	spec, err := parseGitSpec(entry)
	file := f.file && isHTTP(entry)
	switch {
	case file && (!f.base || err != nil):
		return Need{Kind: FileNeed, URL: entry}, spec, nil
	case !f.base:
		return Need{}, spec, fmt.Errorf("only files from https and http can stand here")
	case err != nil:
		return Need{}, spec, err
	case file && !spec.marked:
		return Need{Kind: ResourceNeed, URL: entry, Repository: spec.repository, Ref: spec.ref}, spec, nil
	}
	return Need{Kind: BaseNeed, Repository: spec.repository, Ref: spec.ref}, spec, nil
}

// mountBase shows a fetched tree to kustomize and gives the path of the kustomization in it, relative to dir.
func (k *kustFS) mountBase(dir, from string, spec gitSpec) (string, error) {
	at, err := k.tree.mount(from)
	if err != nil {
		return "", err
	}
	k.origins[at] = Bare(spec.repository)
	target := path.Join(at, spec.dir)
	if !k.tree.isDir(target) {
		return "", fmt.Errorf("%s has no directory %q", Bare(spec.repository), spec.dir)
	}
	return filepath.Rel(dir, target)
}

// addFile shows a fetched file to kustomize, below dir and under the name that its URL ends with.
func (k *kustFS) addFile(dir, url, from string) (string, error) {
	data, err := readFetched(from, maxFile)
	if err != nil {
		return "", fmt.Errorf("%s: %w", Bare(url), err)
	}
	base := path.Base(Bare(url))
	if base == "." || base == "/" {
		base = "file"
	}
	name := path.Join(filesDir, strconv.Itoa(len(k.files)), base)
	k.files[path.Join(dir, name)] = data
	k.origins[path.Join(dir, name)] = Bare(url)
	return name, nil
}

// replace makes kustomize read another kustomization in a file's place.
func (k *kustFS) replace(name string, kust *types.Kustomization) error {
	data, err := yaml.Marshal(kust)
	if err != nil {
		return fmt.Errorf("writing the edited kustomization: %w", err)
	}
	if _, added := k.files[name]; !added {
		if name, err = k.tree.real(name); err != nil {
			return err
		}
	}
	k.files[name] = data
	return nil
}

// contained refuses a kustomization of a base that names something outside of the base's repository.
func contained(dir string, kust *types.Kustomization) error {
	base := mountOf(dir)
	if base == "" {
		return nil
	}
	for _, f := range pathPlaces(kust) {
		entry := *f.at
		if f.keyed {
			entry = withoutKey(entry)
		}
		if strings.Contains(entry, "\n") {
			continue // a patch itself
		}
		name, err := join(dir, entry)
		if err != nil || name != base && !strings.HasPrefix(name, base+"/") {
			return fmt.Errorf("%s: %q leads out of the base's repository", f.name, entry)
		}
	}
	return nil
}

// explain puts the URLs back into an error in place of the names that kustomize saw.
func (k *kustFS) explain(text string) string {
	names := make([]string, 0, len(k.origins))
	for name := range k.origins {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		text = strings.ReplaceAll(text, "/"+name, k.origins[name])
		text = strings.ReplaceAll(text, name, k.origins[name])
	}
	return text
}
