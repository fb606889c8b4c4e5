package resolve

import (
	"slices"

	"github.com/tagpin/tagpin/image"
)

// Keys are what a policy's strategy compares of these tags: sorted, each once.
func Keys(tags []string, p image.Policy) []string {
	r := &resolution{policy: p}
	left, err := r.filter(tags)
	if err != nil {
		return nil
	}
	var keys []string
	for _, c := range left {
		keys = append(keys, c.key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
