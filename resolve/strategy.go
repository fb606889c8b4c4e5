package resolve

import (
	"fmt"

	"github.com/tagpin/tagpin/image"
)

// A strategy orders candidates. It gets them greatest name first and puts the best first, keeping the order of equals: so a
// tie goes to the greatest name. What it can't compare, it drops; what it drops for one reason stays in the order of rank.
type strategy interface {
	rank(candidates []*candidate) (ranked []*candidate, dropped rejections, err error)
}

func newStrategy(p image.Policy) (strategy, error) {
	switch p.Strategy {
	case image.SemVer:
		return newSemVer(p.Constraint)
	case image.NewestBuild:
		return newestBuild{}, nil
	case image.Alphabetical:
		return alphabetical{}, nil
	case image.Numerical:
		return numerical{}, nil
	case image.Digest:
		return newTracked(p.Constraint)
	case image.NewestPush:
		return newestPush{}, nil
	}
	return nil, fmt.Errorf("unknown update-strategy %q: use semver, newest-build, alphabetical, digest, numerical or newest-push", p.Strategy)
}

// A keyed candidate has its key parsed.
type keyed[K any] struct {
	*candidate
	value K
}

// parse reads all keys and drops the candidates whose key is not what the strategy compares.
func parse[K any](candidates []*candidate, read func(string) (K, error), what string) ([]keyed[K], rejections) {
	good := make([]keyed[K], 0, len(candidates))
	var bad rejections
	for _, c := range candidates {
		value, err := read(c.key)
		if err != nil {
			bad.add(c.name, unparsed, unreadable(c, what))
			continue
		}
		good = append(good, keyed[K]{c, value})
	}
	return good, bad
}

func unreadable(c *candidate, what string) string {
	if c.key == c.name {
		return what
	}
	return what + ": extract-tags gives " + quote(c.key)
}
