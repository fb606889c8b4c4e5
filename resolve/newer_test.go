package resolve_test

import (
	"regexp"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/resolve"
)

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		policy    image.Policy
		tag, than string
		want      bool
	}{
		{image.Policy{Strategy: image.SemVer}, "v2.0", "v1.9", true},
		{image.Policy{Strategy: image.SemVer, Constraint: "^1"}, "v1.9", "v2.0", false}, // the constraint doesn't turn the order
		{image.Policy{Strategy: image.SemVer}, "v1.2.0", "1.2.0", true},                 // a tie goes to the greatest name
		{image.Policy{Strategy: image.SemVer}, "v1.0", "latest", true},
		{image.Policy{Strategy: image.SemVer}, "v1.0", "v1.0", false},
		{image.Policy{Strategy: image.Alphabetical}, "b", "a", true},
		{image.Policy{Strategy: image.Alphabetical}, "10", "9", false},
		{image.Policy{Strategy: image.Numerical}, "10", "9", true},
		{image.Policy{Strategy: image.Numerical, AllowTags: regexp.MustCompile(`^main-(\d+)-`), ExtractTags: "$1"}, "main-10-a", "main-9-b", true},
		{image.Policy{Strategy: image.Numerical, AllowTags: regexp.MustCompile(`^main-(\d+)-`), ExtractTags: "$1"}, "main-1-a", "v7", true},
		{image.Policy{Strategy: image.Digest, Constraint: "dev"}, "dev", "main", true},
	} {
		got, err := resolve.Newer(t.Context(), nil, image.Entry{Policy: c.policy}, c.tag, c.than)
		if err != nil || got != c.want {
			t.Errorf("%s: is %s newer than %s: %v, %v; want %v", c.policy.Strategy, c.tag, c.than, got, err, c.want)
		}
	}
}
