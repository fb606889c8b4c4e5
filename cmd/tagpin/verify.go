package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/spf13/pflag"

	"github.com/tagpin/tagpin/cluster"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/reconcile"
)

// verifyFlags let an updater ask the cluster before it writes.
type verifyFlags struct {
	on                    bool
	namespace, kubeconfig string
}

func (f *verifyFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.on, "verify-applications", false, "check each write against the Application in the cluster: needs get on applications.argoproj.io")
	flags.StringVar(&f.namespace, "argocd-namespace", "argocd", "where Argo CD itself runs, for --verify-applications")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "how the cluster is reached, for --verify-applications (default: the pod's service account)")
}

// open is nil where nothing is verified.
func (f *verifyFlags) open(e *engine) (reconcile.Verifier, error) {
	if !f.on {
		return nil, nil
	}
	client, err := cluster.Open(f.kubeconfig, f.namespace)
	if err != nil {
		return nil, fmt.Errorf("--verify-applications: %w", err)
	}
	return verifier{client, f.namespace, e.settings.Updates.AutomatedSync == config.AnySync}, nil
}

// A verifier compares what a render said with the Application as it is.
type verifier struct {
	client     *cluster.Client
	namespace  string
	manualSync bool
}

// liveState is what the types of this Argo CD version don't hold.
type liveState struct {
	Metadata struct {
		DeletionTimestamp string `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		SyncPolicy struct {
			Automated *struct {
				Enabled *bool `json:"enabled"`
			} `json:"automated"`
		} `json:"syncPolicy"`
	} `json:"spec"`
}

// Verify implements reconcile.Verifier.
func (v verifier) Verify(ctx context.Context, h reconcile.Hint, files map[string][]byte) (reason string, err error) {
	data, err := v.client.Application(ctx, h.App.Name)
	if errors.Is(err, cluster.ErrNotFound) {
		return "there is no Application " + h.App.Name + " in the cluster: tagpin forget ends its updates", nil
	} else if err != nil {
		return "", err
	}
	var live liveState
	app := &v1alpha1.Application{}
	if json.Unmarshal(data, &live) != nil || json.Unmarshal(data, app) != nil {
		return "the Application in the cluster can't be read", nil
	}
	automated := live.Spec.SyncPolicy.Automated
	switch {
	case live.Metadata.DeletionTimestamp != "":
		return "the Application is being deleted", nil
	case !v.manualSync && (automated == nil || automated.Enabled != nil && !*automated.Enabled):
		return "the Application doesn't sync automatically, so nothing is pinned for it: set syncPolicy.automated, or updates.automated-sync: any " +
			"in tagpin.yaml", nil
	case h.App.Project != "" && h.App.Project != app.Spec.GetProject():
		return "the Application is in another project now: the next render tells", nil
	}
	return v.compare(app, h, files)
}

// compare finds the source that was rendered, with the same parameters.
func (v verifier) compare(app *v1alpha1.Application, h reconcile.Hint, files map[string][]byte) (reason string, err error) {
	dir, err := os.MkdirTemp("", "tagpin-verify-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := write(dir, h.App.Path, files); err != nil {
		return "", err
	}
	reason = "the Application has no such source any more: the next render tells"
	for _, source := range app.Spec.GetSources() {
		if source.Plugin == nil || !plugin.Calls(source.Plugin.Name, pluginName) || source.RepoURL != h.App.RepoURL ||
			path.Clean(source.Path) != path.Clean(h.App.Path) || source.TargetRevision != h.App.TargetRevision {
			continue
		}
		one := app.DeepCopy()
		one.Spec.Sources, one.Spec.Source = nil, source.DeepCopy()
		_, request, err := plugin.FromApplication(one, dir, plugin.ApplicationOptions{
			Plugin: pluginName, ArgoCDNamespace: v.namespace, Revision: h.App.Revision,
		})
		if err != nil {
			return err.Error(), nil
		}
		if request.App.Name == h.App.Name && samePins(request, h) {
			return "", nil
		}
		reason = "the parameters that were rendered are not those of the Application, with what .argocd-source files of the branch add to them: " +
			"the next render tells (at a commit or a hard refresh)"
	}
	return reason, nil
}

// samePins compares what decides over pins.
func samePins(r plugin.Request, h reconcile.Hint) bool {
	live := image.Input{Parameters: r.Parameters, Env: r.Env}.ForUpdates()
	seen := image.Input{Parameters: h.Parameters, Env: h.Env}.ForUpdates()
	if len(live.Env) == 0 && len(seen.Env) == 0 {
		live.Env, seen.Env = nil, nil
	}
	return reflect.DeepEqual(live, seen)
}

// write makes a checkout of the application's directory and of these files alone.
func write(dir, appPath string, files map[string][]byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.FromSlash(path.Clean(appPath)), 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := root.WriteFile(filepath.FromSlash(path.Clean(name)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
