package plugin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/text"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	jsonpatch "github.com/evanphx/json-patch"
)

const (
	defaultPluginName      = "tagpin"
	defaultArgoCDNamespace = "argocd"
)

// ApplicationOptions say what an Application manifest does not.
type ApplicationOptions struct {
	// Plugin is the name under which Applications call tagpin. Empty: "tagpin".
	Plugin string
	// Source is the name of the source to render where an Application has several that call tagpin.
	Source string
	// Revision is what ARGOCD_APP_REVISION would say: the commit that is rendered. May be empty.
	Revision string
	// KubeVersion and APIVersions are the cluster's.
	KubeVersion string
	APIVersions []string
	// ArgoCDNamespace is Argo CD's own: an Application in another one is called "<ns>_<name>". Empty: "argocd".
	ArgoCDNamespace string
}

// LoadApplication reads an Application manifest (YAML or JSON; other objects beside it are passed over) and gives what the
// repo-server would send for it, given the files of its repository at root.
func LoadApplication(manifest []byte, root string, o ApplicationOptions) (Dir, Request, error) {
	documents, err := kube.SplitYAMLToString(manifest)
	if err != nil {
		return Dir{}, Request{}, fmt.Errorf("parsing the Application: %w", err)
	}
	var found []*v1alpha1.Application
	for _, d := range documents {
		app := &v1alpha1.Application{}
		var kind struct{ Kind, APIVersion string }
		if json.Unmarshal([]byte(d), &kind) != nil || kind.Kind != "Application" || !strings.HasPrefix(kind.APIVersion, "argoproj.io/") {
			continue
		}
		if err := json.Unmarshal([]byte(d), app); err != nil {
			return Dir{}, Request{}, fmt.Errorf("parsing the Application: %w", err)
		}
		found = append(found, app)
	}
	if len(found) != 1 {
		return Dir{}, Request{}, fmt.Errorf("found %d objects of kind Application (argoproj.io) where one is expected", len(found))
	}
	return FromApplication(found[0], root, o)
}

// FromApplication gives what the repo-server would send for an Application, given the files of its repository at root.
func FromApplication(app *v1alpha1.Application, root string, o ApplicationOptions) (Dir, Request, error) {
	dir, req, err := fromApplication(app, root, o)
	if err != nil {
		return Dir{}, Request{}, fmt.Errorf("application %s: %w", app.Name, err)
	}
	return dir, req, nil
}

func fromApplication(app *v1alpha1.Application, root string, o ApplicationOptions) (Dir, Request, error) {
	if app.Name == "" {
		return Dir{}, Request{}, errors.New("metadata.name is not set")
	}
	o.Plugin = cmp.Or(o.Plugin, defaultPluginName)
	name := app.InstanceName(cmp.Or(o.ArgoCDNamespace, defaultArgoCDNamespace))
	source, err := pickSource(app, o)
	if err != nil {
		return Dir{}, Request{}, err
	}
	dir, err := sourceDir(root, source.Path)
	if err != nil {
		return Dir{}, Request{}, err
	}
	if err := mergeOverrides(source, dir, name); err != nil {
		return Dir{}, Request{}, err
	}
	if err := checkSource(source, o.Plugin); err != nil {
		return Dir{}, Request{}, err
	}
	env, err := environ(app, source, name, o)
	if err != nil {
		return Dir{}, Request{}, err
	}
	req, err := ParseEnviron(env)
	return dir, req, err
}

// Calls says whether a source that names a plugin means the one of this name, or its second name for write-back with Argo CD's
// own credentials.
func Calls(named, plugin string) bool { return named == plugin || named == plugin+repoCredsSuffix }

// pickSource gives a copy of the source that tagpin renders. An Application with one source has no choice.
func pickSource(app *v1alpha1.Application, o ApplicationOptions) (*v1alpha1.ApplicationSource, error) {
	if !app.Spec.HasMultipleSources() {
		source := app.Spec.GetSource()
		return &source, nil
	}
	var ours []v1alpha1.ApplicationSource
	for _, s := range app.Spec.GetSources() {
		if s.Plugin != nil && Calls(s.Plugin.Name, o.Plugin) && (o.Source == "" || s.Name == o.Source) {
			ours = append(ours, s)
		}
	}
	switch {
	case len(ours) == 1:
		return ours[0].DeepCopy(), nil
	case len(ours) > 1:
		return nil, fmt.Errorf("%d of its sources call the plugin %q: give the sources names and choose one with --source", len(ours), o.Plugin)
	case o.Source != "":
		return nil, fmt.Errorf("no source named %q calls the plugin %q", o.Source, o.Plugin)
	default:
		return nil, fmt.Errorf("none of its sources calls the plugin %q: set plugin.name in one", o.Plugin)
	}
}

// checkSource says what Argo CD would say of a source that is not, or not only, a plugin's.
func checkSource(source *v1alpha1.ApplicationSource, plugin string) error {
	if _, err := source.ExplicitType(); err != nil {
		return fmt.Errorf("%w: a source that names a plugin can't have helm, kustomize or directory, not in an .argocd-source file "+
			"either: write plugin.parameters instead", err)
	}
	if source.Plugin == nil || !Calls(source.Plugin.Name, plugin) {
		return fmt.Errorf("its source does not call the plugin %q: set spec.source.plugin.name", plugin)
	}
	return nil
}

// mergeOverrides merges the .argocd-source files as Argo CD does. That it decodes onto the filled struct, so that an item of a
// list keeps the fields which the file doesn't set, is Argo CD's way too.
func mergeOverrides(source *v1alpha1.ApplicationSource, dir Dir, app string) error {
	root, err := os.OpenRoot(dir.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	merged := source.DeepCopy()
	for _, name := range overrideFiles(dir, app) {
		patch, err := readOverride(root, name)
		if err != nil {
			return err
		}
		if patch == nil {
			continue
		}
		document, err := json.Marshal(merged)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if document, err = jsonpatch.MergePatch(document, patch); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := json.Unmarshal(document, merged); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	merged.Chart, merged.Path = source.Chart, source.Path
	merged.RepoURL, merged.TargetRevision = source.RepoURL, source.TargetRevision
	*source = *merged
	return nil
}

// environ is the environment of a plugin (reposerver/repository/repository.go: newEnv, getPluginEnvs).
func environ(app *v1alpha1.Application, source *v1alpha1.ApplicationSource, name string, o ApplicationOptions) ([]string, error) {
	build := v1alpha1.Env{
		{Name: envAppName, Value: name},
		{Name: envAppNamespace, Value: app.Spec.Destination.Namespace},
		{Name: envAppRevision, Value: o.Revision},
		{Name: envAppRevision + "_SHORT", Value: shorten(o.Revision, 7)},
		{Name: envAppRevision + "_SHORT_8", Value: shorten(o.Revision, 8)},
		{Name: envSourceRepoURL, Value: source.RepoURL},
		{Name: envSourcePath, Value: source.Path},
		{Name: envSourceTarget, Value: source.TargetRevision},
		{Name: envAppProject, Value: app.Spec.GetProject()}, // Argo CD says it from v3.0 on; bindings may ask for it
		{Name: envKubeVersion, Value: text.SemVer(o.KubeVersion)},
		{Name: envKubeAPIs, Value: strings.Join(o.APIVersions, ",")},
	}
	env := build.Environ()
	for _, e := range source.Plugin.Env {
		if e.IsZero() {
			continue
		}
		env = append(env, envPrefixPlugin+e.Name+"="+build.Envsubst(e.Value))
	}
	parameters, err := source.Plugin.Parameters.Environ()
	return append(env, parameters...), err
}

func shorten(revision string, length int) string {
	return revision[:min(length, len(revision))]
}
