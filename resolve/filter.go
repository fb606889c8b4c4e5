package resolve

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tagpin/tagpin/image"
)

// filter drops tags by their name alone. The rest comes greatest name first, each once, whatever the order of the list.
func (r *resolution) filter(tags []string) ([]*candidate, error) {
	if r.policy.ExtractTags != "" && r.policy.AllowTags == nil {
		return nil, errors.New("extract-tags takes the groups of allow-tags, and that is not set: set allow-tags to regexp:<expression>")
	}
	for _, glob := range r.policy.IgnoreTags {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, fmt.Errorf("ignore-tags %q is no glob: close its brackets, and escape what is meant literally with \\", glob)
		}
	}
	sorted := slices.Clone(tags)
	slices.SortFunc(sorted, func(a, b string) int { return strings.Compare(b, a) })
	sorted = slices.Compact(sorted)
	left := make([]*candidate, 0, len(sorted))
	for _, tag := range sorted {
		key, at, why := r.screen(tag)
		if why == "" {
			left = append(left, &candidate{name: tag, key: key})
			continue
		}
		if at == malformed {
			tag = quote(tag)
		}
		r.rejected.add(tag, at, why)
	}
	return left, nil
}

// screen gives what is compared of a tag, or the filter that drops it and why.
func (r *resolution) screen(tag string) (key string, at stage, why string) {
	if image.ValidTag(tag) != nil {
		return "", malformed, "not a valid tag"
	}
	groups, allowed := r.groups(tag)
	if !allowed {
		return "", notAllowed, "not matched by allow-tags"
	}
	for _, glob := range r.policy.IgnoreTags {
		if hit, err := path.Match(glob, tag); hit && err == nil {
			return "", ignored, "in ignore-tags as " + quote(glob)
		}
	}
	if r.policy.ExtractTags == "" || !extracts(r.policy.Strategy) {
		return tag, 0, ""
	}
	key = string(r.policy.AllowTags.ExpandString(nil, r.policy.ExtractTags, tag, groups))
	if key == "" {
		return "", unparsed, "without anything that extract-tags takes"
	}
	return key, 0, ""
}

func (r *resolution) groups(tag string) (groups []int, allowed bool) {
	switch {
	case r.policy.AllowTags == nil:
		return nil, true
	case r.policy.ExtractTags == "": // much cheaper than finding groups
		return nil, r.policy.AllowTags.MatchString(tag)
	}
	groups = r.policy.AllowTags.FindStringSubmatchIndex(tag)
	return groups, groups != nil
}

// extracts says whether a strategy compares what extract-tags gives; the others don't compare names.
func extracts(s image.Strategy) bool {
	return s == image.SemVer || s == image.Numerical || s == image.Alphabetical
}
