package image

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// A PolicySpec is a Policy as people write it: in parameters, or in flags of the same names. Empty fields have the defaults:
// the strategy semver, the constraint "*", any tag, any platform, any age.
type PolicySpec struct {
	Strategy    string   // update-strategy
	Constraint  string   // what follows the image's colon
	AllowTags   string   // "any" or "regexp:<RE2>"
	IgnoreTags  []string // globs
	ExtractTags string   // template over the groups of AllowTags
	Platforms   []string // os/arch[/variant]
	MinAge      string   // Go duration, with days: "7d", "36h"
	PinDigest   bool
}

// NewPolicy validates a PolicySpec. Its errors begin with the parameter's name.
func NewPolicy(spec PolicySpec) (Policy, error) {
	p := Policy{Constraint: spec.Constraint, IgnoreTags: spec.IgnoreTags, ExtractTags: spec.ExtractTags, PinDigest: spec.PinDigest}
	var err error
	if p.Strategy, err = ParseStrategy(cmp.Or(spec.Strategy, string(SemVer))); err != nil {
		return Policy{}, fmt.Errorf("update-strategy: %w", err)
	}
	if p.Constraint, err = checkConstraint(p.Strategy, spec.Constraint); err != nil {
		return Policy{}, fmt.Errorf("update-strategy: %w", err)
	}
	if p.AllowTags, err = ParseAllowTags(cmp.Or(spec.AllowTags, "any")); err != nil {
		return Policy{}, fmt.Errorf("allow-tags: %w", err)
	}
	for _, glob := range spec.IgnoreTags {
		if err := validGlob(glob); err != nil {
			return Policy{}, fmt.Errorf("ignore-tags: %w", err)
		}
	}
	if err := checkExtract(p.ExtractTags, p.AllowTags); err != nil {
		return Policy{}, fmt.Errorf("extract-tags: %w", err)
	}
	for _, s := range spec.Platforms {
		platform, err := ParsePlatform(s)
		if err != nil {
			return Policy{}, fmt.Errorf("platforms: %w", err)
		}
		p.Platforms = append(p.Platforms, platform)
	}
	if p.MinAge, err = ParseAge(cmp.Or(spec.MinAge, "0")); err != nil {
		return Policy{}, fmt.Errorf("min-age: %w", err)
	}
	return p, nil
}

// Strategies are the names of all update strategies, the default first, without aliases.
func Strategies() []string {
	return []string{string(SemVer), string(NewestBuild), string(Alphabetical), string(Digest), string(Numerical), string(NewestPush)}
}

// ParseStrategy reads the name of an update strategy or one of its aliases, in upper or lower case.
func ParseStrategy(s string) (Strategy, error) {
	switch name := strings.ToLower(s); name {
	case "latest":
		return NewestBuild, nil
	case "name":
		return Alphabetical, nil
	default:
		for _, known := range Strategies() {
			if name == known {
				return Strategy(known), nil
			}
		}
	}
	return "", fmt.Errorf("unknown update strategy %q: %s", shorten(s), didYouMean(s, append(Strategies(), "latest", "name")))
}

func checkConstraint(s Strategy, constraint string) (string, error) {
	switch s {
	case SemVer:
		constraint = cmp.Or(constraint, "*")
		if _, err := semver.NewConstraint(constraint); err != nil {
			return "", fmt.Errorf("semver needs a version range, and %q is none: write one such as ~1.2, ^1 or >=1.0 <2.0 after the image's colon, "+
				"or take the strategy digest to follow this one tag", shorten(constraint))
		}
	case Digest:
		if constraint == "" {
			return "", errors.New("digest follows one tag: write it after the image, <image>:<tag>")
		}
		if err := ValidTag(constraint); err != nil {
			return "", fmt.Errorf("digest follows one tag: %w", err)
		}
	}
	return constraint, nil
}

// ParseAllowTags reads "any" (in upper or lower case), which is nil, or "regexp:<RE2>", which is not anchored.
func ParseAllowTags(s string) (*regexp.Regexp, error) {
	if strings.EqualFold(s, "any") {
		return nil, nil //nolint:nilnil // no expression is what "any" means in Policy
	}
	function, expression, found := strings.Cut(s, ":")
	if !found {
		return nil, fmt.Errorf(`%q is neither "any" nor "regexp:<expression>": write "regexp:%s" if it is an expression`, shorten(s), shorten(s))
	}
	if function != "regexp" {
		return nil, fmt.Errorf(`unknown match function %q: write "regexp:<expression>" or "any"`, shorten(function))
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("%w (the syntax is RE2's, without look-around and back-references)", err)
	}
	return re, nil
}

func validGlob(glob string) error {
	if glob == "" {
		return errors.New("a pattern is empty")
	}
	if _, err := path.Match(glob, ""); err != nil {
		return fmt.Errorf("%q is no pattern: a bracket is not closed, or nothing follows a backslash", shorten(glob))
	}
	return nil
}

// groupPattern finds the references of a regexp.Expand template, and the "$" that are none.
var groupPattern = regexp.MustCompile(`\$(?:(\$)|\{([\pL\p{Nd}_]+)\}|([\pL\p{Nd}_]+))?`)

// checkExtract makes sure that every reference of the template names a group: Expand would silently put nothing in its place.
func checkExtract(template string, allow *regexp.Regexp) error {
	if template == "" {
		return nil
	}
	if allow == nil {
		return errors.New(`needs allow-tags: regexp:<expression>, whose groups it names, e.g. "$ts" for (?P<ts>[0-9]+)`)
	}
	references := 0
	for _, m := range groupPattern.FindAllStringSubmatch(template, -1) {
		group := m[2] + m[3]
		switch {
		case m[1] != "":
			continue
		case group == "":
			return fmt.Errorf(`%q has a "$" that names no group: write $name, ${name} or ${1}, and $$ for a dollar sign`, shorten(template))
		case !hasGroup(allow, group):
			return fmt.Errorf("%q names the group %q, which allow-tags does not have: write ${…} around a group's name where a letter, "+
				"digit or underscore follows", shorten(template), shorten(group))
		}
		references++
	}
	if references == 0 {
		return fmt.Errorf("%q names no group of allow-tags, so all tags would be equal: write $name or ${1}", shorten(template))
	}
	return nil
}

func hasGroup(re *regexp.Regexp, group string) bool {
	if n, err := strconv.Atoi(group); err == nil {
		return n <= re.NumSubexp()
	}
	return re.SubexpIndex(group) >= 0
}

var daysPattern = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

// ParseAge reads a Go duration ("36h", "90m") that may begin with days of 24 hours ("7d", "1d12h"). It is never negative.
func ParseAge(s string) (time.Duration, error) {
	days, rest := time.Duration(0), s
	if m := daysPattern.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, err
		}
		days, rest = time.Duration(n)*24*time.Hour, cmp.Or(m[2], "0")
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write a number and a unit, such as 30m, 36h or 7d", shorten(s))
	}
	if d < 0 || days+d < 0 {
		return 0, fmt.Errorf("%q is negative or too long", shorten(s))
	}
	return days + d, nil
}

var platformPattern = regexp.MustCompile(`^([a-z0-9]+)/([a-z0-9_]+)(?:/([a-z0-9_.-]+))?$`)

// ParsePlatform reads os/arch[/variant] in the words of the OCI image index, which are Go's: linux/amd64, linux/arm/v7.
func ParsePlatform(s string) (Platform, error) {
	m := platformPattern.FindStringSubmatch(s)
	if m == nil {
		return Platform{}, fmt.Errorf("%q is no platform: write os/architecture or os/architecture/variant, such as linux/amd64", shorten(s))
	}
	for uname, goarch := range map[string]string{"x86_64": "amd64", "x64": "amd64", "aarch64": "arm64"} {
		if m[2] == uname {
			return Platform{}, fmt.Errorf("%q is no platform of images: write %s/%s", s, m[1], goarch)
		}
	}
	return Platform{OS: m[1], Architecture: m[2], Variant: m[3]}, nil
}

// String is the platform as ParsePlatform reads it.
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Matches says whether an image for the offered platform will do where p is wanted. Without a variant p accepts any.
func (p Platform) Matches(offered Platform) bool {
	return p.OS == offered.OS && p.Architecture == offered.Architecture &&
		(p.Variant == "" || p.variant() == offered.variant())
}

// variant fills in the one that an arm64 image has when it names none (containerd normalises in the same way).
func (p Platform) variant() string {
	if p.Architecture == "arm64" {
		return cmp.Or(p.Variant, "v8")
	}
	return p.Variant
}
