package resolve

import (
	"slices"
	"strings"
)

// alphabetical ranks by bytes: 9 is above 10, and a above B.
type alphabetical struct{}

func (alphabetical) rank(candidates []*candidate) ([]*candidate, rejections, error) {
	slices.SortStableFunc(candidates, func(a, b *candidate) int { return strings.Compare(b.key, a.key) })
	return candidates, nil, nil
}
