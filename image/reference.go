package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

// dockerHub is the name that go-containerregistry gives Docker Hub, so that Host can be compared with its names.
const dockerHub = "index.docker.io"

var (
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestPattern = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)
	// constraintPattern admits what a version range or a tag can be made of. It has no "/", ":" or "@", so that a reference
	// can always be told apart into its parts.
	constraintPattern = regexp.MustCompile(`^[A-Za-z0-9_.+*^~<>=!|, -]+$`)
)

// ParseImage reads one reference: [<registry>/]<repository>[:<tag or constraint>][@sha256:<hex>]. The registry is the first
// path element if it holds a dot or a colon or is "localhost", as in Docker; the tag may be any version constraint (">=1.0 <2.0").
// The result keeps the spelling. Whether Tag is a tag is checked by ValidTag.
func ParseImage(s string) (Image, error) {
	img, err := parseReference(s)
	if err != nil {
		return Image{}, fmt.Errorf("image %q: %w", shorten(s), err)
	}
	return img, nil
}

func parseReference(s string) (Image, error) {
	name, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		if err := ValidDigest(digest); err != nil {
			return Image{}, err
		}
	}
	path := strings.LastIndex(name, "/") + 1 // a colon before it is that of a port
	last, tag, hasTag := strings.Cut(name[path:], ":")
	name, tag = name[:path]+last, strings.TrimSpace(tag)
	switch {
	case hasTag && tag == "":
		return Image{}, errors.New("nothing follows the colon: add a tag or a constraint, or remove the colon")
	case hasTag && !constraintPattern.MatchString(tag):
		return Image{}, fmt.Errorf("%q is neither a tag nor a version constraint", shorten(tag))
	}
	if err := validName(name); err != nil {
		return Image{}, err
	}
	registry, repository := splitName(name)
	return Image{Registry: registry, Repository: repository, Tag: tag, Digest: digest}, nil
}

func validName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case strings.Contains(name, "://"):
		return errors.New("a name has no scheme: remove what stands before the host")
	}
	_, repository := splitName(name)
	if strings.ToLower(repository) != repository {
		return errors.New("a repository is written in lower case")
	}
	if _, err := reference.ParseNormalizedNamed(name); err != nil {
		return fmt.Errorf("%q is no image name: [<registry>/]<repository> is expected", shorten(name))
	}
	return nil
}

// splitName cuts the registry off by Docker's rule (distribution/reference applies the same, but normalises the spelling).
func splitName(name string) (registry, repository string) {
	first, rest, found := strings.Cut(name, "/")
	if found && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first, rest
	}
	return "", name
}

// Name is the registry and the repository as written, without tag and digest.
func (i Image) Name() string {
	if i.Registry == "" {
		return i.Repository
	}
	return i.Registry + "/" + i.Repository
}

// String is the whole reference as ParseImage reads it.
func (i Image) String() string {
	s := i.Name()
	if i.Tag != "" {
		s += ":" + i.Tag
	}
	if i.Digest != "" {
		s += "@" + i.Digest
	}
	return s
}

// WithTag is the same repository with another tag. It has no digest, since a digest belongs to the tag that it was found for.
func (i Image) WithTag(tag string) Image {
	i.Tag, i.Digest = tag, ""
	return i
}

// Host is the registry's host and port as go-containerregistry names it: Docker Hub, written or implied, is
// "index.docker.io"; everything else is lower-cased but otherwise as written.
func (i Image) Host() string {
	switch host := strings.ToLower(i.Registry); host {
	case "", "docker.io":
		return dockerHub
	default:
		return host
	}
}

// CanonicalRepository is the repository with "library/" where it is implied: for one-element names of Docker Hub, and for no
// other registry.
func (i Image) CanonicalRepository() string {
	if i.Host() == dockerHub && !strings.Contains(i.Repository, "/") {
		return "library/" + i.Repository
	}
	return i.Repository
}

// ValidTag checks a tag against the OCI distribution specification: a letter, digit or underscore, then up to 127 of these,
// dots and dashes.
func ValidTag(tag string) error {
	if !tagPattern.MatchString(tag) {
		return fmt.Errorf("%q is not a valid tag: letters, digits, '_', '.' and '-', at most 128, not starting with '.' or '-'", shorten(tag))
	}
	return nil
}

// ValidDigest checks for "sha256:" and 64 lower-case hexadecimal digits. Other algorithms are refused: no registry in use
// addresses images by them.
func ValidDigest(digest string) error {
	if !digestPattern.MatchString(digest) {
		return fmt.Errorf("%q is not a valid digest: sha256: and 64 lower-case hexadecimal digits", shorten(digest))
	}
	return nil
}

// shorten keeps what came from outside from filling a message.
func shorten(s string) string {
	const most = 160 // a tag and a bit
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
