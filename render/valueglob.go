package render

import (
	"fmt"
	"net/url"
	"strings"
)

// valueFiles puts the files that match in the place of each pattern in helm.valueFiles, in the order in which Argo CD 3.5 has
// them: those that are listed by their names stay where they are, and one that matches two patterns counts at the first.
func valueFiles(t *tree, dir string, r *Request) ([]reference, error) {
	placed := namedFiles(dir, r)
	var out []reference
	for _, raw := range r.Helm.ValueFiles {
		ref := r.substituted(raw)
		if !isPattern(ref.path) {
			out = append(out, ref)
			continue
		}
		found, err := matching(t, dir, ref)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 && !r.Helm.IgnoreMissingValueFiles {
			return nil, fmt.Errorf("helm.valueFiles: no file matches %q: correct the pattern%s", raw, ignoreHint("helm.valueFiles"))
		}
		for _, name := range found {
			if !placed[name] {
				placed[name] = true
				out = append(out, reference{raw: name, path: "/" + name})
			}
		}
	}
	return out, nil
}

// namedFiles are those that are no patterns, by names from the repository's root.
func namedFiles(dir string, r *Request) map[string]bool {
	named := map[string]bool{}
	for _, raw := range r.Helm.ValueFiles {
		ref := r.substituted(raw)
		if name, err := join(dir, ref.path); err == nil && !isPattern(ref.path) {
			named[name] = true
		}
	}
	return named
}

func isPattern(path string) bool { return strings.ContainsAny(path, "*?[") && !isURL(path) }

func isURL(path string) bool {
	u, err := url.Parse(path)
	return err == nil && u.Scheme != ""
}

// matching lists what matches, by names from the repository's root. What leads out of the repository fails when it is read.
func matching(t *tree, dir string, ref reference) ([]string, error) {
	pattern, err := join(dir, ref.path)
	if err != nil {
		return nil, fmt.Errorf("helm.valueFiles: %q %w", ref.raw, err)
	}
	found, err := t.deepGlob(pattern)
	if err != nil {
		return nil, fmt.Errorf("helm.valueFiles: %q is no pattern: write *, ?, [abc] or ** as in logs/**/*.yaml", ref.raw)
	}
	return found, nil
}
