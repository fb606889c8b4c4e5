// Package resolve turns a policy into a choice of a tag, with the reasons. Call Resolve.
package resolve

import (
	"context"
	"errors"
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
	// Digest is the current digest of a tag (one HEAD request).
	Digest(ctx context.Context, tag string) (string, error)
}

// Resolve finds the newest tag that the entry's policy allows. When none qualifies, the choice's Tag is empty and there is
// no error; NoMatch makes one of it.
func Resolve(ctx context.Context, repo Repository, e image.Entry, now time.Time) (image.Choice, error) {
	return image.Choice{}, errors.New("resolve: not written yet")
}

// NoMatch is the error for callers that cannot go on without a tag: it counts the reasons of a choice that found none.
func NoMatch(c image.Choice) error {
	return errors.New("no tag qualifies")
}
