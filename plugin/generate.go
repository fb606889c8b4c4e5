package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

// A Renderer renders one directory. It returns only when nothing of the render runs any more, which may be after the end of
// ctx: who holds a slot or a directory for it keeps them until then.
type Renderer func(ctx context.Context, r render.Request) (render.Result, error)

// An Observer is told of each pinned render, as a hint for the update loop. Observe must not block.
type Observer interface {
	Observe(o Observation)
}

// An Observation is what one render saw of an application. It proves nothing about who may do what.
type Observation struct {
	App        image.Application
	Parameters []image.Parameter
	Env        map[string]string
	// Files names the state of the file that the pins are in, see Pins.
	Files string
}

// Settings make a Generator.
type Settings struct {
	// Resolver asks registries. A Generator without one announces parameters only.
	Resolver Resolver
	// NoMatch makes the error for a choice without a tag. Nil: one without the reasons.
	NoMatch func(image.Choice) error
	// Pins reads what Git says. Nil: only write-back-method none works.
	Pins Pins
	// Observer is told of pinned renders. Nil: nobody is.
	Observer Observer
	// Render is RenderHere when nil.
	Render Renderer
	// Defaults are the operator's; what an application sets wins.
	Defaults image.Defaults
	// BuildOptions are the operator's flags of kustomize build.
	BuildOptions string
	// AllowEmpty says which applications, by name, may render no object at all. Nil: none.
	AllowEmpty func(application string) bool
	// MaxOutput bounds the manifests, in bytes. Zero: render.DefaultMaxOutput.
	MaxOutput int
	// Remember is how many choices are kept for renders of uploaded files and announcements. Zero: DefaultRemember.
	Remember int
	// Version is shown in the form of parameters.
	Version string
	// Log is told of what did not stop a render. Nil: the standard logger.
	Log logrus.FieldLogger
}

// A Result is what a render gave.
type Result struct {
	// Stream holds the YAML documents, as `tagpin generate` prints them.
	Stream []byte
	// Manifests are the documents of Stream, split as a stock argocd-cmp-server splits them.
	Manifests []string
	Type      render.Type
	// Choices are those of the images, in the order of the image-list. One without a tag rendered as the chart says.
	Choices []image.Choice
}

// A Generator renders applications. It is safe for concurrent use.
type Generator struct {
	s      Settings
	memory *memory
}

// NewGenerator makes a Generator.
func NewGenerator(s Settings) *Generator {
	if s.Render == nil {
		s.Render = RenderHere()
	}
	if s.NoMatch == nil {
		s.NoMatch = func(image.Choice) error { return errNoMatch }
	}
	if s.AllowEmpty == nil {
		s.AllowEmpty = func(string) bool { return false }
	}
	if s.Log == nil {
		s.Log = logrus.StandardLogger()
	}
	return &Generator{s: s, memory: newMemory(cmp.Or(s.Remember, DefaultRemember))}
}

// RenderHere is the Renderer that works in this process.
func RenderHere() Renderer { return render.NewCharts(render.DefaultCharts).RenderToEnd }

// Generate renders one application. Errors name the application and the remedy, and are fit for the Argo CD UI. Like a
// Renderer it may return after the end of ctx.
func (g *Generator) Generate(ctx context.Context, dir Dir, req Request) (Result, error) {
	result, err := g.generate(ctx, dir, req)
	var crash *render.CrashError
	if errors.As(err, &crash) {
		// Without the panic's value, which may hold what the chart holds.
		g.s.Log.WithField("application", req.App.Name).Errorf("the template engine crashed:\n%s", crash.Stack)
	}
	if err != nil {
		return Result{}, fmt.Errorf("application %s: %w", req.App.Name, err)
	}
	return result, nil
}

// generate is the recipe.
func (g *Generator) generate(ctx context.Context, dir Dir, req Request) (Result, error) {
	if err := refuseOverrides(dir, req.App.Name); err != nil {
		return Result{}, err
	}
	options, err := g.options(req)
	if err != nil {
		return Result{}, err
	}
	choices, err := g.choose(ctx, dir, req, options)
	if err != nil {
		return Result{}, err
	}
	rendered, err := g.s.Render(ctx, g.renderRequest(dir, req, options, choices))
	if err != nil {
		return Result{}, err
	}
	manifests, err := splitManifests(rendered.Manifests)
	if err != nil {
		return Result{}, err
	}
	if !hasObject(manifests) && !g.s.AllowEmpty(req.App.Name) {
		return Result{}, errNoObjects
	}
	for _, sentence := range rendered.Unused {
		g.s.Log.WithField("application", req.App.Name).Warn(sentence)
	}
	return Result{Stream: rendered.Manifests, Manifests: manifests, Type: rendered.Type, Choices: choices}, nil
}

func (g *Generator) options(req Request) (image.Options, error) {
	o, err := image.ParseOptions(image.Input{Parameters: req.Parameters, Env: req.Env, Defaults: g.s.Defaults})
	if err != nil {
		return image.Options{}, err
	}
	if o.WriteBack.Method != methodNone && g.s.Pins == nil {
		return image.Options{}, fmt.Errorf("write-back-method %q is not available in this version: set write-back-method: none",
			o.WriteBack.Method)
	}
	return o, nil
}

// renderRequest injects the choices that have a tag.
func (g *Generator) renderRequest(dir Dir, req Request, o image.Options, choices []image.Choice) render.Request {
	r := render.Request{
		Root: dir.Root,
		Path: dir.Path,
		App: render.App{
			Name:        req.App.Name,
			Namespace:   req.Namespace,
			KubeVersion: req.KubeVersion,
			APIVersions: req.APIVersions,
		},
		Helm:         o.Helm,
		Kustomize:    o.Kustomize,
		BuildOptions: g.s.BuildOptions,
		For:          req.App,
		Streamed:     req.Streamed(),
		Env:          req.Substitution,
		MaxOutput:    g.s.MaxOutput,
	}
	for i, c := range choices {
		if c.Tag != "" {
			r.Images = append(r.Images, render.Image{Entry: o.Images[i], Tag: c.Tag, Digest: c.Digest})
		}
	}
	return r
}
