package image

// Options is everything that an Application's plugin parameters say, parsed and validated once.
type Options struct {
	Images    []Entry
	WriteBack WriteBack
	// WithoutPin is what happens to an image for which nothing is pinned; empty when it was not set.
	WithoutPin WithoutPin
	// Hold stops updates of all images.
	Hold      bool
	Helm      Helm
	Kustomize Kustomize
}

// An Entry is one image of the image-list with all that was set for it.
type Entry struct {
	// Alias is the name before "=" in the image-list, or empty.
	Alias string
	// Image is the repository; its Tag is empty, since the constraint is in Policy.
	Image     Image
	Policy    Policy
	Helm      HelmTarget
	Kustomize KustomizeTarget
	// PullSecret is a credentials reference ("pullsecret:<ns>/<name>", "secret:<ns>/<name>#<field>"), or empty.
	PullSecret string
	// Hold stops updates of this image; it is set for all images where the application is on hold.
	Hold bool
}

// A HelmTarget names the values that an image is written to, as dotted paths ("image.tag", "containers[0].image").
// Only those that are set are written. ParseOptions fills in image.repository and image.tag when none was given.
type HelmTarget struct{ Name, Tag, Spec string }

// A KustomizeTarget names the image of the kustomization that is replaced; empty means the image's own name.
type KustomizeTarget struct{ Name string }

// WriteBack says where choices are recorded.
type WriteBack struct {
	// Method is "none", "git:repocreds" (also for "git") or "git:secret:<ns>/<name>".
	Method string
	// Target is empty (the pin file), "helmvalues[:<path>]" or "kustomization[:<dir>]".
	Target     string
	Branch     string
	Repository string
}

// WithoutPin says how an image without a pin is rendered.
type WithoutPin string

// The two ways to render an image without a pin.
const (
	WithoutPinChart  WithoutPin = "chart"
	WithoutPinRefuse WithoutPin = "refuse"
)

// Helm holds the fields of Argo CD's ApplicationSourceHelm under the same names (pkg/apis/application/v1alpha1/types.go).
type Helm struct {
	ValueFiles              []string
	Values                  string // YAML
	ValuesObject            string // YAML; wins over Values, as in Argo CD
	Parameters              map[string]string
	ForceString             []string // names of Parameters that are strings whatever they look like
	FileParameters          map[string]string
	ReleaseName             string
	Namespace               string
	KubeVersion             string
	APIVersions             []string
	Version                 string
	SkipCrds                bool
	SkipTests               bool
	SkipSchemaValidation    bool
	IgnoreMissingValueFiles bool
	PassCredentials         bool
}

// Kustomize holds the fields of Argo CD's ApplicationSourceKustomize under the same names.
type Kustomize struct {
	NamePrefix                string
	NameSuffix                string
	Images                    []string
	Replicas                  map[string]string
	CommonLabels              map[string]string
	CommonAnnotations         map[string]string
	ForceCommonLabels         bool
	ForceCommonAnnotations    bool
	CommonAnnotationsEnvsubst bool
	LabelWithoutSelector      bool
	LabelIncludeTemplates     bool
	Namespace                 string
	Patches                   string // YAML list
	Components                []string
	IgnoreMissingComponents   bool
	KubeVersion               string
	APIVersions               []string
	Version                   string
	BuildOptions              string // flags of kustomize build
}

// A Parameter is one entry of spec.source.plugin.parameters: exactly one of its values is set. The JSON names are Argo CD's.
type Parameter struct {
	Name   string            `json:"name"`
	String *string           `json:"string,omitempty"`
	Array  []string          `json:"array,omitempty"`
	Map    map[string]string `json:"map,omitempty"`
}
