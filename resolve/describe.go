package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tagpin/tagpin/image"
)

const (
	// atOnce is how many questions a resolution has open at a time: enough to hide latency, few enough for a registry's limits.
	atOnce = 16
	// clockSkew is how far ahead of ours a builder's clock may be before its date counts as false.
	clockSkew = 5 * time.Minute
)

// describeAll asks about all candidates and gives those that pass. It stops at the first failure.
func (r *resolution) describeAll(ctx context.Context, candidates []*candidate) ([]*candidate, error) {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, c := range candidates {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			c.err = r.ask(gctx, c)
			return fatal(ctx, c)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(candidates, newerFirst) // so that rejections come in the order of dates
	return slices.DeleteFunc(candidates, func(c *candidate) bool { return !r.admit(c) }), nil
}

// walk drops ranked candidates from the best down until one passes; those behind it are not asked about. It looks ahead a
// little further with each step, since where several in a row don't pass, more may follow.
func (r *resolution) walk(ctx context.Context, ranked []*candidate) ([]*candidate, error) {
	for ahead := 1; len(ranked) > 0; ahead = min(2*ahead, atOnce) {
		batch := ranked[:min(ahead, len(ranked))]
		var g errgroup.Group
		for _, c := range batch {
			g.Go(func() error {
				c.err = r.ask(ctx, c)
				return nil // it counts only when it is this candidate's turn
			})
		}
		_ = g.Wait()
		for i, c := range batch {
			if err := fatal(ctx, c); err != nil {
				return nil, err
			}
			if r.admit(c) {
				return ranked[i:], nil
			}
		}
		ranked = ranked[len(batch):]
	}
	return nil, nil
}

// ask asks the registry what the policy needs to know of a candidate, and no more.
func (r *resolution) ask(ctx context.Context, c *candidate) (err error) {
	p := r.policy
	pushed := c.tag.Pushed
	if p.Strategy == image.NewestBuild || len(p.Platforms) > 0 || p.MinAge > 0 && pushed.IsZero() {
		if c.tag, err = r.repo.Describe(ctx, c.name, p.Platforms); err != nil {
			return err
		}
		if !pushed.IsZero() {
			c.tag.Pushed = pushed
		}
	}
	if (p.PinDigest || p.Strategy == image.Digest) && c.tag.Digest == "" {
		c.tag.Digest, err = r.repo.Digest(ctx, c.name)
	}
	return err
}

// fatal is the error of a candidate about which nothing is known, so that no decision is possible.
func fatal(ctx context.Context, c *candidate) error {
	switch {
	case c.err == nil, errors.Is(c.err, image.ErrNotImage), errors.Is(c.err, image.ErrTagGone):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("asking about tag %s: %w", c.name, ctx.Err())
	}
	return fmt.Errorf("no decision without knowing tag %s: %w (if it is not meant to be deployed, add it to ignore-tags)", c.name, c.err)
}

// admit says whether a candidate passes, now that the registry was asked; if not, it is rejected.
func (r *resolution) admit(c *candidate) bool {
	at, why := r.objection(c)
	if why != "" {
		r.rejected.add(c.name, at, why)
	}
	return why == ""
}

func (r *resolution) objection(c *candidate) (stage, string) {
	switch {
	case errors.Is(c.err, image.ErrTagGone):
		return unknown, "gone from the registry"
	case errors.Is(c.err, image.ErrNotImage):
		return unknown, "not an image"
	case r.policy.Strategy == image.NewestBuild && c.tag.Created.After(r.now.Add(clockSkew)):
		return misdated, "built in the future: " + c.tag.Created.UTC().Format(time.RFC3339)
	}
	for _, want := range r.policy.Platforms {
		if !offers(c.tag.Platforms, want) {
			return otherPlatform, "without platform " + want.String() + ": has " + cmp.Or(few(c.tag.Platforms, func(p image.Platform) string { return printable(p.String()) }), "none")
		}
	}
	return tooYoung, r.youth(c.tag)
}

// youth says why a tag is not old enough, or nothing.
func (r *resolution) youth(t image.Tag) string {
	if r.policy.MinAge <= 0 {
		return ""
	}
	at, how := arrival(t)
	if at.IsZero() && dated(t) {
		// The tag was there when the repository was first listed: the image's own claim is all there is.
		at, how = t.Created, "built"
	}
	if at.IsZero() {
		return "of unknown age, and min-age is set"
	}
	if age := r.now.Sub(at); age < r.policy.MinAge {
		return fmt.Sprintf("younger than min-age %s: %s %s ago", short(r.policy.MinAge), how, short(max(age, 0)))
	}
	return ""
}

// arrival is when the registry got the tag, as far as that is known to somebody other than its builder.
func arrival(t image.Tag) (at time.Time, how string) {
	if !t.Pushed.IsZero() {
		return t.Pushed, "pushed"
	}
	return t.FirstSeen, "first seen"
}

// short writes 24h for 24h0m0s.
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// offers says whether one of an image's platforms will do.
func offers(have []image.Platform, want image.Platform) bool {
	return slices.ContainsFunc(have, want.Matches)
}
