package image

import (
	"regexp"
	"time"
)

// A Policy says which tag of a repository is wanted. It is made by ParseOptions or NewPolicy, which validate it: a strategy
// can rely on every field.
type Policy struct {
	Strategy Strategy
	// Constraint is a version range for SemVer, the tracked tag for Digest, and without effect elsewhere.
	Constraint string
	// AllowTags must match the tag somewhere (RE2, unanchored). Nil allows any.
	AllowTags *regexp.Regexp
	// IgnoreTags are path.Match globs; a tag that matches one is dropped.
	IgnoreTags []string
	// ExtractTags is a template over AllowTags' groups ("$ts", "${1}"); its expansion is compared instead of the tag.
	ExtractTags string
	// Platforms must all be offered by the image. Empty: any.
	Platforms []Platform
	// MinAge is how old a tag must be before it is considered.
	MinAge time.Duration
	// PinDigest makes the choice record the digest, and manifests name it.
	PinDigest bool
}

// A Platform is what an image runs on, in the words of the OCI image index.
type Platform struct{ OS, Architecture, Variant string }
