// Package render turns one directory of a repository into manifests. Call Render; it knows Helm charts and kustomizations,
// and needs nothing but the files below Request.Root: no network, no cluster, no environment, no helm or kustomize program.
// What a chart or a kustomization wants from elsewhere is told in a NeedsError: package fetch brings it and renders again.
//
// A caller that limits how many renders run at a time calls Start instead and keeps its slot until Job.Done: Helm's template
// engine and kustomize take no context, so that a render which passed its deadline still runs to its end behind the error.
// Request and Result are plain values that survive a round trip through JSON: a render can be moved to another process.
package render

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/tagpin/tagpin/image"
)

// A Type is what kind of source a directory holds. The values are Argo CD's names of the source types.
type Type string

// The types that can be rendered.
const (
	Helm      Type = "Helm"
	Kustomize Type = "Kustomize"
)

const (
	// DefaultMaxOutput bounds the manifests, in bytes: 90 of the 100 MiB that a gRPC message of Argo CD may have, since JSON
	// strings in the message are longer than the YAML.
	DefaultMaxOutput = 90 << 20
	// DefaultKubeVersion is what charts see as the cluster's version where Argo CD says none, as in its manifest hydrator: the
	// version of the Kubernetes libraries in go.mod. Helm itself would say v1.20.
	DefaultKubeVersion = "v1.33.4"
	// defaultNamespace is what Helm takes for an empty namespace.
	defaultNamespace = "default"
)

// A Request says what is rendered and with what.
type Request struct {
	// Root is the unpacked repository. Nothing outside of it is read, by no path and by no symlink.
	Root string
	// Path is the application's directory, relative to Root and separated by slashes.
	Path string
	App  App
	// Helm or Kustomize applies. If one is set the source is of that type, otherwise Detect says; both together are an error.
	Helm      image.Helm
	Kustomize image.Kustomize
	// Images are injected with precedence over everything else.
	Images []Image
	// For is whose render this is: what may be fetched depends on it. Streamed is true for files that somebody uploaded.
	For      image.Application
	Streamed bool
	// Fetched is what was brought from elsewhere: files and directories by Need.Key.
	Fetched map[string]string
	// ChartRepositories are the URLs of those that charts call by a name.
	ChartRepositories map[string]string
	// BuildOptions are the operator's flags of `kustomize build`. Those of the application come after them.
	BuildOptions string
	// Env is what $NAME and ${NAME} in options stand for: ARGOCD_APP_* and ARGOCD_ENV_*. Other names stand for nothing, and $$
	// for a dollar sign.
	Env map[string]string
	// MaxOutput bounds the manifests, in bytes. Zero means DefaultMaxOutput.
	MaxOutput int

	reads *reads
}

// App is what Argo CD says of the application and of its cluster.
type App struct {
	// Name is ARGOCD_APP_NAME, "app" or "ns_app". Without its namespace it is the default release name.
	Name string
	// Namespace is that of the destination. Charts see "default" when it is empty.
	Namespace string
	// KubeVersion is the cluster's, e.g. "1.33" or "v1.33.4+k3s1". Empty means DefaultKubeVersion.
	KubeVersion string
	// APIVersions are those of the cluster, e.g. "apps/v1/Deployment". Charts see them in addition to Helm's own list.
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
	// Reads is all that this depends on, beside the request. It is nil where a template makes something anew each time (the time,
	// random values, certificates) or something was fetched.
	Reads []Read
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

// Start begins a render. It stops before its next step once ctx ends; the long steps can't be interrupted.
func Start(ctx context.Context, r Request) *Job { return start(ctx, NewCharts(0), &r) }

func start(ctx context.Context, charts *Charts, r *Request) *Job {
	j := &Job{done: make(chan struct{})}
	go func() {
		defer close(j.done)
		j.result, j.err = guarded(ctx, charts, r)
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
		return Result{}, interrupted(ctx)
	}
}

// interrupted is nil as long as ctx lasts.
func interrupted(ctx context.Context) error {
	err := context.Cause(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("rendering did not finish in time: look for a template that loops or an endless list: %w", err)
	default:
		return fmt.Errorf("rendering was called off: %w", err)
	}
}

// A CrashError is a panic in a template engine, turned into an error so that it ends one render and not the server.
type CrashError struct {
	Path  string // of the application
	Value any    // what panic was called with
	Stack []byte // for the log
}

func (e *CrashError) Error() string {
	return fmt.Sprintf("rendering %q: the template engine crashed; tagpin's log says where", e.Path)
}

func guarded(ctx context.Context, charts *Charts, r *Request) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &CrashError{Path: r.Path, Value: p, Stack: debug.Stack()}
		}
	}()
	return run(ctx, charts, r)
}

func run(ctx context.Context, charts *Charts, r *Request) (Result, error) {
	if err := interrupted(ctx); err != nil {
		return Result{}, err
	}
	dir, err := join(".", r.Path)
	if err != nil {
		return Result{}, fmt.Errorf("the source path %q %w", r.Path, err)
	}
	t, err := openTree(r.Root, charts)
	if err != nil {
		return Result{}, err
	}
	defer t.close()
	t.fetched, r.reads = r.Fetched, t.reads
	kind, err := typeOf(t, dir, r)
	if err != nil {
		return Result{}, err
	}
	render := helmTemplate
	if kind == Kustomize {
		render = kustomizeBuild
	}
	out, err := render(ctx, t, dir, r)
	if err != nil {
		return Result{}, shorten(err)
	}
	if limit := r.maxOutput(); len(out) > limit {
		return Result{}, fmt.Errorf("%q renders to %d MiB of manifests, more than the limit of %d MiB: split the application",
			dir, len(out)>>20, limit>>20)
	}
	return Result{Type: kind, Manifests: out, Unused: unused(kind, r.Images, out), Reads: t.reads.all()}, nil
}

func (r *Request) maxOutput() int {
	if r.MaxOutput > 0 {
		return r.MaxOutput
	}
	return DefaultMaxOutput
}

// substitute replaces $NAME and ${NAME} as Argo CD does in its own source types.
func (r *Request) substitute(s string) string {
	return os.Expand(s, func(name string) string {
		if name == "$" {
			return "$"
		}
		value, _ := r.variable(name)
		return value
	})
}

func (r *Request) variable(name string) (value string, known bool) {
	value, known = r.Env[name]
	r.reads.add(readVariable, name, fmt.Sprintf("%v %s", known, value))
	return value, known
}
