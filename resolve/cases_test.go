package resolve_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/resolve"
)

// A difference is a case that tagpin answers otherwise than its source, on purpose. want is tagpin's answer: a tag, "" for
// none, or "error".
type difference struct{ want, reason string }

const (
	reasonParsed  = "what can't be understood is an error that says what to write, never a filter that silently matches nothing or a default"
	reasonNoDate  = "newest-build refuses to choose by dates that mean nothing (up to 1980-01-02), instead of falling back to names"
	reasonTie     = "newest-build refuses to choose between different images of the same date, instead of falling back to names"
	reasonDesc    = "there is no descending order: the greatest is the newest, and what counts down can't be told from a mistake"
	reasonBadTag  = "one tag that is no number is dropped with its reason and does not stop the others"
	reasonEmpty   = "no constraint means any release"
	reasonStrict  = "there is no strict mode: v1.0 and 1 are versions"
	reasonRefresh = "pin-digest always records the current digest; a digest that is kept while its tag moves would be a pin that Git does not explain"
)

// differences are repeated, with these words, in docs/strategies.md.
var differences = map[string]difference{
	"p-allow-bare-string-matches-nothing": {"error", reasonParsed},
	"p-allow-invalid-regexp":              {"error", reasonParsed},
	"p-unknown-strategy-is-semver":        {"error", reasonParsed},
	"strategy-newest-us-build":            {"error", reasonParsed},
	"match-02":                            {"error", reasonParsed},
	"match-03":                            {"error", reasonParsed},
	"match-06":                            {"error", reasonParsed},
	"sort-date":                           {"error", reasonNoDate},
	"p-newest-reproducible-epoch":         {"error", reasonNoDate},
	"p-newest-same-date-lexical-max":      {"error", reasonTie},
	"flux-alpha-02":                       {"20.10", reasonDesc},
	"flux-alpha-04":                       {"zesty", reasonDesc},
	"flux-alpha-06":                       {"1606364286", reasonDesc},
	"flux-num-02":                         {"92", reasonDesc},
	"flux-num-04":                         {"77.70488240399305", reasonDesc},
	"flux-num-09":                         {"0", reasonBadTag},
	"flux-semver-range-invalid-12":        {"valid", reasonEmpty},
	"kargo-semver-02":                     {"v1.0", reasonStrict},
	"flux-digest-05":                      {"new", reasonRefresh},
}

// elsewhere are cases about what no resolution decides.
var elsewhere = map[string]string{
	"flux-alpha-order-empty": "policies have no order",
	"flux-alpha-order-ASC":   "policies have no order",
	"flux-latesttags-01":     "there is no sample of the newest tags in a status: a choice lists what was dropped instead",
	"kargo-limit-01":         "there is one choice, no list of discovered images",
	"kargo-created-02":       "package registry reads build dates",
	"kargo-created-06":       "package registry reads build dates",
	"kargo-created-07":       "package registry reads build dates",
	"kargo-created-10":       "package registry reads build dates",
	"kargo-created-11":       "package registry reads build dates",
	"kargo-created-index-01": "package registry reads build dates",
	"kargo-created-index-03": "package registry reads build dates",
}

// globs says in ignore-tags' language what the sources exclude by regular expressions.
var globs = map[string]string{
	`^.*\-alpha$`: "*-alpha", `^.*\.sig$`: "*.sig", `^v2\.0\.0$`: "v2.0.0", `^v1\.0\.0$`: "v1.0.0", `^abc$`: "abc",
}

func cases[T any](t *testing.T, file string) []T {
	t.Helper()
	b, err := os.ReadFile("../test/testdata/cases/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Cases []T }
	if err := yaml.Unmarshal(b, &out); err != nil || len(out.Cases) == 0 {
		t.Fatalf("%s: %d cases, %v", file, len(out.Cases), err)
	}
	return out.Cases
}

// answer is what a resolution says, in the words of difference.
func answer(s *shelf, spec image.PolicySpec) string {
	p, err := image.NewPolicy(spec)
	if err != nil {
		return "error"
	}
	c, err := resolve.Resolve(context.Background(), s, entry(p), now)
	if err != nil {
		return "error"
	}
	return c.Tag
}

func check(t *testing.T, id, got, want string) {
	t.Helper()
	if d, ok := differences[id]; ok {
		if d.want == want {
			t.Errorf("no difference: its source also says %q", want)
		}
		want = d.want
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// left are the tags that the filters of a policy leave.
func left(t *testing.T, tags []string, spec image.PolicySpec) []string {
	t.Helper()
	var out []string
	for _, tag := range tags {
		spec.Strategy = "alphabetical"
		if answer(named(tag), spec) == tag {
			out = append(out, tag)
		}
	}
	return out
}

type updaterCase struct {
	ID, Op string
	Input  struct {
		Value, Strategy, Constraint string
		AllowTags                   string   `json:"allow_tags"`
		IgnoreTags                  []string `json:"ignore_tags"`
		Tags                        []string
		RegistryTags                []struct {
			Name, Digest string
			Date         time.Time
		} `json:"registry_tags"`
	}
	Expect struct {
		Selected, Error, Strategy string
		Matches, Ignored          map[string]bool
	}
}

func TestCasesOfArgoCDImageUpdater(t *testing.T) {
	for _, c := range cases[updaterCase](t, "a-tag-selection.yaml") {
		t.Run(c.ID, func(t *testing.T) {
			spec := image.PolicySpec{
				Strategy: c.Input.Strategy, Constraint: c.Input.Constraint,
				AllowTags: c.Input.AllowTags, IgnoreTags: c.Input.IgnoreTags,
			}
			switch c.Op {
			case "select":
				var tags []image.Tag
				for _, r := range c.Input.RegistryTags {
					tags = append(tags, image.Tag{Name: r.Name, Digest: r.Digest, Created: r.Date})
				}
				want := c.Expect.Selected
				if c.Expect.Error != "" {
					want = "error"
				}
				check(t, c.ID, answer(shelve(tags...), spec), want)
			case "strategy":
				got, err := image.ParseStrategy(c.Input.Value)
				if err != nil {
					got = "error"
				}
				check(t, c.ID, string(got), c.Expect.Strategy)
			case "match":
				if _, err := image.NewPolicy(spec); err != nil {
					check(t, c.ID, "error", "none")
					return
				}
				for tag, want := range c.Expect.Matches {
					if got := slices.Contains(left(t, []string{tag}, spec), tag); got != want {
						t.Errorf("%s: matched %v, want %v", tag, got, want)
					}
				}
			case "ignore":
				for tag, want := range c.Expect.Ignored {
					if tag == "*" {
						continue // no registry has such a tag
					}
					if got := len(left(t, []string{tag}, spec)) == 0; got != want {
						t.Errorf("%s: ignored %v, want %v", tag, got, want)
					}
				}
			default:
				t.Errorf("unknown op %q", c.Op)
			}
		})
	}
}

type peerCase struct {
	ID, Kind string
	Given    struct {
		Policy, Constraint, Order string
		Tag, Pattern, Extract     string
		Strict                    bool
		Tags, Patterns            []string
		Allow, Ignore             []string
		Filter                    struct{ Pattern, Extract string }
		TagLists                  [][]string `json:"tag_lists"`
		Hours                     []int      `json:"created_offsets_hours"`
		Image                     struct{ OS, Arch, Variant string }
		First                     pass `json:"first_pass"`
		Second                    pass `json:"second_pass"`
	}
	Expect struct {
		Tag           string
		Tags          []string
		Error         bool
		Valid, Match  bool
		Parses        bool
		Canonical     string
		Keys          []string `json:"keys_sorted"`
		Hours         []int    `json:"order_hours"`
		First, Second string
	}
}

type pass struct{ Reflection, Selected string }

func TestCasesOfFluxAndKargo(t *testing.T) {
	kinds := map[string]func(*testing.T, peerCase){
		"policy-valid": peerPolicy, "select": peerSelect, "filter": peerFilter, "exclude": peerExclude,
		"filter-allow-ignore": peerExclude, "match": peerMatch, "semver-parse": peerParse, "sort-by-created": peerDates,
		"platform-match": peerPlatform, "revision": peerOrder, "digest-reflection": peerDigest,
	}
	for _, c := range cases[peerCase](t, "g-flux-kargo-selection.yaml") {
		t.Run(c.ID, func(t *testing.T) {
			if reason, ok := elsewhere[c.ID]; ok {
				t.Skip(reason)
			}
			run, ok := kinds[c.Kind]
			if !ok {
				t.Fatalf("unknown kind %q", c.Kind)
			}
			run(t, c)
		})
	}
}

func peerPolicy(t *testing.T, c peerCase) {
	got, want := "valid", "valid"
	if answer(named("1.0.0"), image.PolicySpec{Strategy: c.Given.Policy, Constraint: c.Given.Constraint}) == "error" {
		got = "error"
	}
	if !c.Expect.Valid {
		want = "error"
	}
	check(t, c.ID, got, want)
}

func peerSelect(t *testing.T, c peerCase) {
	spec := image.PolicySpec{Strategy: c.Given.Policy, Constraint: c.Given.Constraint, ExtractTags: c.Given.Filter.Extract}
	if c.Given.Filter.Pattern != "" {
		spec.AllowTags = "regexp:" + c.Given.Filter.Pattern
	}
	got := answer(named(c.Given.Tags...), spec)
	if c.Expect.Error && differences[c.ID].want == "" {
		if got != "" && got != "error" { // there, nothing to choose is an error as well
			t.Errorf("got %q, want none", got)
		}
		return
	}
	check(t, c.ID, got, c.Expect.Tag)
}

func peerFilter(t *testing.T, c peerCase) {
	p := policy(t, image.PolicySpec{
		Strategy: "alphabetical", AllowTags: "regexp:" + c.Given.Pattern, ExtractTags: c.Given.Extract,
	})
	if got := resolve.Keys(c.Given.Tags, p); !slices.Equal(got, c.Expect.Keys) {
		t.Errorf("got %q, want %q", got, c.Expect.Keys)
	}
}

func translate(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		if g, ok := globs[p]; ok {
			p = g
		}
		out = append(out, p)
	}
	return out
}

func peerExclude(t *testing.T, c peerCase) {
	spec := image.PolicySpec{IgnoreTags: translate(append(c.Given.Patterns, c.Given.Ignore...))}
	if len(c.Given.Allow) > 0 {
		spec.AllowTags = "regexp:" + c.Given.Allow[0]
	}
	if c.Expect.Error {
		if got := answer(named(c.Given.Tags...), spec); got != "error" {
			t.Errorf("got %q, want an error", got)
		}
		return
	}
	got := left(t, c.Given.Tags, spec)
	if !slices.Equal(got, c.Expect.Tags) {
		t.Errorf("got %q, want %q", got, c.Expect.Tags)
	}
}

func peerMatch(t *testing.T, c peerCase) {
	spec := image.PolicySpec{Strategy: "alphabetical", IgnoreTags: translate(c.Given.Ignore)}
	if c.Given.Policy == "semver" {
		spec.Strategy = "semver"
	}
	if len(c.Given.Allow) > 0 {
		spec.AllowTags = "regexp:" + c.Given.Allow[0]
	}
	want := ""
	if c.Expect.Match {
		want = c.Given.Tag
	}
	check(t, c.ID, answer(named(c.Given.Tag), spec), want)
}

func peerParse(t *testing.T, c peerCase) {
	got := answer(named(c.Given.Tag), image.PolicySpec{})
	if (got == c.Given.Tag) != c.Expect.Parses {
		t.Errorf("got %q, parses: %v", got, c.Expect.Parses)
	}
	if c.Expect.Canonical != "" && answer(named(c.Given.Tag), image.PolicySpec{Constraint: "=" + c.Expect.Canonical}) != c.Given.Tag {
		t.Errorf("%q is not taken for %s", c.Given.Tag, c.Expect.Canonical)
	}
}

func peerDates(t *testing.T, c peerCase) {
	var tags []image.Tag
	for _, h := range c.Given.Hours {
		tags = append(tags, image.Tag{Name: fmt.Sprintf("h%d", h), Created: now.Add(time.Duration(h-48) * time.Hour)})
	}
	for _, want := range c.Expect.Hours {
		want := fmt.Sprintf("h%d", want)
		if got := answer(shelve(tags...), image.PolicySpec{Strategy: "newest-build"}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		tags = slices.DeleteFunc(tags, func(t image.Tag) bool { return t.Name == want })
	}
}

func peerPlatform(t *testing.T, c peerCase) {
	has := image.Platform{OS: c.Given.Image.OS, Architecture: c.Given.Image.Arch, Variant: c.Given.Image.Variant}
	s := shelve(image.Tag{Name: "1.0.0", Platforms: []image.Platform{has}})
	got := answer(s, image.PolicySpec{Platforms: []string{c.Given.Constraint}})
	if (got == "1.0.0") != c.Expect.Match {
		t.Errorf("got %q, match: %v", got, c.Expect.Match)
	}
}

func peerOrder(t *testing.T, c peerCase) {
	for _, list := range c.Given.TagLists {
		if got := answer(named(list...), image.PolicySpec{Strategy: "alphabetical"}); got != "d" {
			t.Errorf("%q: got %q", list, got)
		}
	}
}

func peerDigest(t *testing.T, c peerCase) {
	s := named(c.Given.Tags...)
	words := map[string]string{"": "none", digestOf("v1.1.1"): "old", digestOf("pushed again"): "new"}
	see := func(p pass, want string) {
		t.Helper()
		choice := choose(t, s, policy(t, image.PolicySpec{Constraint: "1.x", PinDigest: p.Reflection != "Never"}))
		if choice.Tag != p.Selected {
			t.Errorf("got %q, want %q", choice.Tag, p.Selected)
		}
		if words[choice.Digest] != want {
			t.Errorf("got digest %q, want %q", words[choice.Digest], want)
		}
	}
	see(c.Given.First, c.Expect.First)
	s.tags["v1.1.1"] = image.Tag{Name: "v1.1.1", Digest: digestOf("pushed again")}
	want := c.Expect.Second
	if d, ok := differences[c.ID]; ok {
		want = d.want
	}
	see(c.Given.Second, want)
}

func TestDifferencesAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/strategies.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range cases[updaterCase](t, "a-tag-selection.yaml") {
		known[c.ID] = true
	}
	for _, c := range cases[peerCase](t, "g-flux-kargo-selection.yaml") {
		known[c.ID] = true
	}
	lines := strings.Split(string(b), "\n")
	documented := func(id, reason string) {
		if !known[id] {
			t.Errorf("there is no case %q", id)
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "`"+id+"`") && strings.Contains(l, reason) }) {
			t.Errorf("docs/strategies.md lacks `%s` with %q", id, reason)
		}
	}
	for id, d := range differences {
		documented(id, d.reason)
	}
	for id, reason := range elsewhere {
		documented(id, reason)
	}
}
