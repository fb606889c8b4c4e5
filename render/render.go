// Package render turns one directory of a repository into manifests. Call Render; it knows Helm charts and kustomizations,
// and needs nothing but the files below Request.Root: no network, no cluster, no environment, no helm or kustomize program.
//
// A caller that limits how many renders run at a time calls Start instead and keeps its slot until Job.Done: Helm's template
// engine and kustomize take no context, so that a render which passed its deadline still runs to its end behind the error.
// Request and Result are plain values that survive a round trip through JSON: a render can be moved to another process.
package render

import (
	"context"

	"github.com/tagpin/tagpin/image"
)

// A Type is what kind of source a directory holds. The values are Argo CD's names of the source types.
type Type string

// The types that can be rendered.
const (
	Helm      Type = "Helm"
	Kustomize Type = "Kustomize"
)

// A Request says what is rendered and with what.
type Request struct {
	// Root is the unpacked repository. Nothing outside of it is read, by no path and by no symlink.
	Root string
	// Path is the application's directory, relative to Root and separated by slashes.
	Path string
	App  App
	// Helm or Kustomize applies, whichever type is detected. Options of the other type are an error.
	Helm      image.Helm
	Kustomize image.Kustomize
	// Images are injected with precedence over everything else.
	Images []Image
	// Env is what $NAME and ${NAME} in options stand for: ARGOCD_APP_* and ARGOCD_ENV_*. Other names stand for nothing.
	Env map[string]string
	// MaxOutput bounds the manifests, in bytes. Zero means DefaultMaxOutput.
	MaxOutput int
}

// App is what Argo CD says of the application and of its cluster.
type App struct {
	// Name is ARGOCD_APP_NAME, "app" or "ns_app". Without its namespace it is the default release name.
	Name string
	// Namespace is that of the destination; it may be empty.
	Namespace string
	// KubeVersion is the cluster's, e.g. "1.33" or "v1.33.4+k3s1". Empty means DefaultKubeVersion.
	KubeVersion string
	// APIVersions are those of the cluster, e.g. "apps/v1/Deployment"; charts ask for them.
	APIVersions []string
}

// An Image is one image of the image-list with the tag that was chosen for it.
type Image struct {
	Entry image.Entry
	// Tag is the chosen tag.
	Tag string
	// Digest is that of the tag where known. It is injected only where the policy says so: pin-digest, or the strategy digest.
	Digest string
}

// A Result is what came out.
type Result struct {
	Type Type
	// Manifests is the stream of YAML documents as `helm template` or `kustomize build` prints it.
	Manifests []byte
	// Unused holds a sentence for each injected image that is nowhere in Manifests: a misspelt helm.image-tag, most often.
	Unused []string
}

// A Job is a render under way.
type Job struct {
	done   chan struct{}
	result Result
	err    error
}

// Render renders and waits for the result, or for the end of ctx.
func Render(ctx context.Context, r Request) (Result, error) {
	return Start(ctx, r).Wait(ctx)
}

// Start begins a render. It stops at the next step once ctx ends, but no step can be interrupted.
func Start(ctx context.Context, r Request) *Job {
	j := &Job{done: make(chan struct{})}
	go func() {
		defer close(j.done)
		j.result, j.err = run(ctx, r)
	}()
	return j
}

// Done is closed when nothing of the render runs any more.
func (j *Job) Done() <-chan struct{} { return j.done }

// Wait returns the result, or an error that wraps ctx's as soon as ctx ends.
func (j *Job) Wait(ctx context.Context) (Result, error) {
	select {
	case <-j.done:
		return j.result, j.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

func run(context.Context, Request) (Result, error) { return Result{}, nil }

// Detect finds the type of an application's directory.
func Detect(string) (Type, error) { return "", nil }
