package plugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tagpin/tagpin/image"
)

// streamedRevision is what Argo CD says in place of a commit when somebody renders uploaded files (`argocd app diff --local`).
const streamedRevision = "streamed"

// The names of Argo CD's build environment (reposerver/repository/repository.go: newEnv, getPluginEnvs).
const (
	envPrefixApp     = "ARGOCD_APP_"
	envPrefixPlugin  = "ARGOCD_ENV_"
	envAppName       = "ARGOCD_APP_NAME"
	envAppNamespace  = "ARGOCD_APP_NAMESPACE"
	envAppProject    = "ARGOCD_APP_PROJECT_NAME"
	envAppRevision   = "ARGOCD_APP_REVISION"
	envSourceRepoURL = "ARGOCD_APP_SOURCE_REPO_URL"
	envSourcePath    = "ARGOCD_APP_SOURCE_PATH"
	envSourceTarget  = "ARGOCD_APP_SOURCE_TARGET_REVISION"
	envParameters    = "ARGOCD_APP_PARAMETERS"
	envKubeVersion   = "KUBE_VERSION"
	envKubeAPIs      = "KUBE_API_VERSIONS"
)

// A Request is what Argo CD tells a plugin about one render, parsed once.
type Request struct {
	App image.Application
	// Namespace is the destination's; it may be empty.
	Namespace string
	// KubeVersion is the cluster's, as Argo CD writes it. Empty where Argo CD does not tell it.
	KubeVersion string
	// APIVersions are the cluster's, "group/version" and "group/version/Kind".
	APIVersions []string
	// Parameters are spec.source.plugin.parameters.
	Parameters []image.Parameter
	// Env holds spec.source.plugin.env, the names without ARGOCD_ENV_. Argo CD has substituted its values.
	Env map[string]string
	// Substitution is what $NAME may stand for in options: ARGOCD_APP_* and ARGOCD_ENV_*, never anything else of the process.
	Substitution map[string]string
}

// Streamed tells whether the files were uploaded and come from no commit. Anybody who may look at an application can make
// such a render, so it uses no network and no credential.
func (r Request) Streamed() bool { return r.App.Revision == streamedRevision }

// ParseEnviron reads a Request from "NAME=value" entries: the environment that a stock argocd-cmp-server gives its command.
// The last entry of a name counts, as in a process.
func ParseEnviron(environ []string) (Request, error) {
	env := make(map[string]string, len(environ))
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = value
		}
	}
	return ParseRequest(env)
}

// ParseRequest reads a Request from Argo CD's environment entries. A missing entry and an empty one mean the same, since
// argocd-cmp-server before v3.0 drops the empty ones.
func ParseRequest(env map[string]string) (Request, error) {
	r := Request{
		App: image.Application{
			Name:           env[envAppName],
			Project:        env[envAppProject],
			RepoURL:        env[envSourceRepoURL],
			Path:           env[envSourcePath],
			TargetRevision: env[envSourceTarget],
			Revision:       env[envAppRevision],
		},
		Namespace:    env[envAppNamespace],
		KubeVersion:  env[envKubeVersion],
		Env:          map[string]string{},
		Substitution: map[string]string{},
	}
	if r.App.Name == "" {
		return Request{}, errors.New(envAppName + " is not set: run tagpin as an Argo CD plugin, or name an Application manifest with --app")
	}
	if apis := env[envKubeAPIs]; apis != "" {
		r.APIVersions = strings.Split(apis, ",")
	}
	for name, value := range env {
		r.addVariable(name, value)
	}
	if text := env[envParameters]; text != "" {
		parameters, err := image.DecodeParameters([]byte(text))
		if err != nil {
			return Request{}, fmt.Errorf("application %s: %w", r.App.Name, err)
		}
		r.Parameters = parameters
	}
	return r, nil
}

// addVariable sorts one entry into Env and Substitution. The parameters are no variable for Argo CD's own renderers either.
func (r *Request) addVariable(name, value string) {
	if plain, ok := strings.CutPrefix(name, envPrefixPlugin); ok {
		r.Env[plain] = value
		r.Substitution[name] = value
	} else if strings.HasPrefix(name, envPrefixApp) && name != envParameters {
		r.Substitution[name] = value
	}
}
