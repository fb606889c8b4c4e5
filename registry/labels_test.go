package registry_test

import (
	"errors"
	"testing"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

func TestLabels(t *testing.T) {
	s := acr.Start(t, acr.Options{Public: true})
	set := &setup{t: t, secrets: t.TempDir(), conf: t.TempDir() + "/registries.conf"}
	set.write("registries:\n- name: t\n  prefix: t.example\n  api_url: " + s.URL() + "\n  insecure: true\n")
	regs, err := registry.New(registry.Options{ConfPath: set.conf, Secrets: config.OpenSecrets(set.secrets), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := regs.Repository(t.Context(), image.Application{}, entry("t.example", "team/app"))
	if err != nil {
		t.Fatal(err)
	}
	label := map[string]string{"revision": "abc"}
	digest := s.Push("team/app", "v1", acr.Image{Labels: label})
	s.Push("team/app", "v2", acr.Image{Labels: label, Platforms: []string{"linux/amd64", "linux/arm64"}, Attestation: true})
	for _, ref := range []string{"v1", digest, "v2"} {
		got, err := r.Labels(t.Context(), ref, []image.Platform{{OS: "linux", Architecture: "arm64"}})
		if err != nil || got["revision"] != "abc" {
			t.Errorf("%s: %v, %v", ref, got, err)
		}
	}
	s.Push("team/app", "chart", acr.Image{Chart: true})
	if _, err := r.Labels(t.Context(), "chart", nil); !errors.Is(err, image.ErrNotImage) {
		t.Errorf("a chart: %v", err)
	}
	for _, ref := range []string{"absent", "../v1"} {
		if got, err := r.Labels(t.Context(), ref, nil); err == nil {
			t.Errorf("%s: %v", ref, got)
		}
	}
}
