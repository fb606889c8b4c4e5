package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/deploy/argocd"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n# ([^\n]*)\n(.*?)```")

// The kustomization of the installation guide, with each of its patches, builds and does what the guide says.
func TestInstallationGuide(t *testing.T) {
	blocks := map[string]string{}
	for _, b := range yamlBlock.FindAllStringSubmatch(read(t, "../docs/installation.md"), -1) {
		name, _, _ := strings.Cut(strings.TrimSuffix(b[1], ", under patches: in kustomization.yaml"), ":")
		blocks[name] = b[2]
	}
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	here, err = filepath.Rel(dir, here)
	if err != nil {
		t.Fatal(err)
	}
	manifest := regexp.MustCompile(`https://raw\S*`).ReplaceAllString(blocks["kustomization.yaml"], "argo-cd.yaml")
	manifest = regexp.MustCompile(`https://github\S*`).ReplaceAllString(manifest, filepath.Join(here, "sidecar"))
	manifest += "- path: team-a.yaml\n" + blocks["under patches"]
	for name, text := range map[string]string{
		"kustomization.yaml": manifest,
		"argo-cd.yaml":       read(t, manifests(t, argocd.Releases()[0]), "namespace-install.yaml"),
		"tagpin-cm.yaml":     blocks["tagpin-cm.yaml"],
		"team-a.yaml":        blocks["team-a.yaml"],
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := tool(t, "kustomize", "build", dir)
	if err != nil {
		t.Fatal(err)
	}
	all := parse(t, out)
	admit(t, all, repoServer)
	pod := as[*appsv1.Deployment](t, all, repoServer).Spec.Template.Spec
	c := container(t, pod, "tagpin")
	if c.Image != "registry.example.com/you/tagpin:v0.1.0" || plainEnv(c)["TAGPIN_INTERVAL"] != "2m" {
		t.Errorf("the image is %s, the environment %v", c.Image, plainEnv(c))
	}
	if kinds := mounts(t, pod, c); kinds["/app/secrets/team-a"] != "projected, read-only" || kinds["/app/secrets/argocd"] != "projected, read-only" {
		t.Errorf("mounts: %v", kinds)
	}
	settings := as[*corev1.ConfigMap](t, all, "ConfigMap/tagpin-cm").Data["tagpin.yaml"]
	if s, err := config.Parse("tagpin.yaml", []byte(settings)); err != nil || len(s.Bindings) != 1 {
		t.Errorf("%v: %s", err, settings)
	}
}
