package config

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Binding allows a credential to be used for the URLs below one prefix. What it lists narrows it: an application must
// match one entry of each list that isn't empty.
type Binding struct {
	// Credential may be empty for what is fetched for a render, which anybody may read: see Kind.fetched.
	Credential Credential `yaml:"credential,omitempty"`
	Kind       Kind       `yaml:"kind"`
	// URL is compared parsed: scheme, host and port must be equal, and its path segments begin the other's.
	URL URL `yaml:"url"`
	// Name is what charts call a chart repository by: @name, or alias:name.
	Name RepositoryName `yaml:"name,omitempty"`
	// Projects are AppProjects. Argo CD before v3.0 doesn't tell plugins the project: there a binding with Projects never applies.
	Projects []Glob `yaml:"projects,omitempty"`
	// Applications are names as ARGOCD_APP_NAME gives them: app, or ns_app outside Argo CD's namespace.
	Applications []Glob `yaml:"applications,omitempty"`
	// Repositories are URL prefixes of the repository that the application is rendered from. Paths and Branches are those
	// of its source.
	Repositories []URL  `yaml:"repositories,omitempty"`
	Paths        []Glob `yaml:"paths,omitempty"`
	Branches     []Glob `yaml:"branches,omitempty"`
	// Targets are files outside of the application's path (or directories, for kustomizations) that its pins may be written to.
	// Unlike the other lists an empty one allows nothing.
	Targets []Glob `yaml:"targets,omitempty"`
}

func (b Binding) check() error {
	var missing []string
	if b.Credential == (Credential{}) && !b.Kind.fetched() {
		missing = append(missing, "credential")
	}
	if b.Kind == "" {
		missing = append(missing, "kind")
	}
	if b.URL.IsZero() {
		missing = append(missing, "url")
	}
	if len(missing) > 0 {
		return fmt.Errorf("this binding lacks %s", strings.Join(missing, " and "))
	}
	if b.Name != "" && b.Kind != Chart {
		return errors.New("only a chart repository has a name")
	}
	if len(b.Targets) > 0 && b.Kind != Git {
		return errors.New("targets are what is written in a repository: only a binding of kind git has them")
	}
	return nil
}

// An App is who wants to use a credential. What isn't known is empty, and matches no list.
type App struct{ Name, Project, RepoURL, Path, Branch string }

// A Use is one credential wanted for one URL.
type Use struct {
	Credential string // a reference as ParseCredential reads it
	Kind       Kind
	URL        string // as ParseURL reads it
	App        App
	// Target is what is to be written outside of the application's path; empty where nothing is.
	Target string
}

// An UnboundError says that no binding allows a use, and shows the lines that would. Credential is empty where none was named. It tells nothing of other bindings but
// which of this use's own parts is not covered.
type UnboundError struct {
	App, Credential, URL string
	Kind                 Kind
	// Differs lists the parts that the nearest binding of this credential doesn't cover; empty when it has no binding.
	Differs []string
	// Add is the YAML to add to the settings.
	Add string
	// NoProject is true when a binding wasn't considered because Argo CD didn't tell the project.
	NoProject bool
}

func (e *UnboundError) Error() string {
	if e.Credential == "" {
		return e.unbound()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "application %q may not use %s for the %s %s: ", e.App, e.Credential, e.Kind.opens(), e.URL)
	if len(e.Differs) == 0 {
		b.WriteString("the operator's settings have no binding for this credential")
	} else {
		fmt.Fprintf(&b, "the operator's settings bind this credential, but for another %s", strings.Join(e.Differs, ", "))
	}
	if e.NoProject {
		b.WriteString(projectUnknown)
	}
	fmt.Fprintf(&b, "; an operator can allow it in tagpin.yaml:\n%s", e.Add)
	return b.String()
}

// Bound returns the first binding that allows the use. The error is an *UnboundError when none does, and another one when
// the credential or the URL can't be parsed.
func (s Settings) Bound(use Use) (Binding, error) {
	credential, err := parseBindable(use.Credential)
	if err != nil {
		return Binding{}, fmt.Errorf("application %q: %w", clip(use.App.Name), err)
	}
	target, err := ParseURL(use.URL)
	if err != nil {
		return Binding{}, fmt.Errorf("application %q, %s: %w", clip(use.App.Name), credential, err)
	}
	w := wanted{use: use, credential: credential, target: target}
	var nearest []string
	noProject := false
	for _, b := range s.Bindings {
		if !b.Credential.covers(credential) {
			continue
		}
		differs := w.differs(b)
		if len(differs) == 0 {
			return b, nil
		}
		if nearest == nil || len(differs) < len(nearest) {
			nearest = differs
		}
		noProject = noProject || (len(b.Projects) > 0 && use.App.Project == "")
	}
	return Binding{}, &UnboundError{
		App: clip(use.App.Name), Credential: credential.String(), Kind: use.Kind, URL: target.String(),
		Differs: nearest, NoProject: noProject, Add: w.lines(),
	}
}

// wanted is a parsed Use.
type wanted struct {
	use        Use
	credential Credential
	target     URL
}

// differs lists the parts in which b doesn't cover the use.
func (w wanted) differs(b Binding) []string {
	app := w.use.App
	var parts []string
	for _, part := range []struct {
		name string
		ok   bool
	}{
		{"kind", b.Kind == w.use.Kind},
		{"url", b.URL.covers(w.target, b.Kind)},
		{"project", allows(b.Projects, app.Project)},
		{"application", allows(b.Applications, app.Name)},
		{"repository", allowsRepository(b.Repositories, app.RepoURL)},
		{"path", len(b.Paths) == 0 || allowsPath(b.Paths, app.Path)},
		{"target", w.use.Target == "" || allowsPath(b.Targets, w.use.Target)},
		{"branch", allows(b.Branches, strings.TrimPrefix(app.Branch, "refs/heads/"))},
	} {
		if !part.ok {
			parts = append(parts, part.name)
		}
	}
	return parts
}

func allows(globs []Glob, name string) bool {
	return len(globs) == 0 || (name != "" && matchAny(globs, name))
}

// allowsPath compares paths as Argo CD writes them: relative to the repository's root, which is ".".
func allowsPath(globs []Glob, p string) bool {
	p = path.Clean(p)
	return p != ".." && !strings.HasPrefix(p, "../") && !path.IsAbs(p) && matchAny(globs, p)
}

func allowsRepository(prefixes []URL, repository string) bool {
	if len(prefixes) == 0 {
		return true
	}
	u, err := ParseURL(repository)
	if err != nil {
		return false
	}
	for _, p := range prefixes {
		if p.covers(u, Git) {
			return true
		}
	}
	return false
}

// lines is the narrowest binding that allows the use by project or, where that isn't known, by application.
func (w wanted) lines() string {
	b := Binding{Credential: w.credential, Kind: w.use.Kind, URL: w.target}
	switch app := w.use.App; {
	case app.Project != "":
		b.Projects = []Glob{literal(app.Project)}
	case app.Name != "":
		b.Applications = []Glob{literal(app.Name)}
	}
	if w.use.Target != "" {
		b.Targets = []Glob{literal(w.use.Target)}
	}
	out, err := yaml.Marshal(map[string][]Binding{"bindings": {b}})
	if err != nil {
		return errors.New("bindings: see docs/operator-settings.md").Error()
	}
	return string(out)
}
