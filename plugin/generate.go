package plugin

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

// A Resolver asks the registry for the newest allowed tag of one image (live mode). "Nothing qualifies" is a Choice without a
// tag; an error means that no decision was possible.
type Resolver interface {
	Resolve(ctx context.Context, app image.Application, e image.Entry) (image.Choice, error)
}

// Pins reads what Git says of an application's images (pinned mode).
type Pins interface {
	// Read gives the pins for an application whose directory is dir.
	Read(dir string, app image.Application) ([]image.Pin, error)
}

// An Observer is told of each pinned render, as a hint for the update loop. Observe must not block.
type Observer interface {
	Observe(o Observation)
}

// An Observation is what one render saw of an application.
type Observation struct {
	App        image.Application
	Parameters []image.Parameter
	Env        map[string]string
}

// A Renderer renders one directory. It returns only when nothing of the render runs any more, which may be after the end of
// ctx: who holds a slot or a directory for it keeps them until then.
type Renderer func(ctx context.Context, r render.Request) (render.Result, error)

// A Dir says where an application's files are.
type Dir struct {
	// Root is the absolute path of the repository's files; nothing outside of it is read.
	Root string
	// Path is the application's directory, relative to Root and separated by slashes; "." is Root itself.
	Path string
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

// Settings make a Generator. Only Resolver is required.
type Settings struct {
	Resolver Resolver
	// NoMatch makes the error for a choice without a tag.
	NoMatch func(image.Choice) error
	// Pins and Observer are nil in this version: only write-back-method none works.
	Pins     Pins
	Observer Observer
	// Render is render.Start, waited for to its real end, when nil.
	Render Renderer
	// Defaults are the operator's parameters; those of the Application win.
	Defaults []image.Parameter
	// AllowEmpty lets a render have no objects at all. With automatic pruning that deletes the application.
	AllowEmpty bool
	// Remember is how many choices are kept for streamed renders and parameter announcements. Zero means DefaultRemember.
	Remember int
	Log      logrus.FieldLogger
	Now      func() time.Time
}

// A Generator renders applications. It is safe for concurrent use.
type Generator struct{ s Settings }

// NewGenerator makes a Generator.
func NewGenerator(s Settings) *Generator { return &Generator{s: s} }

// Generate renders one application: options, type, choices, injection, manifests. Errors name the application and the
// remedy and are fit for the Argo CD UI. It may return after the end of ctx, see Renderer.
func (g *Generator) Generate(ctx context.Context, dir Dir, req Request) (Result, error) {
	return Result{}, nil
}
