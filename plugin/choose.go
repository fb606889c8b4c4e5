package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/tagpin/tagpin/image"
)

// methodNone is the write-back-method of live mode.
const methodNone = "none"

// maxLookups bounds the images of one application that are resolved at a time: enough that one slow repository delays no
// other, and few enough for a registry's limit.
const maxLookups = 16

var (
	errNoMatch = errors.New("no tag qualifies")
	errHold    = errors.New("hold needs pins, and write-back-method none has none: remove hold, and write the tag into the chart " +
		"or a constraint that only that tag fulfils")
	errNotRemembered = errors.New("uploaded files are rendered without asking a registry, and nothing is remembered of this " +
		"image: refresh the application (hard refresh), so that it is rendered from Git once, and try again")
	errNoPin = errors.New("nothing is pinned, and without-pin is refuse: set without-pin: chart to render the chart's own tag " +
		"until the first pin is committed")
)

// A Resolver asks the registry for the newest allowed tag of one image (live mode). "Nothing qualifies" is a Choice without a
// tag; an error means that no decision was possible.
type Resolver interface {
	Resolve(ctx context.Context, app image.Application, e image.Entry) (image.Choice, error)
}

// Pins reads what Git says of an application's images (pinned mode).
type Pins interface {
	// Read finds the pin of each of the images in the files of dir, in their order; the zero Pin where there is none, or where
	// the pins are in a file that is rendered itself.
	Read(dir Dir, app image.Application, o image.Options) ([]image.Pin, error)
	// Files names the state of the file that the pins are in: equal ones hold the same. Empty: not known.
	Files(dir Dir, app image.Application, o image.Options) string
}

// choose gives a choice for each image. One without a tag is rendered as the chart says.
func (g *Generator) choose(ctx context.Context, dir Dir, req Request, o image.Options) ([]image.Choice, error) {
	switch {
	case o.WriteBack.Method != methodNone:
		return g.pinned(dir, req, o)
	case req.Streamed():
		return g.remembered(req, o)
	default:
		return g.live(ctx, req, o)
	}
}

// pinned takes the pins of the commit and asks nobody.
func (g *Generator) pinned(dir Dir, req Request, o image.Options) ([]image.Choice, error) {
	if g.s.Observer != nil && !req.Streamed() {
		g.s.Observer.Observe(Observation{App: req.App, Parameters: req.Parameters, Env: req.Env, Files: g.s.Pins.Files(dir, req.App, o)})
	}
	pins, err := g.s.Pins.Read(dir, req.App, o)
	if err != nil {
		return nil, err
	}
	choices := make([]image.Choice, len(o.Images))
	for i, e := range o.Images {
		if pins[i].Tag == "" && o.WithoutPin == image.WithoutPinRefuse && o.WriteBack.Target == "" {
			return nil, fmt.Errorf("%s: %w", label(e), errNoPin)
		}
		choices[i] = image.Choice{Image: e.Image, Strategy: e.Policy.Strategy, Constraint: e.Policy.Constraint,
			Tag: pins[i].Tag, Digest: pins[i].Digest}
	}
	return choices, nil
}

// remembered takes the last choices of this process, for files that were uploaded.
func (g *Generator) remembered(req Request, o image.Options) ([]image.Choice, error) {
	choices := make([]image.Choice, len(o.Images))
	for i, e := range o.Images {
		r, ok := g.memory.recall(req.App, e.Image)
		if !ok && o.WithoutPin != image.WithoutPinChart {
			return nil, fmt.Errorf("%s: %w", label(e), errNotRemembered)
		}
		choices[i] = r.choice
	}
	return choices, nil
}

// live asks for all images in parallel. Every image that could not be decided is told, in the order of the image-list, so that
// the text does not change from render to render.
func (g *Generator) live(ctx context.Context, req Request, o image.Options) ([]image.Choice, error) {
	choices := make([]image.Choice, len(o.Images))
	failures := make([]error, len(o.Images))
	var lookups errgroup.Group
	lookups.SetLimit(maxLookups)
	for i, e := range o.Images {
		lookups.Go(func() error {
			failures[i] = guard(func() (err error) {
				choices[i], err = g.decide(ctx, req, o, e)
				return err
			})
			return nil
		})
	}
	_ = lookups.Wait()
	return choices, errors.Join(failures...)
}

// decide resolves one image.
func (g *Generator) decide(ctx context.Context, req Request, o image.Options, e image.Entry) (image.Choice, error) {
	if e.Hold {
		return image.Choice{}, fmt.Errorf("%s: %w", label(e), errHold)
	}
	choice, err := g.s.Resolver.Resolve(ctx, req.App, e)
	if err != nil {
		return image.Choice{}, fmt.Errorf("%s: %w", label(e), err)
	}
	log := g.s.Log.WithFields(logrus.Fields{"application": req.App.Name, "image": e.Image.Name()})
	if choice.Stale > 0 {
		log.Warnf("the registry could not be asked: the choice of %q rests on a stale answer, %s old",
			choice.Tag, choice.Stale.Round(time.Second))
	}
	switch {
	case choice.Tag != "":
		g.memory.remember(req.App, choice, time.Now())
	case o.WithoutPin == image.WithoutPinChart:
		log.Warnf("rendered with the tag that the chart says: %v", g.s.NoMatch(choice))
	default:
		return image.Choice{}, fmt.Errorf("%s: %w", label(e), g.s.NoMatch(choice))
	}
	return choice, nil
}

// label names an image in an error: its alias, which is how parameters name it, and the image itself.
func label(e image.Entry) string {
	if e.Alias == "" {
		return "image " + e.Image.Name()
	}
	return fmt.Sprintf("image %s (%s)", e.Alias, e.Image.Name())
}
