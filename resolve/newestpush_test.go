package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/resolve"
)

// A diary is a shelf that knows when things came.
type diary struct {
	*shelf
	pushes []image.Tag
	err    error
}

func (d *diary) Pushes(context.Context) ([]image.Tag, error) { return d.pushes, d.err }

func pushedAt(name string, ago time.Duration) image.Tag {
	return image.Tag{Name: name, Digest: digestOf("list " + name), Pushed: now.Add(-ago)}
}

// keep makes a diary whose tags are on the shelf, too, built long ago.
func keep(tags ...image.Tag) *diary {
	d := &diary{shelf: shelve(), pushes: tags}
	for _, t := range tags {
		d.tags[t.Name] = image.Tag{
			Name: t.Name, Digest: digestOf(t.Name), Created: now.AddDate(-1, 0, 0),
			Platforms: []image.Platform{{OS: "linux", Architecture: "amd64"}},
		}
		d.list = append(d.list, t.Name)
	}
	return d
}

func TestNewestPush(t *testing.T) {
	untold := image.Tag{Name: "untold", Digest: digestOf("untold")}
	twin := pushedAt("twin", time.Minute)
	twin.Digest = digestOf("list b")
	for _, c := range []struct {
		name   string
		tags   []image.Tag
		policy image.PolicySpec
		want   string // a tag, "" for none, or a part of the error
		asked  int64
	}{
		{"the last push", []image.Tag{pushedAt("z", time.Hour), pushedAt("a", time.Minute), pushedAt("m", 2*time.Minute)}, image.PolicySpec{}, "a", 0},
		{"nothing", nil, image.PolicySpec{}, "", 0},
		{"filters come first", []image.Tag{pushedAt("dev-2", 0), pushedAt("v1", time.Hour)}, image.PolicySpec{AllowTags: "regexp:^v"}, "v1", 0},
		{"what is filtered need not be known", []image.Tag{untold, pushedAt("v1", time.Hour), pushedAt("v2", time.Minute)}, image.PolicySpec{IgnoreTags: []string{"untold"}}, "v2", 0},
		{"not told", []image.Tag{untold, pushedAt("v1", time.Hour)}, image.PolicySpec{}, "does not tell when tag untold was pushed: leave tags out", 0},
		{"one alone", []image.Tag{untold}, image.PolicySpec{}, "untold", 0},
		{"two of one time", []image.Tag{pushedAt("a", time.Minute), pushedAt("b", time.Minute)}, image.PolicySpec{}, "different images were pushed at 2026-05-01T11:59:00Z, the newest time (b, a)", 0},
		{"one under two names", []image.Tag{pushedAt("b", time.Minute), twin}, image.PolicySpec{}, "twin", 0},
		{"min-age by the push", []image.Tag{pushedAt("old", 48*time.Hour), pushedAt("new", time.Hour)}, image.PolicySpec{MinAge: "1d"}, "old", 0},
		{"platforms ask", []image.Tag{pushedAt("a", time.Minute)}, image.PolicySpec{Platforms: []string{"linux/arm64"}}, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.policy.Strategy = string(image.NewestPush)
			d := keep(c.tags...)
			choice, err := resolve.Resolve(t.Context(), d, entry(policy(t, c.policy)), now)
			if err != nil {
				if c.want == "" || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v", err)
				}
			} else if choice.Tag != c.want {
				t.Errorf("chose %q: %+v", choice.Tag, choice.Rejected)
			}
			if n := d.described.Load(); n != c.asked {
				t.Errorf("asked about %d tags", n)
			}
		})
	}
}

func TestNewestPushTakesDigestsFromManifests(t *testing.T) {
	d := keep(pushedAt("v1", time.Hour), pushedAt("v2", time.Minute))
	for _, spec := range []image.PolicySpec{{PinDigest: true}, {PinDigest: true, Platforms: []string{"linux/amd64"}, MinAge: "10s"}} {
		spec.Strategy = string(image.NewestPush)
		choice, err := resolve.Resolve(t.Context(), d, entry(policy(t, spec)), now)
		if err != nil || choice.Digest != digestOf("v2") {
			t.Errorf("%+v, %v", choice, err)
		}
	}
}

func TestMinAgeCountsFromThePush(t *testing.T) {
	p := policy(t, image.PolicySpec{Strategy: "semver", MinAge: "1d"})
	d := keep(pushedAt("1.0.0", 48*time.Hour), pushedAt("1.1.0", time.Hour))
	if c, err := resolve.Resolve(t.Context(), d, entry(p), now); err != nil || c.Tag != "1.0.0" || d.described.Load() != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	// Where nobody tells, what the image says and first sight count, as ever.
	d.err = fmt.Errorf("no: %w", errors.ErrUnsupported)
	if c, err := resolve.Resolve(t.Context(), d, entry(p), now); err != nil || c.Tag != "1.1.0" {
		t.Errorf("%+v, %v", c, err)
	}
	d.err = errors.New("no right")
	if c, err := resolve.Resolve(t.Context(), d, entry(p), now); err == nil || !strings.Contains(err.Error(), "for min-age: no right") {
		t.Errorf("%+v, %v", c, err)
	}
	p.MinAge = 0
	if c, err := resolve.Resolve(t.Context(), d, entry(p), now); err != nil || c.Tag != "1.1.0" {
		t.Errorf("asked for times that nobody wants: %+v, %v", c, err)
	}
}

func TestNewerByPush(t *testing.T) {
	d := keep(pushedAt("a", time.Hour), pushedAt("b", time.Hour), pushedAt("c", time.Minute), image.Tag{Name: "untold"})
	e := entry(policy(t, image.PolicySpec{Strategy: string(image.NewestPush)}))
	for _, c := range []struct {
		tag, than, want string
	}{
		{"c", "a", "true"}, {"a", "c", "false"}, {"b", "a", "true"}, {"a", "b", "false"}, {"a", "a", "false"},
		{"c", "gone", "may be gone"}, {"gone", "c", "may be gone"}, {"c", "untold", "may be gone"},
	} {
		newer, err := resolve.Newer(t.Context(), d, e, c.tag, c.than)
		if got := fmt.Sprint(newer); err == nil && got != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s after %s: %t, %v", c.tag, c.than, newer, err)
		}
	}
	if _, err := resolve.Newer(t.Context(), d.shelf, e, "a", "b"); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
