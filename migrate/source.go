package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A source is the one of the application's sources that the updater writes to.
type source struct {
	node *yaml.Node
	// kind is kindHelm or kindKustomize.
	kind string
	// field is where it stands in the manifest.
	field string
	// observed is what Argo CD found the source to be, when the manifest comes from a cluster.
	observed string
}

const (
	kindHelm      = "helm"
	kindKustomize = "kustomize"
)

func (s *source) revision() string { return text(child(s.node, "targetRevision")) }

// chooseSource follows argocd-image-updater: of several sources it is the first one with a helm or kustomize section, or the
// first one at all.
func chooseSource(app *application, r *report) (*source, error) {
	if child(app.spec, "sourceHydrator") != nil {
		return nil, errors.New("it has a sourceHydrator, which cannot name a plugin in every version of Argo CD: migrate it by hand")
	}
	chosen := &source{node: child(app.spec, "source"), field: "spec.source", observed: strings.ToLower(text(at(app.doc, "status", "sourceType")))}
	if list := child(app.spec, "sources"); list != nil && list.Kind == yaml.SequenceNode && len(list.Content) > 0 {
		chosen.among(list.Content, r)
	}
	if chosen.node == nil || chosen.node.Kind != yaml.MappingNode {
		return nil, errors.New("it has no source")
	}
	if n := child(chosen.node, "directory"); n != nil && len(n.Content) > 0 {
		return nil, fmt.Errorf("%s has a directory section: argocd-image-updater and tagpin write to Helm and kustomize sources only", chosen.field)
	}
	remove(chosen.node, "directory")
	if text(child(chosen.node, "chart")) != "" {
		r.warn(chosen.field+".chart", "a chart from a Helm repository has no Git branch that a choice could be committed to: copy the chart, "+
			"or a chart that depends on it, into a Git repository, or use write-back-method none")
	}
	return chosen, nil
}

// among chooses one of several sources.
func (s *source) among(all []*yaml.Node, r *report) {
	i := slices.IndexFunc(all, rendersImages)
	if i < 0 {
		i = max(0, slices.IndexFunc(all, func(n *yaml.Node) bool { return text(child(n, "path")) != "" }))
	}
	s.node, s.field = all[i], fmt.Sprintf("spec.sources[%d]", i)
	for j, other := range all {
		if j != i && rendersImages(other) {
			r.warn(fmt.Sprintf("spec.sources[%d]", j), "it is not changed: argocd-image-updater writes to the first source with a helm or "+
				"kustomize section only")
		}
	}
}

func rendersImages(n *yaml.Node) bool {
	return child(n, kindHelm) != nil || child(n, kindKustomize) != nil
}

// sourceKind finds out whether the source is rendered with Helm or kustomize: from what the manifest says, from the
// directories, or from what Argo CD found out.
func sourceKind(in Input, s *source, settings []setting) (string, error) {
	switch {
	case in.SourceType == kindHelm || in.SourceType == kindKustomize:
		return in.SourceType, nil
	case in.SourceType != "":
		return "", fmt.Errorf("the type of the source is helm or kustomize, and not %q", in.SourceType)
	case child(s.node, kindHelm) != nil || text(child(s.node, "chart")) != "":
		return kindHelm, nil
	case child(s.node, kindKustomize) != nil:
		return kindKustomize, nil
	}
	for _, set := range settings {
		switch {
		case strings.Contains(set.name, ".helm.image-"), set.name == targetName && strings.HasPrefix(set.value, "helmvalues"):
			return kindHelm, nil
		case strings.HasSuffix(set.name, ".kustomize.image-name"), set.name == targetName && strings.HasPrefix(set.value, "kustomization"):
			return kindKustomize, nil
		}
	}
	return kindFromFiles(in, s)
}

func kindFromFiles(in Input, s *source) (string, error) {
	for _, d := range in.Directories {
		if _, chart := d.Files["Chart.yaml"]; chart {
			return kindHelm, nil
		}
		for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
			if _, there := d.Files[name]; there {
				return kindKustomize, nil
			}
		}
	}
	if s.observed == kindHelm || s.observed == kindKustomize {
		return s.observed, nil
	}
	return "", fmt.Errorf("%s says neither helm nor kustomize: give its directory in a checkout (--source-dir), or its type (--source-type)", s.field)
}
