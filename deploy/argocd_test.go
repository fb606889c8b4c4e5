// Package deploy_test holds the files that add tagpin to Argo CD to Argo CD's own manifests, as they are in its module.
package deploy_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/deploy/argocd"
	"github.com/tagpin/tagpin/test/program"
)

// What people install, below the module's manifests. The large ones differ from the small by cluster roles and by the custom
// resource definitions, which take their time.
var (
	small = []string{"namespace-install.yaml", "ha/namespace-install.yaml"}
	large = []string{"install.yaml", "core-install.yaml"}
)

// manifests is the directory of the release's install manifests.
func manifests(t *testing.T, r argocd.Release) string {
	t.Helper()
	_, dir, err := r.Manifests()
	if err != nil {
		t.Fatalf("the manifests of Argo CD come from its Go module: %v", err)
	}
	return dir
}

// A kustomization is what a user builds.
type kustomization struct {
	install    string   // the text of Argo CD's manifests
	components []string // directories of this one
	more       string   // further lines
}

// build runs the program kustomize, as kubectl kustomize does.
func (k kustomization) build(t *testing.T) objects {
	t.Helper()
	text, err := k.run(t)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

func (k kustomization) run(t *testing.T) ([]byte, error) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	here, err = filepath.Rel(dir, here) // kustomize takes no absolute paths
	if err != nil {
		t.Fatal(err)
	}
	text := "resources: [argo-cd.yaml]\n" + k.more
	if len(k.components) > 0 {
		text += "components:\n"
	}
	for _, c := range k.components {
		text += "- " + filepath.Join(here, c) + "\n"
	}
	for name, content := range map[string]string{"kustomization.yaml": text, "argo-cd.yaml": k.install} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tool(t, "kustomize", "build", dir)
}

// tool runs helm or kustomize, of this module's versions.
func tool(t *testing.T, name string, args ...string) ([]byte, error) {
	t.Helper()
	tools, err := program.Tools()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(tools, name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, &stderr)
	}
	return out, nil
}

// read returns a file of the manifests.
func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// each runs test for these installs of every release, with the objects of Argo CD alone.
func each(t *testing.T, installs []string, test func(t *testing.T, install string, plain objects)) {
	t.Helper()
	for _, r := range argocd.Releases() {
		dir := manifests(t, r)
		for _, file := range installs {
			t.Run(r.Line()+"/"+strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
				t.Parallel()
				install := read(t, dir, file)
				test(t, install, parse(t, []byte(install)))
			})
		}
	}
}
