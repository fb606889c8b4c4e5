package resolve

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tagpin/tagpin/image"
)

const (
	// rechecked is how many of the best candidates are asked what they point to now. A tag that was moved to another image has
	// another date; below them it is found out by the age of what is known.
	rechecked = 5
	// rerankings bounds how often the order may change while it is looked at.
	rerankings = 5
)

var errMoving = errors.New("tags are moved faster than they can be compared: the next check tries again")

// rankAsTheyAre ranks candidates by what their tags point to now, as far as that decides: while one of the best turns out to have
// been moved, it is described again and all are ranked again.
func (r *resolution) rankAsTheyAre(ctx context.Context, s strategy, candidates []*candidate) ([]*candidate, error) {
	before := len(r.rejected)
	for range rerankings {
		r.rejected = r.rejected[:before]
		ranked, err := r.rank(s, slices.Clone(candidates))
		if err != nil {
			return nil, err
		}
		moved, err := r.recheck(ctx, ranked[:min(rechecked, len(ranked))])
		if err != nil {
			return nil, err
		}
		if !moved {
			return ranked, nil
		}
		r.rejected = r.rejected[:before]
		candidates = slices.DeleteFunc(candidates, func(c *candidate) bool { return !r.admit(c) })
		before = len(r.rejected)
	}
	return nil, errMoving
}

// recheck asks what candidates point to, and describes again those that point to something else.
func (r *resolution) recheck(ctx context.Context, candidates []*candidate) (moved bool, err error) {
	var g errgroup.Group
	g.SetLimit(atOnce)
	changed := make([]bool, len(candidates))
	for i, c := range candidates {
		g.Go(func() error {
			digest, err := r.repo.Digest(ctx, c.name)
			if err == nil && digest == c.tag.Digest {
				return nil
			}
			if changed[i], c.err = true, err; err == nil {
				c.err = r.ask(ctx, c)
			}
			return fatal(ctx, c)
		})
	}
	err = g.Wait()
	return slices.Contains(changed, true), err
}

// describeNow is Describe of what a tag points to now.
func (r *resolution) describeNow(ctx context.Context, tag string) (image.Tag, error) {
	if _, err := r.repo.Digest(ctx, tag); err != nil {
		return image.Tag{}, err
	}
	return r.repo.Describe(ctx, tag, r.policy.Platforms)
}
