package image

import (
	"errors"
	"fmt"
)

// ErrNotImage is what a registry's Describe wraps for a tag that points to something other than an image: a Helm chart, a
// signature, an index of attestations alone. Such a tag is dropped with this reason and never makes a decision impossible.
var ErrNotImage = errors.New("not an image")

// ErrTagGone is what a registry's Describe wraps for a tag that vanished between the list and the question: its manifest was
// not found, and a fresh list does not have it either.
var ErrTagGone = errors.New("tag is gone")

// ErrElsewhere is what an updater wraps that lacks what another one may have, such as a credential that was lent to that one.
var ErrElsewhere = errors.New("another updater may be able to")

// A NotFollowedError is the branch rule's answer: pins are written on the remote's default branch, or on the branch that
// git-branch names when it is the one that the application runs.
type NotFollowedError struct {
	// Branch is what the application runs.
	Branch string
	// NoBranch is true when the remote has no branch of this name: it is a tag, a commit or a range.
	NoBranch bool
}

func (e *NotFollowedError) Error() string {
	if e.NoBranch {
		return fmt.Sprintf("not followed: %s is no branch of the repository, and pins are written to branches alone", e.Branch)
	}
	return fmt.Sprintf("not followed: %s is not the branch that is updated: set git-branch: %s", e.Branch, e.Branch)
}
