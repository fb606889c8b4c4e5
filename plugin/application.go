package plugin

import (
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
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

// LoadApplication reads an Application manifest (YAML or JSON) and gives what the repo-server would send for it, given the
// files of its repository at root.
func LoadApplication(manifest []byte, root string, o ApplicationOptions) (Dir, Request, error) {
	return Dir{}, Request{}, nil
}

// FromApplication gives what the repo-server would send for an Application, given the files of its repository at root.
func FromApplication(app *v1alpha1.Application, root string, o ApplicationOptions) (Dir, Request, error) {
	return Dir{}, Request{}, nil
}
