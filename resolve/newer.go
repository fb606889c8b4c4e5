package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/tagpin/tagpin/image"
)

// Newer says whether a tag comes after another by the policy's own order, whatever its filters and its constraint admit. A tag
// that the order knows nothing of (no version, under semver) comes before every one that it ranks, so that a policy can take
// over from whatever stood there before. Under newest-build both tags are asked about: an error means that they can't be
// compared, as when the other one is gone.
func Newer(ctx context.Context, repo Repository, e image.Entry, tag, than string) (bool, error) {
	if tag == than {
		return false, nil
	}
	r := &resolution{repo: repo, policy: e.Policy}
	switch e.Policy.Strategy {
	case image.SemVer:
		return later(r, tag, than, semver.NewVersion, (*semver.Version).Compare)
	case image.Numerical:
		return later(r, tag, than, readNumber, (*big.Rat).Cmp)
	case image.Alphabetical:
		return later(r, tag, than, func(key string) (string, error) { return key, nil }, strings.Compare)
	case image.NewestBuild:
		return r.builtLater(ctx, tag, than)
	case image.NewestPush:
		return r.comparePushes(ctx, tag, than)
	case image.Digest:
		return true, nil // another tag is tracked now: its constraint was changed by a person
	}
	return false, fmt.Errorf("update-strategy %s has no order of two tags", e.Policy.Strategy)
}

// later compares what the strategy reads of two tags; equals go by name, as in a choice.
func later[K any](r *resolution, tag, than string, read func(string) (K, error), compare func(a, b K) int) (bool, error) {
	a, err := read(r.keyOf(tag))
	if err != nil {
		return false, fmt.Errorf("tag %s: %w", tag, err)
	}
	b, err := read(r.keyOf(than))
	if err != nil {
		return true, nil //nolint:nilerr // not in this order at all: anything ranked comes after it
	}
	return cmp.Or(compare(a, b), strings.Compare(tag, than)) > 0, nil
}

// keyOf is what is compared of a tag, although a filter may drop it.
func (r *resolution) keyOf(tag string) string {
	if r.policy.ExtractTags == "" {
		return tag
	}
	groups, _ := r.groups(tag)
	if groups == nil {
		return ""
	}
	return string(r.policy.AllowTags.ExpandString(nil, r.policy.ExtractTags, tag, groups))
}

func (r *resolution) builtLater(ctx context.Context, tag, than string) (bool, error) {
	a, err := r.describeNow(ctx, tag)
	if err != nil {
		return false, fmt.Errorf("asking about tag %s: %w", tag, err)
	}
	b, err := r.describeNow(ctx, than)
	switch {
	case errors.Is(err, image.ErrNotImage):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("asking about tag %s: %w", than, err)
	case !dated(a) || !dated(b):
		return false, fmt.Errorf("%s or %s carries no real build date", tag, than)
	}
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(tag, than)) > 0, nil
}
