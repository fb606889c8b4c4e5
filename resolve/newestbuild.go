package resolve

import (
	"fmt"
	"slices"
	"time"

	"github.com/tagpin/tagpin/image"
)

// newestBuild ranks by the build date that the images claim, and refuses to where the dates don't tell.
type newestBuild struct{}

const insteadOfDates = "use update-strategy semver, numerical (with extract-tags) or newest-push, or leave tags out with ignore-tags"

// firstRealDate is the end of the dates that builders write to be reproducible: the epoch, and 1980-01-01, the first day of
// ZIP and of Cloud Native Buildpacks.
var firstRealDate = time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC)

func dated(t image.Tag) bool { return t.Created.After(firstRealDate) }

func newerFirst(a, b *candidate) int { return b.tag.Created.Compare(a.tag.Created) }

func (newestBuild) rank(candidates []*candidate) ([]*candidate, rejections, error) {
	if len(candidates) < 2 {
		return candidates, nil, nil // nothing to compare
	}
	slices.SortStableFunc(candidates, newerFirst)
	ranked, undated := split(candidates, func(c *candidate) bool { return dated(c.tag) })
	if len(ranked) == 0 {
		if sameImage(undated) {
			return undated, nil, nil
		}
		return nil, nil, fmt.Errorf("none of the images carries a real build date (%s): %s", names(undated), insteadOfDates)
	}
	newest := ranked[0].tag.Created
	top, _ := split(ranked, func(c *candidate) bool { return c.tag.Created.Equal(newest) })
	if !sameImage(top) {
		return nil, nil, fmt.Errorf("different images were built at %s, the newest date (%s): %s",
			newest.UTC().Format(time.RFC3339), names(top), insteadOfDates)
	}
	var dropped rejections
	for _, c := range undated {
		if at, how := arrival(c.tag); at.After(newest) {
			return nil, nil, fmt.Errorf("tag %s carries no real build date, but was %s at %s, after %s was built: %s",
				c.name, how, at.UTC().Format(time.RFC3339), ranked[0].name, insteadOfDates)
		}
		dropped.add(c.name, misdated, "without a real build date")
	}
	return ranked, dropped, nil
}

// split cuts behind the last of the leading candidates for which a condition holds.
func split(cs []*candidate, holds func(*candidate) bool) (head, tail []*candidate) {
	n := slices.IndexFunc(cs, func(c *candidate) bool { return !holds(c) })
	if n < 0 {
		n = len(cs)
	}
	return cs[:n], cs[n:]
}

// sameImage says whether it doesn't matter which one is chosen.
func sameImage(cs []*candidate) bool {
	for _, c := range cs[1:] {
		if c.tag.Digest == "" || c.tag.Digest != cs[0].tag.Digest {
			return false
		}
	}
	return true
}

func names(cs []*candidate) string {
	return few(cs, func(c *candidate) string { return c.name })
}
