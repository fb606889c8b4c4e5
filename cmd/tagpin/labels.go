package main

import (
	"cmp"
	"context"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
)

// A labeller is a Writer that finds out the labels of the new images first, for commit messages that name some.
type labeller struct {
	reconcile.Writer
	e *engine
}

// Write implements reconcile.Writer. Labels that can't be read are left out: the message is no reason to hold an update back.
func (l labeller) Write(ctx context.Context, p image.Place, b image.Branch, commits []image.Commit) (image.Written, error) {
	for _, c := range commits {
		for i := range c.Changes {
			change := &c.Changes[i]
			labels, err := l.labels(ctx, c.Update, *change)
			if err != nil {
				l.e.log.WithField("application", change.App.Name).WithError(err).Warnf("the commit message lacks the labels of %s:%s",
					change.To.Image, change.To.Tag)
			}
			change.Labels = labels
		}
	}
	return l.Writer.Write(ctx, p, b, commits)
}

func (l labeller) labels(ctx context.Context, u image.Update, c image.Change) (map[string]string, error) {
	entry := u.Options.Images[c.Index]
	repo, err := l.e.registries.Repository(ctx, u.App, entry)
	if err != nil {
		return nil, err
	}
	return repo.Labels(ctx, cmp.Or(c.To.Digest, c.To.Tag), entry.Policy.Platforms)
}
