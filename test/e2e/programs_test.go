package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A line is one major version of Argo CD, with what it was built for.
type line struct {
	name    string // the module below programs
	argocd  string // Argo CD's module
	version string
	// repoServer are flags that argocd-repo-server needs to go without TLS.
	repoServer []string
}

var (
	v2 = line{name: "v2", argocd: "github.com/argoproj/argo-cd/v2", version: "2.14.21"}
	v3 = line{name: "v3", argocd: "github.com/argoproj/argo-cd/v3", version: "3.5.7", repoServer: []string{"--client-ca-path", ""}}
)

// dir is where the programs of a line lie: named by the module file, so that another version is built anew.
func (l line) dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	mod, err := os.ReadFile(filepath.Join("programs", l.name, "go.mod"))
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "tagpin-e2e", fmt.Sprintf("%s-%.6x", l.name, sha256.Sum256(mod))), nil
}

// roles are the names that Argo CD's one program answers to.
var roles = []string{
	"argocd-server", "argocd-repo-server", "argocd-application-controller", "argocd-applicationset-controller", "argocd-git-ask-pass",
}

// buildAll builds what the cache directory lacks. The first time takes a while: these are Argo CD and Kubernetes.
func buildAll() error {
	for _, l := range []line{v2, v3} {
		if err := l.buildArgoCD(); err != nil {
			return err
		}
	}
	dir, err := v2.dir() // Kubernetes' programs are one set for both
	if err != nil {
		return err
	}
	const version = "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=31 " +
		"-X k8s.io/component-base/version.gitVersion=v1.31.0 -X k8s.io/client-go/pkg/version.gitVersion=v1.31.0"
	for _, p := range []string{"kube-apiserver", "kubectl"} {
		if err := v2.build(dir, p, "k8s.io/kubernetes/cmd/"+p, version); err != nil {
			return err
		}
	}
	return buildCrane(dir)
}

func (l line) buildArgoCD() error {
	dir, err := l.dir()
	if err != nil {
		return err
	}
	if err := l.build(dir, "argocd", l.argocd+"/cmd", fmt.Sprintf("-X %s/common.version=%s", l.argocd, l.version)); err != nil {
		return err
	}
	for _, r := range roles {
		if err := os.Symlink("argocd", filepath.Join(dir, r)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}

// build makes one program of a line, unless it is there.
func (l line) build(dir, name, pkg, ldflags string) error {
	target := filepath.Join(dir, name)
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	fmt.Fprintf(os.Stderr, "building %s into %s\n", name, dir)
	return goBuild(filepath.Join("programs", l.name), target, pkg, "-s -w "+ldflags)
}

// buildCrane builds the registry client of the walk-through from the project's own module.
func buildCrane(dir string) error {
	target := filepath.Join(dir, "crane")
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	return goBuild(".", target, "github.com/google/go-containerregistry/cmd/crane", "-s -w")
}

// goBuild writes to a temporary name first, so that a build that is broken off leaves nothing that looks finished.
func goBuild(module, target, pkg, ldflags string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", target+".new", "-ldflags", ldflags, pkg)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return os.Rename(target+".new", target)
}

// source is the directory of Argo CD's module, for its manifests.
func (l line) source() (string, error) {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", l.argocd)
	cmd.Dir = filepath.Join("programs", l.name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding %s: %w: %s", l.argocd, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}
