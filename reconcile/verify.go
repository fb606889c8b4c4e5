package reconcile

import (
	"context"

	"github.com/tagpin/tagpin/image"
)

// A Verifier knows what is true of an application beyond what a render said.
type Verifier interface {
	// Verify compares. files are what the branch holds of the .argocd-source files, by their paths; nil where they are not known.
	// A reason says why nothing may be written for the application; an error, that it could not be found out.
	Verify(ctx context.Context, h Hint, files map[string][]byte) (reason string, err error)
}

// An Overrider reads the .argocd-source files of an application, which Argo CD merges into its source.
type Overrider interface {
	Overrides(ctx context.Context, p image.Place, b image.Branch, app image.Application) (map[string][]byte, error)
}

// verify asks before something is written.
func (l *Loop) verify(ctx context.Context, p image.Place, b image.Branch, c *check) (reason string, err error) {
	if l.o.Verifier == nil {
		return "", nil
	}
	var files map[string][]byte
	if l.o.Overrides != nil && p.RepoURL == c.update.App.RepoURL {
		if files, err = l.o.Overrides.Overrides(ctx, p, b, c.update.App); err != nil {
			return "", err
		}
	}
	return l.o.Verifier.Verify(ctx, c.hint, files)
}

// permitted stops an application that may not be written.
func (l *Loop) permitted(ctx context.Context, p image.Place, b image.Branch, c *check, commit image.Commit) bool {
	for _, change := range commit.Changes {
		if l.o.ExistingOnly && change.From.Tag == "" && change.From.Digest == "" {
			c.stop(image.Refused, errFirstPin)
			return false
		}
	}
	reason, err := l.verify(ctx, p, b, c)
	switch {
	case err != nil:
		c.stop(image.Blocked, err)
	case reason != "":
		c.stop(image.Refused, refusal(reason))
	default:
		return true
	}
	return false
}

type refusal string

func (r refusal) Error() string { return string(r) }

const errFirstPin = refusal("the operator's setting updates.first-pin is existing, so the first pin is a person's: commit one (tagpin pin " +
	"writes it into a checkout)")
