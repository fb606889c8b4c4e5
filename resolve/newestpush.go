package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tagpin/tagpin/image"
)

// A PushTeller is a Repository that may know when tags were pushed. The error wraps errors.ErrUnsupported where the registry
// can't tell. The list holds all tags, or there is an error.
type PushTeller interface {
	Pushes(ctx context.Context) ([]image.Tag, error)
}

// newestPush ranks by the time when the registry got the tag last. No image is asked for its date, so it also serves images
// that carry none.
type newestPush struct{}

func pushedLater(a, b *candidate) int { return b.tag.Pushed.Compare(a.tag.Pushed) }

const insteadOfPushes = "leave tags out with ignore-tags, or use update-strategy semver or numerical"

func (newestPush) rank(candidates []*candidate) ([]*candidate, rejections, error) {
	if len(candidates) < 2 {
		return candidates, nil, nil // nothing to compare
	}
	for _, c := range candidates {
		if c.tag.Pushed.IsZero() {
			return nil, nil, fmt.Errorf("the registry does not tell when tag %s was pushed: %s", c.name, insteadOfPushes)
		}
	}
	slices.SortStableFunc(candidates, pushedLater)
	newest := candidates[0].tag.Pushed
	top, _ := split(candidates, func(c *candidate) bool { return c.tag.Pushed.Equal(newest) })
	if !sameImage(top) {
		return nil, nil, fmt.Errorf("different images were pushed at %s, the newest time (%s): %s",
			newest.UTC().Format(time.RFC3339), names(top), insteadOfPushes)
	}
	return candidates, nil, nil
}

// errNoPushes is what a repository says that was never made to tell.
var errNoPushes = fmt.Errorf("this registry does not tell when a tag was pushed (ACR's Enterprise edition does): "+
	"use newest-build, semver or numerical: %w", errors.ErrUnsupported)

func (r *resolution) pushes(ctx context.Context) (map[string]image.Tag, error) {
	teller, ok := r.repo.(PushTeller)
	if !ok {
		return nil, errNoPushes
	}
	tags, err := teller.Pushes(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]image.Tag, len(tags))
	for _, t := range tags {
		known[t.Name] = t
	}
	return known, nil
}

// tags lists what there is to choose from. With newest-push the list with the times is the only one that is asked for.
func (r *resolution) tags(ctx context.Context) ([]string, error) {
	if r.policy.Strategy != image.NewestPush {
		tags, err := r.repo.Tags(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing tags: %w", err)
		}
		return tags, r.learnPushes(ctx)
	}
	var err error
	if r.pushed, err = r.pushes(ctx); err != nil {
		return nil, fmt.Errorf("update-strategy newest-push: %w", err)
	}
	tags := make([]string, 0, len(r.pushed))
	for name := range r.pushed {
		tags = append(tags, name)
	}
	return tags, nil
}

// learnPushes finds out what min-age counts from, where the registry tells it.
func (r *resolution) learnPushes(ctx context.Context) (err error) {
	if r.policy.MinAge <= 0 {
		return nil
	}
	r.pushed, err = r.pushes(ctx)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("asking when tags were pushed, for min-age: %w", err)
	}
	return nil
}

// comparePushes is Newer for newest-push.
func (r *resolution) comparePushes(ctx context.Context, tag, than string) (bool, error) {
	known, err := r.pushes(ctx)
	if err != nil {
		return false, fmt.Errorf("update-strategy newest-push: %w", err)
	}
	a, b := known[tag], known[than]
	if a.Pushed.IsZero() || b.Pushed.IsZero() {
		return false, fmt.Errorf("the registry does not tell when %s or %s was pushed: one may be gone", tag, than)
	}
	return cmp.Or(a.Pushed.Compare(b.Pushed), strings.Compare(tag, than)) > 0, nil
}
