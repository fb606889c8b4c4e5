package registry_test

import (
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/resolve"
	"github.com/tagpin/tagpin/test/acr"
)

// Which of an image's dates counts, by the cases of Kargo.
func TestBuildDateCases(t *testing.T) {
	var data struct {
		Cases []struct {
			ID, Kind string
			Given    struct {
				Config           string
				OCILabel         string   `yaml:"oci_label"`
				OCIAnnotation    string   `yaml:"oci_annotation"`
				LegacyLabel      string   `yaml:"legacy_label"`
				LegacyAnnotation string   `yaml:"legacy_annotation"`
				IndexAnnotation  string   `yaml:"index_annotation"`
				Images           []string `yaml:"referenced_images"`
			}
			Expect struct{ Created string }
		}
	}
	readCases(t, "g-flux-kargo-selection.yaml", &data)
	s := start(t, acr.Options{})
	differs := byCase(dateDifferences())
	for _, c := range data.Cases {
		if c.Kind != "created-at" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			g := c.Given
			img := acr.Image{
				Created: day(t, g.Config), Seed: c.ID,
				Labels:      dates(t, map[string]string{ociCreated: g.OCILabel, legacyCreated: g.LegacyLabel}),
				Annotations: dates(t, map[string]string{ociCreated: g.OCIAnnotation + g.IndexAnnotation, legacyCreated: g.LegacyAnnotation}),
			}
			if len(g.Images) > 0 {
				img.Index, img.Created = true, day(t, g.Images[0])
				img.Platforms = []string{"linux/amd64", "linux/arm64"}[:len(g.Images)]
				img.Spread = day(t, g.Images[len(g.Images)-1]).Sub(img.Created)
			}
			s.Push("team/app", c.ID, img)
			tag, err := s.repo("team/app").Describe(t.Context(), c.ID, nil)
			want := c.Expect.Created
			if d, ok := differs[c.ID]; ok {
				want = d.want.(string)
				delete(differs, c.ID)
			}
			if err != nil || !tag.Created.Equal(day(t, want)) {
				t.Errorf("%v, %v; want %s", tag.Created, err, want)
			}
		})
	}
	if len(differs) > 0 {
		t.Errorf("differences without a case: %v", differs)
	}
}

// newest-build asks about each image once: the second time, after one push, it costs the list and that one. The best of those that
// are remembered are asked with a HEAD request whether they were moved.
func TestWhatNewestBuildCosts(t *testing.T) {
	s := start(t, acr.Options{})
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.PushMany("team/app", 40, first)
	s.Reset()
	e := entry(acrHost, "team/app")
	e.Policy.Strategy = image.NewestBuild
	for _, step := range []struct {
		tag  string
		want acr.Counts
	}{
		{"v0.0.39", acr.Counts{Ping: 1, Token: 1, List: 1, Manifest: 40, Blob: 40}},
		{"v1", acr.Counts{List: 1, Manifest: 1 + 4, Blob: 1}},
		{"v1", acr.Counts{Manifest: 1}},
	} {
		choice, err := resolve.Resolve(t.Context(), s.repo("team/app"), e, s.now.Now())
		if err != nil || choice.Tag != step.tag {
			t.Errorf("%+v, %v; want %s", choice, err, step.tag)
		}
		s.want(step.tag, step.want)
		if step.want.Ping > 0 { // the first time
			s.Push("team/app", "v1", acr.Image{Created: first.AddDate(0, 1, 0)})
			s.now.advance(2 * time.Minute)
		}
		s.Reset()
	}
}

const (
	ociCreated    = "org.opencontainers.image.created"
	legacyCreated = "org.label-schema.build-date"
)

func day(t *testing.T, s string) time.Time {
	t.Helper()
	if s == "" || s == "zero time" {
		return time.Time{}
	}
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// dates drops what is empty and writes the others as annotations are written.
func dates(t *testing.T, from map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, s := range from {
		if s != "" {
			out[name] = day(t, s).Format(time.RFC3339)
		}
	}
	return out
}
