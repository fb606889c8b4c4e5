package render_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/render"
)

// A lock that Helm 2 wrote is still in step with its chart: Helm 2 took its digest in another way.
func TestLockOfHelm2(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"base/Chart.yaml":         "apiVersion: v1\nname: alpine\nversion: 0.1.0\n",
		"base/templates/a.yaml":   "kind: FromDependency\n",
		"chart/Chart.yaml":        "apiVersion: v1\nname: c\nversion: 0.1.0\n",
		"chart/requirements.yaml": "dependencies: [{name: alpine, version: 0.1.0, repository: file://../base}]\n",
		"chart/requirements.lock": "dependencies: [{name: alpine, version: 0.1.0, repository: file://../base}]\n" +
			"digest: sha256:bbe3801ba8b715aa03890c8b1e42ed50e7583a0ba36013b894865e5ec2227e32\ngenerated: \"2020-01-31T11:30:21.911547651Z\"\n",
	} {
		overwrite(t, filepath.Join(root, name), text)
	}
	request := render.Request{Root: root, Path: "chart", App: render.App{Name: "shop"}}
	got, err := render.Render(t.Context(), request)
	if err != nil || !strings.Contains(string(got.Manifests), "FromDependency") {
		t.Errorf("%s, %v", got.Manifests, err)
	}
	lock := filepath.Join(root, "chart/requirements.lock")
	overwrite(t, lock, strings.Replace(read(t, lock), "sha256:", "sha256:0", 1))
	if _, err := render.Render(t.Context(), request); err == nil || !strings.Contains(err.Error(), "out of step") {
		t.Errorf("%v", err)
	}
}
