// Package argocd finds the install manifests of Argo CD in its Go modules, so that none has to be copied. Releases are those that
// tagpin is built with for tests and for its own release.
package argocd

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Release of Argo CD.
type Release struct {
	module, version string
	// sum is that of the module, where it is no dependency and so not in go.sum.
	sum string
}

// Releases are one of each line.
func Releases() []Release {
	return []Release{
		{module: "github.com/argoproj/argo-cd/v2"}, // of go.mod
		{"github.com/argoproj/argo-cd/v3", "v3.5.7", "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0="},
	}
}

// Line is v2 or v3.
func (r Release) Line() string { return r.module[strings.LastIndex(r.module, "/")+1:] }

// Manifests is the version and the directory of its manifests. A module that isn't in the module cache is downloaded.
func (r Release) Manifests() (version, dir string, err error) {
	args := []string{"list", "-m", "-json", r.module}
	if r.version != "" {
		args = []string{"mod", "download", "-json", r.module + "@" + r.version}
	}
	out, err := exec.Command("go", args...).Output() //nolint:gosec // of the constants above
	if err != nil {
		return "", "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out) // with -json the reason is there
	}
	var module struct{ Version, Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	if r.sum != "" && module.Sum != r.sum {
		return "", "", fmt.Errorf("%s@%s has the checksum %s, not %s", r.module, r.version, module.Sum, r.sum)
	}
	return module.Version, filepath.Join(module.Dir, "manifests"), nil
}
