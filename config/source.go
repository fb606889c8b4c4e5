package config

import (
	"fmt"
	"strings"
)

// Source returns the binding that allows an application to have something fetched from a URL for a render: use names no
// credential, that of the binding is used, if it has one. Of several that apply the one with the longest path counts, and of
// those the first. The error is an *UnboundError when none applies.
func (s Settings) Source(use Use) (Binding, error) {
	target, err := ParseURL(use.URL)
	if err != nil {
		return Binding{}, fmt.Errorf("application %q: %w", clip(use.App.Name), err)
	}
	w := wanted{use: use, target: target}
	var best *Binding
	noProject := false
	for i, b := range s.Bindings {
		differs := w.differs(b)
		if len(differs) == 1 && differs[0] == "project" && use.App.Project == "" {
			noProject = true
		}
		if len(differs) == 0 && (best == nil || len(b.URL.segments) > len(best.URL.segments)) {
			best = &s.Bindings[i]
		}
	}
	if best == nil {
		return Binding{}, &UnboundError{
			App: clip(use.App.Name), Kind: use.Kind, URL: target.String(), NoProject: noProject, Add: w.lines(),
		}
	}
	return *best, nil
}

// Covers says whether a URL is the binding's or lies below it. A query counts for nothing.
func (b Binding) Covers(url string) bool {
	url, _, _ = strings.Cut(url, "?")
	u, err := ParseURL(url)
	return err == nil && b.URL.covers(u, b.Kind)
}

// ChartRepository returns the URL of the chart repository that an application's charts call by a name.
func (s Settings) ChartRepository(name string, app App) (URL, error) {
	for _, b := range s.Bindings {
		if b.Name == "" || string(b.Name) != name {
			continue
		}
		if w := (wanted{use: Use{Kind: Chart, App: app}, target: b.URL}); len(w.differs(b)) == 0 {
			return b.URL, nil
		}
	}
	return URL{}, fmt.Errorf("application %q: no chart repository is called %q: write its URL in Chart.yaml, or have an operator give "+
		"its binding in tagpin.yaml a name", clip(app.Name), clip(name))
}

// unbound is the text for what would be fetched.
func (e *UnboundError) unbound() string {
	var b strings.Builder
	what := map[Kind]string{Chart: "charts", Base: "a base", File: "a file"}[e.Kind]
	fmt.Fprintf(&b, "application %q may not have %s fetched from %s: the operator's settings have no binding for it", e.App, what, e.URL)
	if e.NoProject {
		b.WriteString(projectUnknown)
	}
	fmt.Fprintf(&b, "; an operator can allow it in tagpin.yaml (add a credential where one is needed):\n%s", e.Add)
	return b.String()
}

const projectUnknown = "; Argo CD before v3.0 doesn't tell plugins the project, so that a binding with projects doesn't apply"
