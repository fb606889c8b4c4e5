// Package image holds the nouns of tagpin: what is watched (Image, Policy), what a registry says (Tag), what was decided
// (Choice) and what Git records (Pin). ParseList reads an image-list, ParseOptions everything an Application can set.
//
// It is a leaf: every other package speaks in these types, so that none of them needs another one's.
package image

import "time"

// An Image names a repository of a registry, as the user wrote it. Manifests keep exactly this spelling; what makes two
// spellings the same repository (docker.io's short names, ACR's VPC hosts) is the registry package's business.
type Image struct {
	// Registry is the host with an optional port, as written. Empty means that none was written: Docker Hub.
	Registry string
	// Repository is the path below the registry, e.g. "haoshuwei24/echo-server".
	Repository string
	// Tag is what follows the colon: a tag in a reference, a version constraint in an image-list entry. May be empty.
	Tag string
	// Digest is "sha256:…" or empty.
	Digest string
}

// An Application is the Argo CD Application that is being rendered, as far as a plugin can know it.
type Application struct {
	// Name is ARGOCD_APP_NAME: "app", or "ns_app" for an application outside Argo CD's own namespace.
	Name string
	// Project is the AppProject. Argo CD before v3.0 doesn't tell it: then it is empty.
	Project string
	// RepoURL, Path and TargetRevision are those of the source. TargetRevision may be empty, which means HEAD.
	RepoURL, Path, TargetRevision string
	// Revision is the resolved commit, or "streamed" when files were uploaded by `argocd app diff --local`.
	Revision string
}

// A Strategy says how the newest of the allowed tags is found.
type Strategy string

// The update strategies. Aliases are resolved while parsing.
const (
	SemVer       Strategy = "semver"
	NewestBuild  Strategy = "newest-build" // alias: latest
	Alphabetical Strategy = "alphabetical" // alias: name
	Digest       Strategy = "digest"
	Numerical    Strategy = "numerical"
	NewestPush   Strategy = "newest-push"
)

// A Tag is what a registry says of one tag. A zero time means unknown.
type Tag struct {
	Name   string
	Digest string // "sha256:…" of the manifest, or of the index where the tag points to one
	// Created is the build date that the image itself claims.
	Created time.Time
	// Pushed is when the registry received the tag, where it tells (ACR Enterprise Edition).
	Pushed time.Time
	// FirstSeen is when this installation first found the tag in a list that lacked it before. It is zero for the tags that
	// were there when the repository was listed for the first time.
	FirstSeen time.Time
	// Platforms are those of the image, or of all the images of the index.
	Platforms []Platform
}

// A Choice is the outcome of one resolution with its reasons. It is a value: "nothing qualifies" is a Choice with an empty
// Tag, and no error.
type Choice struct {
	Image      Image
	Strategy   Strategy
	Constraint string
	// Tag is empty when no tag qualifies.
	Tag string
	// Digest is set when it is known: with the digest strategy, with pin-digest, or where the strategy met it anyway.
	Digest string
	// RunnerUp is the tag that would have been chosen if Tag were not there; empty when there is none.
	RunnerUp string
	// Candidates counts the tags that were left after all filters; Tag is one of them.
	Candidates int
	// Rejected names each tag that was dropped, nearest to qualifying first, and why.
	Rejected []Rejection
	// Stale is how old the answer is on which the choice rests when the registry could not be asked; zero when it is fresh.
	Stale time.Duration
}

// A Rejection says why a tag was not considered.
type Rejection struct {
	Tag    string `json:"tag"`
	Reason string `json:"reason"`
}

// A Pin is one choice as Git records it.
type Pin struct {
	Alias  string `json:"alias,omitempty"  yaml:"alias,omitempty"`
	Image  string `json:"image"            yaml:"image"`
	Tag    string `json:"tag,omitempty"    yaml:"tag,omitempty"`
	Digest string `json:"digest,omitempty" yaml:"digest,omitempty"`
	// Hold is set by a person: this pin is not updated.
	Hold bool `json:"hold,omitempty" yaml:"hold,omitempty"`
}
