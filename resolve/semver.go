package resolve

import (
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
)

// anyVersion is the constraint when there is none; it admits no pre-release.
const anyVersion = "*"

// semVer ranks versions that satisfy a constraint: 1, 1.2 and v1.2.3 are versions, 1.2.3.4 is none.
type semVer struct {
	constraint semver.Constraints
	text       string
}

func newSemVer(constraint string) (strategy, error) {
	if constraint == "" {
		constraint = anyVersion
	}
	c, err := semver.NewConstraint(constraint)
	if err != nil {
		return nil, fmt.Errorf("constraint %q is no version range (%w): write one like ^1.2, ~1.2, 1.x or >=1.2 <2", constraint, err)
	}
	return semVer{*c, constraint}, nil
}

func (s semVer) rank(candidates []*candidate) ([]*candidate, rejections, error) {
	versions, dropped := parse(candidates, semver.NewVersion, "not a version")
	slices.SortStableFunc(versions, func(a, b keyed[*semver.Version]) int { return b.value.Compare(a.value) })

	withPre := s.constraint
	withPre.IncludePrerelease = true
	outside := "outside the constraint " + s.text
	pre := "a pre-release, and the constraint " + s.text + " admits none"
	var ranked []*candidate
	for _, v := range versions {
		switch {
		case s.constraint.Check(v.value):
			ranked = append(ranked, v.candidate)
		case v.value.Prerelease() != "" && withPre.Check(v.value):
			dropped.add(v.name, preRelease, pre)
		default:
			dropped.add(v.name, outOfRange, outside)
		}
	}
	return ranked, dropped, nil
}
