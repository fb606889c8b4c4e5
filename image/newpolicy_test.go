package image_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
)

func TestNewPolicyDefaults(t *testing.T) {
	p, err := image.NewPolicy(image.PolicySpec{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Strategy != image.SemVer || p.Constraint != "*" || p.AllowTags != nil || p.MinAge != 0 || p.PinDigest {
		t.Errorf("got %+v", p)
	}
}

func TestNewPolicy(t *testing.T) {
	p, err := image.NewPolicy(image.PolicySpec{
		Strategy: "Latest", Constraint: "anything", AllowTags: `regexp:^main-(?P<ts>\d+)-(\w+)$`, IgnoreTags: []string{"*-rc[0-9]", "latest"},
		ExtractTags: "${ts}.$2$$", Platforms: []string{"linux/amd64", "linux/arm/v7"}, MinAge: "1d12h", PinDigest: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Strategy != image.NewestBuild || !p.AllowTags.MatchString("main-1-a") || len(p.IgnoreTags) != 2 || p.ExtractTags != "${ts}.$2$$" ||
		p.Platforms[1] != (image.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}) || p.MinAge != 36*time.Hour || !p.PinDigest {
		t.Errorf("got %+v", p)
	}
}

func TestNewPolicyAcceptsRanges(t *testing.T) {
	for _, c := range []string{"*", "*-0", "~1.2", "^1", "1.x || 2.x", ">=1.0 <2.0", ">=1.0, <2.0", "=1.0", "!=1.5", "v1.2", "2.x-0", "1 - 3"} {
		if p, err := image.NewPolicy(image.PolicySpec{Constraint: c}); err != nil || p.Constraint != c {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestNewPolicyRefuses(t *testing.T) {
	const groups = `regexp:^main-(?P<ts>\d+)$`
	tests := []struct {
		spec image.PolicySpec
		want string
	}{
		{image.PolicySpec{Strategy: "newest_build"}, `update-strategy: unknown update strategy "newest_build": did you mean "newest-build"?`},
		{image.PolicySpec{Strategy: "x"}, "known are semver, newest-build, alphabetical, digest, numerical, newest-push, latest, name"},
		{image.PolicySpec{Constraint: "latest"}, `update-strategy: semver needs a version range, and "latest" is none`},
		{image.PolicySpec{Strategy: "digest"}, "update-strategy: digest follows one tag: write it after the image"},
		{image.PolicySpec{Strategy: "digest", Constraint: "~1.2"}, `"~1.2" is not a valid tag`},
		{image.PolicySpec{AllowTags: "^v1"}, `"^v1" is neither "any" nor "regexp:<expression>": write "regexp:^v1"`},
		{image.PolicySpec{AllowTags: "regex:^v1"}, `unknown match function "regex"`},
		{image.PolicySpec{AllowTags: "regexp:[aA-zZ"}, "missing closing ]"},
		{image.PolicySpec{AllowTags: "regexp:(?!x)"}, "without look-around"},
		{image.PolicySpec{IgnoreTags: []string{"[a"}}, `ignore-tags: "[a" is no pattern`},
		{image.PolicySpec{IgnoreTags: []string{"x", ""}}, "ignore-tags: a pattern is empty"},
		{image.PolicySpec{ExtractTags: "$ts"}, "extract-tags: needs allow-tags"},
		{image.PolicySpec{ExtractTags: "$tx", AllowTags: groups}, `names the group "tx"`},
		{image.PolicySpec{ExtractTags: "$tsx", AllowTags: groups}, `names the group "tsx"`},
		{image.PolicySpec{ExtractTags: "$2", AllowTags: groups}, `names the group "2"`},
		{image.PolicySpec{ExtractTags: "ts", AllowTags: groups}, "names no group"},
		{image.PolicySpec{ExtractTags: "$$", AllowTags: groups}, "names no group"},
		{image.PolicySpec{ExtractTags: "${ts", AllowTags: groups}, `has a "$" that names no group`},
		{image.PolicySpec{ExtractTags: "$ts$", AllowTags: groups}, `has a "$" that names no group`},
		{image.PolicySpec{Platforms: []string{"amd64"}}, `platforms: "amd64" is no platform`},
		{image.PolicySpec{Platforms: []string{"linux/x86_64"}}, "write linux/amd64"},
		{image.PolicySpec{MinAge: "-1h"}, `min-age: "-1h" is negative`},
		{image.PolicySpec{MinAge: "1d-30h"}, "is negative"},
		{image.PolicySpec{MinAge: "7"}, "write a number and a unit"},
		{image.PolicySpec{MinAge: "99999d2000000h"}, "too long"},
	}
	for _, tt := range tests {
		_, err := image.NewPolicy(tt.spec)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %s", tt.spec, err, tt.want)
		}
	}
}

func TestParseStrategy(t *testing.T) {
	for in, want := range map[string]image.Strategy{
		"semver": image.SemVer, "SemVer": image.SemVer, "LATEST": image.NewestBuild, "newest-build": image.NewestBuild,
		"name": image.Alphabetical, "alphabetical": image.Alphabetical, "digest": image.Digest, "numerical": image.Numerical,
		"newest-push": image.NewestPush,
	} {
		if got, err := image.ParseStrategy(in); got != want || err != nil {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
}

func TestPlatformMatches(t *testing.T) {
	tests := []struct {
		wanted, offered string
		want            bool
	}{
		{"linux/arm", "linux/arm/v6", true},
		{"linux/arm", "linux/arm", true},
		{"linux/arm/v6", "linux/arm/v6", true},
		{"linux/arm/v6", "linux/arm/v7", false},
		{"linux/arm/v6", "linux/arm", false},
		{"linux/arm64/v8", "linux/arm64", true},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/amd64", "linux/arm64", false},
		{"linux/amd64", "windows/amd64", false},
	}
	for _, tt := range tests {
		wanted, err := image.ParsePlatform(tt.wanted)
		if err != nil || wanted.String() != tt.wanted {
			t.Fatalf("%s became %s, %v", tt.wanted, wanted, err)
		}
		offered, err := image.ParsePlatform(tt.offered)
		if err != nil {
			t.Fatal(err)
		}
		if got := wanted.Matches(offered); got != tt.want {
			t.Errorf("%s for %s: %t", tt.offered, tt.wanted, got)
		}
	}
}

func TestParseAge(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "0d": 0, "7d": 168 * time.Hour, "36h": 36 * time.Hour, "1d30m": 24*time.Hour + 30*time.Minute, "1.5h": 90 * time.Minute,
	} {
		if got, err := image.ParseAge(in); got != want || err != nil {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
}
