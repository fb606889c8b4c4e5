package registry_test

import (
	"testing"
	"time"

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
