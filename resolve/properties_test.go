package resolve_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/resolve"
)

// randomShelf has tags of all kinds, none of which begins with x.
func randomShelf(r *rand.Rand) *shelf {
	var tags []image.Tag
	for i := range r.IntN(30) {
		name := fmt.Sprintf("%d.%d.%d", r.IntN(3), r.IntN(4), r.IntN(4))
		switch r.IntN(5) {
		case 0:
			name = "v" + name
		case 1:
			name += fmt.Sprintf("-rc.%d", r.IntN(3))
		case 2:
			name = fmt.Sprint(r.IntN(1000))
		}
		t := image.Tag{Name: name, Created: at(i).Add(time.Duration(r.IntN(100)) * time.Hour), Platforms: []image.Platform{amd64}}
		if r.IntN(2) == 0 {
			t.Platforms = append(t.Platforms, arm64)
		}
		tags = append(tags, t)
	}
	return shelve(tags...)
}

var properties = []image.PolicySpec{
	{}, {Constraint: "~1.2"}, {Strategy: "numerical"}, {Strategy: "alphabetical"}, {Strategy: "newest-build"},
	{Constraint: ">=1-0", Platforms: []string{"linux/arm64"}, MinAge: "80d"},
	{Strategy: "newest-build", Platforms: []string{"linux/arm64"}, MinAge: "90d"},
	{Strategy: "numerical", AllowTags: `regexp:^(\d+)\.(\d+)`, ExtractTags: "$2.$1", PinDigest: true},
	{Strategy: "digest", Constraint: "1.1.1"},
}

func TestProperties(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := randomShelf(r)
		for i, spec := range properties {
			spec.IgnoreTags = []string{"x*"}
			p := policy(t, spec)
			before, err := resolve.Resolve(t.Context(), s, entry(p), now)
			if err != nil && p.Strategy != image.NewestBuild {
				t.Fatal(err)
			}
			again := func(what string) {
				t.Helper()
				after, err2 := resolve.Resolve(t.Context(), s, entry(p), now)
				if fmt.Sprint(err) != fmt.Sprint(err2) || before.Tag != after.Tag || before.Digest != after.Digest || before.RunnerUp != after.RunnerUp || before.Candidates != after.Candidates {
					t.Fatalf("seed %d, policy %d: %s changes %+v into %+v (%v, %v)", seed, i, what, before, after, err, err2)
				}
			}
			r.Shuffle(len(s.list), func(a, b int) { s.list[a], s.list[b] = s.list[b], s.list[a] })
			again("another order")
			list := s.list
			s.list = append(slices.Clone(list), fmt.Sprintf("x%d", r.IntN(9)), "-99", "9 9")
			again("a tag that is dropped")
			s.list = list
			unable(t, s, p, before)
		}
	}
}

// unable makes the chosen tag unreadable: where that was asked about, there is no choice any more.
func unable(t *testing.T, s *shelf, p image.Policy, before image.Choice) {
	t.Helper()
	if before.Tag == "" || before.Digest == "" {
		return
	}
	s.errs[before.Tag] = errors.New("429")
	defer delete(s.errs, before.Tag)
	if c, err := resolve.Resolve(t.Context(), s, entry(p), now); err == nil || c.Tag != "" {
		t.Fatalf("%q can't be read, and yet %q was chosen (%v)", before.Tag, c.Tag, err)
	}
}
