package image

import "errors"

// ErrNotImage is what a registry's Describe wraps for a tag that points to something other than an image: a Helm chart, a
// signature, an index of attestations alone. Such a tag is dropped with this reason and never makes a decision impossible.
var ErrNotImage = errors.New("not an image")

// ErrTagGone is what a registry's Describe wraps for a tag that vanished between the list and the question: its manifest was
// not found, and a fresh list does not have it either.
var ErrTagGone = errors.New("tag is gone")
