package metrics

import (
	"context"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
)

// A Resolver chooses a tag. "Nothing qualifies" is a Choice without one.
type Resolver interface {
	Resolve(ctx context.Context, app image.Application, e image.Entry) (image.Choice, error)
}

// Resolver counts choices.
func (m *Metrics) Resolver(next Resolver) Resolver { return &resolver{next, m} }

type resolver struct {
	next Resolver
	m    *Metrics
}

// Resolve implements Resolver.
func (r *resolver) Resolve(ctx context.Context, app image.Application, e image.Entry) (image.Choice, error) {
	begin := time.Now()
	choice, err := r.next.Resolve(ctx, app, e)
	outcome := "chosen"
	switch {
	case err != nil:
		outcome = "failed"
	case choice.Tag == "":
		outcome = "none"
	case choice.Stale > 0:
		outcome = "stale"
	}
	strategy := string(e.Policy.Strategy)
	r.m.updates.choices.WithLabelValues(strategy, outcome).Inc()
	r.m.updates.choiceSeconds.WithLabelValues(strategy).Observe(time.Since(begin).Seconds())
	return choice, err
}

// Writer counts pushes and pins.
func (m *Metrics) Writer(next reconcile.Writer) reconcile.Writer { return &writer{next, m} }

type writer struct {
	reconcile.Writer
	m *Metrics
}

// Write implements reconcile.Writer.
func (w *writer) Write(ctx context.Context, p image.Place, b image.Branch, commits []image.Commit) (image.Written, error) {
	written, err := w.Writer.Write(ctx, p, b, commits)
	pinned := w.pinned(written, commits)
	outcome := "nothing"
	switch {
	case err != nil:
		outcome = "failed"
	case written.Moved:
		outcome = "overtaken"
	case written.Refused != "":
		outcome = "refused"
	case pinned:
		outcome = "pushed"
	}
	w.m.updates.pushes.WithLabelValues(outcome).Inc()
	return written, err
}

// pinned counts the changes that arrived, and says whether there were any.
func (w *writer) pinned(written image.Written, commits []image.Commit) (some bool) {
	way := "commit"
	if written.Branches != nil {
		way = "proposal"
	}
	for i, sha := range written.Commits {
		if sha == "" {
			continue
		}
		some = true
		for _, change := range commits[i].Changes {
			w.m.updates.pins.WithLabelValues(string(change.Strategy), way).Inc()
		}
	}
	return some
}
