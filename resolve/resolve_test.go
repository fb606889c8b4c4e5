package resolve_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/resolve"
)

func at(day int) time.Time { return now.AddDate(0, 0, day-100) }

func digest(t image.Tag, d string) image.Tag { t.Digest = digestOf(d); return t }

var (
	amd64 = image.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = image.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

func TestChoiceCarriesItsReasons(t *testing.T) {
	s := named("v1.0", "v2.0", "v2.1-rc.1", "v3.0", "latest", "dev-1", "..", "v0.9", "v0.8")
	got := choose(t, s, policy(t, image.PolicySpec{Constraint: ">=0.9 <3", AllowTags: "regexp:^(v|l|\\.)", IgnoreTags: []string{"v0.9"}}))
	want := image.Choice{
		Image: echoServer, Strategy: image.SemVer, Constraint: ">=0.9 <3",
		Tag: "v2.0", RunnerUp: "v1.0", Candidates: 2,
		Rejected: []image.Rejection{
			{Tag: "v2.1-rc.1", Reason: "a pre-release, and the constraint >=0.9 <3 admits none"},
			{Tag: "v3.0", Reason: "outside the constraint >=0.9 <3"},
			{Tag: "v0.8", Reason: "outside the constraint >=0.9 <3"},
			{Tag: "latest", Reason: "not a version"},
			{Tag: "v0.9", Reason: `in ignore-tags as "v0.9"`},
			{Tag: "dev-1", Reason: "not matched by allow-tags"},
			{Tag: `".."`, Reason: "not a valid tag"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s.described.Load()+s.digested.Load() != 0 {
		t.Error("semver needs nothing but the list")
	}
}

func TestNameStrategies(t *testing.T) {
	const stamp = `regexp:^main-(?P<ts>[0-9]+)-[0-9a-f]+$`
	tests := map[string]struct {
		tags []string
		spec image.PolicySpec
		want string
		why  string // of the first rejection
	}{
		"numbers beyond a float's precision": {
			[]string{"10000000000000000000000000000001", "10000000000000000000000000000002", "9.5"},
			image.PolicySpec{Strategy: "numerical"}, "10000000000000000000000000000002", "",
		},
		"a commit that looks like an exponent": {
			[]string{"20240105", "1234e56"}, image.PolicySpec{Strategy: "numerical"}, "20240105", "not a number",
		},
		"fractions": {[]string{"1.5", "1.25", "1.50"}, image.PolicySpec{Strategy: "numerical"}, "1.50", ""},
		"extracted number": {
			[]string{"main-9-aaa", "main-10-bbb", "dev-11-ccc"},
			image.PolicySpec{Strategy: "numerical", AllowTags: stamp, ExtractTags: "$ts"}, "main-10-bbb", "not matched by allow-tags",
		},
		"equal extracts: greatest tag": {
			[]string{"main-10-aaa", "main-10-ccc", "main-10-bbb"},
			image.PolicySpec{Strategy: "numerical", AllowTags: stamp, ExtractTags: "$ts"}, "main-10-ccc", "",
		},
		"extracted version": {
			[]string{"app-1.2-alpine", "app-1.10-alpine", "app-x-alpine", "app-2.0-debian"},
			image.PolicySpec{AllowTags: "regexp:^app-(.*)-alpine$", ExtractTags: "$1"}, "app-1.10-alpine", `not a version: extract-tags gives "x"`,
		},
		"empty extract": {
			[]string{"b", "ab"}, image.PolicySpec{Strategy: "alphabetical", AllowTags: "regexp:^(a?)b", ExtractTags: "$1"},
			"ab", "without anything that extract-tags takes",
		},
		"bytes": {[]string{"9", "10", "B", "a"}, image.PolicySpec{Strategy: "name"}, "a", ""},
		"pre-release where admitted": {
			[]string{"1.1.0-rc.1", "1.0.0"}, image.PolicySpec{Constraint: ">=1-0"}, "1.1.0-rc.1", "",
		},
		"a tag twice in the list": {[]string{"1.0", "1.0"}, image.PolicySpec{}, "1.0", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := choose(t, named(tt.tags...), policy(t, tt.spec))
			if c.Tag != tt.want {
				t.Errorf("got %q, want %q", c.Tag, tt.want)
			}
			why := ""
			if len(c.Rejected) > 0 {
				why = c.Rejected[0].Reason
			}
			if why != tt.why {
				t.Errorf("got reason %q, want %q", why, tt.why)
			}
		})
	}
}

func TestNewestBuild(t *testing.T) {
	epoch := time.Unix(0, 0)
	buildpacks := time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC)
	tests := map[string]struct {
		tags       []image.Tag
		want, fail string
		rejected   []image.Rejection
	}{
		"the newest date":                        {tags: []image.Tag{{Name: "b", Created: at(1)}, {Name: "a", Created: at(3)}, {Name: "c", Created: at(2)}}, want: "a"},
		"one without a date needs no comparison": {tags: []image.Tag{{Name: "a", Created: epoch}}, want: "a"},
		"two names of one image": {
			tags: []image.Tag{digest(image.Tag{Name: "latest", Created: at(3)}, "x"), digest(image.Tag{Name: "v2.0", Created: at(3)}, "x"), {Name: "v1.0", Created: at(1)}},
			want: "v2.0",
		},
		"two names of one undated image": {
			tags: []image.Tag{digest(image.Tag{Name: "latest"}, "x"), digest(image.Tag{Name: "v2.0"}, "x")}, want: "v2.0",
		},
		"tie": {
			tags: []image.Tag{{Name: "a", Created: at(3)}, {Name: "b", Created: at(3)}, {Name: "c", Created: at(2)}},
			fail: "different images were built at 2026-01-24T12:00:00Z, the newest date (b, a): use update-strategy semver",
		},
		"tie below the top": {tags: []image.Tag{{Name: "a", Created: at(3)}, {Name: "b", Created: at(2)}, {Name: "c", Created: at(2)}}, want: "a"},
		"no date at all": {
			tags: []image.Tag{{Name: "v1", Created: epoch}, {Name: "v2", Created: buildpacks}, {Name: "v3"}},
			fail: "none of the images carries a real build date (v2, v1, v3): use update-strategy semver",
		},
		"an old one without a date": {
			tags: []image.Tag{{Name: "base", Created: buildpacks}, {Name: "v1", Created: at(3)}}, want: "v1",
			rejected: []image.Rejection{{Tag: "base", Reason: "without a real build date"}},
		},
		"one without a date that came before": {
			tags: []image.Tag{{Name: "base", FirstSeen: at(2)}, {Name: "v1", Created: at(3)}}, want: "v1",
			rejected: []image.Rejection{{Tag: "base", Reason: "without a real build date"}},
		},
		"one without a date that came after": {
			tags: []image.Tag{{Name: "v2", FirstSeen: at(5)}, {Name: "v1", Created: at(3)}},
			fail: "tag v2 carries no real build date, but was first seen at 2026-01-26T12:00:00Z, after v1 was built: use",
		},
		"a date in the future": {
			tags: []image.Tag{{Name: "forged", Created: now.Add(time.Hour)}, {Name: "v1", Created: now.Add(time.Minute)}}, want: "v1",
			rejected: []image.Rejection{{Tag: "forged", Reason: "built in the future: 2026-05-01T13:00:00Z"}},
		},
		"no tags": {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := policy(t, image.PolicySpec{Strategy: "latest"})
			c, err := resolve.Resolve(t.Context(), shelve(tt.tags...), entry(p), now)
			if tt.fail != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fail) || c.Tag != "" {
					t.Errorf("got %q and error %v, want %q", c.Tag, err, tt.fail)
				}
				return
			}
			if err != nil || c.Tag != tt.want {
				t.Errorf("got %q and error %v, want %q", c.Tag, err, tt.want)
			}
			if tt.want != "" && c.Digest == "" {
				t.Error("the digest is known and not told")
			}
			if diff := cmp.Diff(tt.rejected, c.Rejected); tt.rejected != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The dates that builders write to be reproducible are none.
func TestNewestBuildByDatesThatMeanNothing(t *testing.T) {
	data, err := os.ReadFile("../test/testdata/acr/registry.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples struct {
		Values []struct {
			Created time.Time
			By      string
		} `json:"created_values"`
	}
	if err := json.Unmarshal(data, &samples); err != nil || len(samples.Values) == 0 {
		t.Fatal(err)
	}
	for _, v := range samples.Values {
		s := shelve(image.Tag{Name: "a", Created: v.Created}, image.Tag{Name: "b", Created: v.Created.Add(time.Second)})
		_, err := resolve.Resolve(t.Context(), s, entry(policy(t, image.PolicySpec{Strategy: "newest-build"})), now)
		if err == nil || !strings.Contains(err.Error(), "none of the images carries a real build date (b, a): use update-strategy semver") {
			t.Errorf("%s (%s): %v", v.Created, v.By, err)
		}
	}
}

func TestDroppedAfterAsking(t *testing.T) {
	both := []image.Platform{amd64, arm64}
	s := shelve(
		image.Tag{Name: "1.0", Platforms: both, Created: at(1)},
		image.Tag{Name: "1.1", Platforms: both, Created: at(2)},
		image.Tag{Name: "1.2", Platforms: []image.Platform{amd64}, Created: at(3)},
		image.Tag{Name: "1.3", Platforms: nil},
		image.Tag{Name: "1.4"},
		image.Tag{Name: "1.5"},
		image.Tag{Name: "1.6", Platforms: []image.Platform{{OS: "linux\x1b[2J", Architecture: "amd64"}}},
	)
	s.errs["1.4"] = fmt.Errorf("helm chart: %w", image.ErrNotImage)
	s.errs["1.5"] = fmt.Errorf("404: %w", image.ErrTagGone)
	for _, strategy := range []string{"semver", "alphabetical", "numerical", "newest-build"} {
		c := choose(t, s, policy(t, image.PolicySpec{Strategy: strategy, Platforms: []string{"linux/amd64", "linux/arm64"}}))
		if c.Tag != "1.1" || c.Digest != digestOf("1.1") || c.RunnerUp != "1.0" || c.Candidates != 2 {
			t.Errorf("%s: got %+v", strategy, c)
		}
		reasons := map[string]string{}
		for _, r := range c.Rejected {
			reasons[r.Tag] = r.Reason
		}
		want := map[string]string{
			"1.2": "without platform linux/arm64: has linux/amd64",
			"1.3": "without platform linux/amd64: has none",
			"1.4": "not an image", "1.5": "gone from the registry",
			"1.6": `without platform linux/amd64: has linux\x1b[2J/amd64`,
		}
		if diff := cmp.Diff(want, reasons); diff != "" {
			t.Errorf("%s: %s", strategy, diff)
		}
	}
}

func TestMinAge(t *testing.T) {
	hour := func(h int) time.Time { return now.Add(time.Duration(-h) * time.Hour) }
	s := shelve(
		image.Tag{Name: "1.0", Created: hour(100)},
		image.Tag{Name: "1.1", Created: hour(100), FirstSeen: hour(30)},
		image.Tag{Name: "1.2", Created: hour(100), FirstSeen: hour(3)},
		image.Tag{Name: "1.3", Created: hour(100), FirstSeen: hour(100), Pushed: hour(2)},
		image.Tag{Name: "1.4", Created: time.Unix(0, 0)},
		image.Tag{Name: "1.5", Created: hour(-100)},
	)
	c := choose(t, s, policy(t, image.PolicySpec{MinAge: "1d"}))
	want := []image.Rejection{
		{Tag: "1.5", Reason: "younger than min-age 24h: built 0s ago"},
		{Tag: "1.4", Reason: "of unknown age, and min-age is set"},
		{Tag: "1.3", Reason: "younger than min-age 24h: pushed 2h ago"},
		{Tag: "1.2", Reason: "younger than min-age 24h: first seen 3h ago"},
	}
	if diff := cmp.Diff(want, c.Rejected); diff != "" || c.Tag != "1.1" {
		t.Errorf("got %q\n%s", c.Tag, diff)
	}
}

func TestDigest(t *testing.T) {
	s := named("stable", "v1")
	for _, p := range []image.Policy{
		{Strategy: image.Digest, Constraint: "stable"},
		{Strategy: image.Alphabetical, IgnoreTags: []string{"v*"}, PinDigest: true},
	} {
		if c := choose(t, s, p); c.Tag != "stable" || c.Digest != digestOf("stable") {
			t.Errorf("got %+v", c)
		}
	}
	if s.digested.Load() != 2 || s.described.Load() != 0 {
		t.Errorf("a digest costs one question each: %d, %d", s.digested.Load(), s.described.Load())
	}
	if c := choose(t, s, image.Policy{Strategy: image.Digest, Constraint: "stable", IgnoreTags: []string{"st*"}}); c.Tag != "" {
		t.Errorf("the tracked tag is ignored, and yet chosen: %+v", c)
	}
	described := named("v1")
	if c := choose(t, described, image.Policy{Strategy: image.NewestBuild, PinDigest: true}); c.Digest == "" || described.digested.Load() != 1 {
		t.Errorf("the best tag is asked about once more, for a moved one: %+v after %d", c, described.digested.Load())
	}
	s.errs["v1"] = image.ErrTagGone
	if c := choose(t, s, image.Policy{Strategy: image.Alphabetical, PinDigest: true}); c.Tag != "stable" {
		t.Errorf("v1 is gone: %+v", c)
	}
}

func TestNothingButNecessaryQuestions(t *testing.T) {
	var tags []image.Tag
	for i := range 100 {
		tags = append(tags, image.Tag{Name: fmt.Sprint(i), Platforms: []image.Platform{amd64}, Created: at(i)})
	}
	s := shelve(tags...)
	s.errs["98"] = errors.New("503") // never asked about
	if c := choose(t, s, policy(t, image.PolicySpec{Strategy: "numerical", Platforms: []string{"linux/amd64"}, PinDigest: true})); c.Tag != "99" || s.described.Load() != 1 || s.digested.Load() != 0 {
		t.Errorf("got %q after %d questions", c.Tag, s.described.Load())
	}
	delete(s.errs, "98")
	s.described.Store(0)
	s.delay = time.Millisecond
	choose(t, s, policy(t, image.PolicySpec{Strategy: "numerical", Platforms: []string{"linux/arm64"}}))
	choose(t, s, policy(t, image.PolicySpec{Strategy: "newest-build", IgnoreTags: []string{"9?"}}))
	if s.described.Load() != 190 || s.most.Load() > 16 {
		t.Errorf("%d questions, %d at once", s.described.Load(), s.most.Load())
	}
}

func TestNoDecision(t *testing.T) {
	down := errors.New("registry answered 503")
	tests := map[string]struct {
		policy image.Policy
		spoil  func(*shelf)
		want   string
	}{
		"list": {image.Policy{Strategy: image.SemVer}, func(s *shelf) { s.listErr = down }, "listing tags: registry answered 503"},
		"newest-build": {image.Policy{Strategy: image.NewestBuild}, func(s *shelf) { s.errs["1.0"] = down },
			"no decision without knowing tag 1.0: registry answered 503 (if it is not meant to be deployed, add it to ignore-tags)"},
		"platforms": {image.Policy{Strategy: image.SemVer, Platforms: []image.Platform{amd64}}, func(s *shelf) { s.errs["3.0"] = down },
			"no decision without knowing tag 3.0"},
		"pin-digest": {image.Policy{Strategy: image.SemVer, PinDigest: true}, func(s *shelf) { s.errs["3.0"] = down }, "no decision without knowing tag 3.0"},
		"strategy":   {image.Policy{Strategy: "newest"}, nil, `unknown update-strategy "newest"`},
		"no policy":  {image.Policy{}, nil, `unknown update-strategy ""`},
		"constraint": {image.Policy{Strategy: image.SemVer, Constraint: "latest"}, nil, `constraint "latest" is no version range`},
		"untracked":  {image.Policy{Strategy: image.Digest}, nil, "needs its name"},
		"glob":       {image.Policy{Strategy: image.SemVer, IgnoreTags: []string{"[="}}, nil, `ignore-tags "[=" is no glob`},
		"extract":    {image.Policy{Strategy: image.SemVer, ExtractTags: "$1"}, nil, "set allow-tags"},
		"push time":  {image.Policy{Strategy: image.NewestPush}, nil, "use newest-build, semver or numerical"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := shelve(image.Tag{Name: "1.0", Created: at(1)}, image.Tag{Name: "2.0", Created: at(2)}, image.Tag{Name: "3.0", Created: at(3)})
			if tt.spoil != nil {
				tt.spoil(s)
			}
			c, err := resolve.Resolve(t.Context(), s, entry(tt.policy), now)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v", err)
			}
			if c.Tag != "" || c.Digest != "" {
				t.Errorf("got a choice: %+v", c)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	for _, strategy := range []image.Strategy{image.SemVer, image.NewestBuild, image.Alphabetical} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		s := named("1.0", "2.0", "3.0")
		s.delay = time.Minute
		_, err := resolve.Resolve(ctx, s, entry(image.Policy{Strategy: strategy, MinAge: time.Hour}), now)
		if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "ignore-tags") {
			t.Errorf("%s: got %v", strategy, err)
		}
		cancel()
		if _, err := resolve.Resolve(ctx, named("1.0"), entry(image.Policy{Strategy: strategy}), now); err == nil {
			t.Errorf("%s: chose after the end", strategy)
		}
	}
}

func TestNoMatch(t *testing.T) {
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("v1.%d", i))
	}
	tests := map[string]struct {
		s    *shelf
		spec image.PolicySpec
		want string
	}{
		"counts": {named(append(many, "latest", "main", "v3.0-rc.1")...), image.PolicySpec{Constraint: "^3"},
			"no tag of registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server qualifies (strategy semver, constraint ^3): 23 tags: " +
				"21 outside the constraint ^3, 2 not a version; nearest: v3.0-rc.1 (outside the constraint ^3), " +
				"v1.19 (outside the constraint ^3), v1.18 (outside the constraint ^3); push a tag that qualifies, or loosen what dropped these"},
		"no details in counts": {shelve(image.Tag{Name: "a", Created: at(99)}, image.Tag{Name: "b", Created: now}),
			image.PolicySpec{Strategy: "newest-build", MinAge: "30d"},
			"no tag of registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server qualifies (strategy newest-build): 2 tags: " +
				"2 younger than min-age 720h; nearest: b (younger than min-age 720h: built 0s ago), " +
				"a (younger than min-age 720h: built 24h ago); push a tag that qualifies, or loosen what dropped these"},
		"empty": {named(), image.PolicySpec{Strategy: "digest", Constraint: "stable"},
			"no tag of registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server qualifies (strategy digest, constraint stable): " +
				"the repository has no tags; push one, or correct the image's name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := resolve.NoMatch(choose(t, tt.s, policy(t, tt.spec))).Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
