package edit

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

// A Kind is which sort of file pins are written to. The values are the words of write-back-target.
type Kind string

// The kinds of targets.
const (
	PinTarget           Kind = ""
	HelmValuesTarget    Kind = "helmvalues"
	KustomizationTarget Kind = "kustomization"
)

// A Target is a write-back-target, parsed.
type Target struct {
	Kind Kind
	// Path is as written: the file for HelmValuesTarget, the directory for KustomizationTarget, or empty.
	Path string
}

// ParseTarget reads a write-back-target: nothing, helmvalues[:<file>] or kustomization[:<directory>].
func ParseTarget(value string) (Target, error) {
	kind, where, found := strings.Cut(value, ":")
	t := Target{Kind(kind), where}
	switch {
	case value == "":
		return t, nil
	case t.Kind != HelmValuesTarget && t.Kind != KustomizationTarget:
		return Target{}, fmt.Errorf("write-back-target: %q is no target: write helmvalues[:<file>] or kustomization[:<directory>], "+
			"or remove it to use the pin file", clip(value))
	case found && where == "":
		return Target{}, fmt.Errorf("write-back-target: %q: nothing follows the colon: add a path, or remove the colon", clip(value))
	}
	return t, nil
}

// A Result is where a target lies in the repository.
type Result struct {
	// Path is the file, or the directory for KustomizationTarget (see KustomizationFile), relative to the root of the repository.
	Path string
	// OutsideApp is a risk to tell: Argo CD may be told by the annotation manifest-generate-paths to look at the application's
	// own directory only, and then it never renders what is written here.
	OutsideApp bool
}

// Resolve says where a target lies. appPath is that of the source. A path is relative to it, or to the root of the repository if
// it starts with a slash, as in argocd-image-updater; unlike there, it never leaves the repository. Outside of appPath it must be
// allowed by the operator (nil: nothing is). Dot-directories and the files of CI systems are never a target, whatever is allowed:
// who can write there can run programs.
func (t Target) Resolve(app, appPath string, allowed func(path string) bool) (Result, error) {
	base, err := within("", appPath)
	if err != nil {
		return Result{}, fmt.Errorf("the application's path: %w", err)
	}
	var p string
	switch t.Kind {
	case PinTarget:
		if app == "" || strings.ContainsAny(app, `/\`) || unprintable(app) {
			return Result{}, fmt.Errorf("%q is no name of an application", clip(app))
		}
		p = path.Join(base, PinFileName(app))
	default:
		if p, err = t.resolve(base); err != nil {
			return Result{}, fmt.Errorf("write-back-target: %w", err)
		}
	}
	if err := harmless(p, t.Kind); err != nil {
		return Result{}, fmt.Errorf("write-back-target: %w", err)
	}
	r := Result{Path: p, OutsideApp: base != "." && p != base && !strings.HasPrefix(p, base+"/")}
	if r.OutsideApp && (allowed == nil || !allowed(p)) {
		return Result{}, fmt.Errorf("write-back-target: %q lies outside of the application's path %q: "+
			"move it there, or have the operator add it to the targets of the binding", clip(p), clip(base))
	}
	return r, nil
}

func (t Target) resolve(base string) (string, error) {
	where := t.Path
	if where == "" && t.Kind == HelmValuesTarget {
		where = "values.yaml"
	}
	p, err := within(base, where)
	if err == nil && t.Kind == HelmValuesTarget && !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(p)) {
		return "", fmt.Errorf("%q is no values file: its name ends in .yaml, .yml or .json", clip(where))
	}
	return p, err
}

// within joins a path to the base and keeps it in the repository. The result of the root is ".".
func within(base, p string) (string, error) {
	if strings.Contains(p, `\`) || unprintable(p) {
		return "", fmt.Errorf("%q: a path has forward slashes and printable characters only", clip(p))
	}
	joined := path.Join(base, p)
	if strings.HasPrefix(p, "/") {
		joined = path.Clean("." + p)
	}
	joined = path.Join(".", joined)
	if joined == ".." || strings.HasPrefix(joined, "../") {
		return "", fmt.Errorf("%q leads out of the repository: correct it", clip(p))
	}
	if joined == "" {
		joined = "."
	}
	return joined, nil
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

// programs are files that CI systems and build tools run, in lower case, beyond those whose name starts with a dot.
var programs = map[string]bool{
	"jenkinsfile": true, "azure-pipelines.yml": true, "azure-pipelines.yaml": true, "bitbucket-pipelines.yml": true,
	"buildspec.yml": true, "buildspec.yaml": true, "cloudbuild.yaml": true, "cloudbuild.yml": true, "cloudbuild.json": true,
	"appveyor.yml": true, "circle.yml": true, "wercker.yml": true, "codemagic.yaml": true, "screwdriver.yaml": true,
	"taskfile.yml": true, "taskfile.yaml": true, "makefile": true, "dockerfile": true, "skaffold.yaml": true,
	"package.json": true, "docker-compose.yml": true, "docker-compose.yaml": true, "compose.yaml": true, "compose.yml": true,
	"atlantis.yaml": true, "renovate.json": true, "codeowners": true,
}

// harmless refuses dot-directories, dot-files but the pin file itself, and the files of CI systems, in any case and also by
// the short names that Windows gives to Git's directory.
func harmless(p string, kind Kind) error {
	elements := strings.Split(p, "/")
	if kind == PinTarget {
		elements = elements[:len(elements)-1]
	}
	for _, e := range elements {
		if lower := strings.ToLower(e); e != "." && strings.HasPrefix(e, ".") || strings.HasPrefix(lower, "git~") || programs[lower] {
			return fmt.Errorf("%q lies in %q, and dot-directories and the files of CI systems are never written: choose another file",
				clip(p), clip(e))
		}
	}
	return nil
}
