// Package resolve turns a policy into a choice of a tag, with the reasons. Call Resolve; where a tag is indispensable, make
// an error of an empty choice with NoMatch.
//
// A resolution is a pipeline: list, filter by name, let the strategy rank what is left, ask the registry about the best until
// one passes. A strategy is pure: it knows no clock, no network and no logger. Whatever is not known makes the decision
// impossible; nothing is chosen from a part of the tags.
package resolve

import (
	"context"
	"time"

	"github.com/tagpin/tagpin/image"
)

// Repository is what a resolution may ask about one image repository. Package registry implements it behind its cache.
type Repository interface {
	// Tags lists all tags, in no particular order. It never gives a partial list.
	Tags(ctx context.Context) ([]string, error)
	// Describe gives digest, build date and platforms of a tag; platforms (empty: all) restricts whose dates count.
	// Errors wrap image.ErrNotImage or image.ErrTagGone where those apply.
	Describe(ctx context.Context, tag string, platforms []image.Platform) (image.Tag, error)
	// Digest is the current digest of a tag (one HEAD request). Errors are those of Describe. What Describe says afterwards is of
	// this digest, or of a newer one.
	Digest(ctx context.Context, tag string) (string, error)
}

// Resolve finds the newest tag that the entry's policy allows at the time now. When none qualifies, the choice's Tag is empty
// and there is no error. After an error the choice only says what was asked.
func Resolve(ctx context.Context, repo Repository, e image.Entry, now time.Time) (image.Choice, error) {
	c := image.Choice{Image: e.Image, Strategy: e.Policy.Strategy, Constraint: constraint(e.Policy)}
	r := &resolution{repo: repo, policy: e.Policy, now: now}
	ranked, err := r.run(ctx)
	if err != nil {
		return c, err
	}
	c.Candidates = len(ranked)
	c.Rejected = r.rejected.nearestFirst()
	if len(ranked) > 0 {
		c.Tag, c.Digest = ranked[0].name, ranked[0].tag.Digest
	}
	if len(ranked) > 1 {
		c.RunnerUp = ranked[1].name
	}
	return c, nil
}

// A candidate is a tag on its way through the pipeline.
type candidate struct {
	name string
	key  string    // what is compared: the name, or what extract-tags makes of it
	tag  image.Tag // what the registry says of it, once it was asked
	err  error     // why the registry could not say it
}

// A resolution is one run of the pipeline.
type resolution struct {
	repo     Repository
	policy   image.Policy
	now      time.Time
	rejected rejections
	pushed   map[string]image.Tag // by name, where the registry tells and it matters
}

// run gives the candidates that are left, the best first.
func (r *resolution) run(ctx context.Context) ([]*candidate, error) {
	s, err := newStrategy(r.policy)
	if err != nil {
		return nil, err
	}
	tags, err := r.tags(ctx)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	candidates, err := r.filter(tags)
	if err != nil {
		return nil, err
	}
	for _, c := range candidates {
		c.tag = r.pushed[c.name]
	}
	if r.policy.Strategy == image.NewestBuild {
		// The order is in what the registry says of the tags, so all are asked about before they are ranked.
		if candidates, err = r.describeAll(ctx, candidates); err != nil {
			return nil, err
		}
		return r.rankAsTheyAre(ctx, s, candidates)
	}
	ranked, err := r.rank(s, candidates)
	if err != nil {
		return nil, err
	}
	for _, c := range ranked {
		c.tag.Digest = "" // that of a list of pushes need not be what a manifest can name
	}
	return r.walk(ctx, ranked)
}

func (r *resolution) rank(s strategy, candidates []*candidate) ([]*candidate, error) {
	ranked, dropped, err := s.rank(candidates)
	r.rejected = append(r.rejected, dropped...)
	return ranked, err
}

// constraint is the one that has an effect.
func constraint(p image.Policy) string {
	switch {
	case p.Strategy == image.SemVer && p.Constraint == "":
		return anyVersion
	case p.Strategy == image.SemVer, p.Strategy == image.Digest:
		return p.Constraint
	}
	return ""
}
