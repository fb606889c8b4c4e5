// Package program gives tests the programs that they run: Tagpin is the binary under test, Native are helm and kustomize.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Tagpin is the path of the binary under test: TAGPIN_BIN, or one that is built for this run.
func Tagpin(tb testing.TB) string {
	tb.Helper()
	bin, err := tagpin()
	if err != nil {
		tb.Fatal(err)
	}
	return bin
}

var tagpin = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("TAGPIN_BIN"); bin != "" {
		return bin, nil
	}
	dir, err := os.MkdirTemp("", "tagpin")
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "tagpin"), build(dir, "github.com/tagpin/tagpin/cmd/tagpin")
})

// Native puts helm and kustomize, of this module's versions, on PATH for the repo-server's native rendering.
func Native(t *testing.T) {
	t.Helper()
	bin, err := Tools()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// Tools is the directory of helm and kustomize: TAGPIN_TOOLS, so that packages which are tested at the same time don't write
// a program that another one runs, or one that is made for this run.
var Tools = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("TAGPIN_TOOLS"); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "tagpin-tools")
	if err != nil {
		return "", err
	}
	return dir, build(dir, "helm.sh/helm/v3/cmd/helm", "sigs.k8s.io/kustomize/kustomize/v5")
})

func build(dir string, packages ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-o", dir + "/"}, packages...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %v: %w: %s", packages, err, out)
	}
	return nil
}
