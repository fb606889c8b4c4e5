// Package test holds what concerns the whole repository.
package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tagpin/tagpin/"

// allowed says which own packages each package may import (its tests excluded). cmd, test, examples and deploy may import all.
var allowed = map[string][]string{
	"image":     {},
	"cache":     {},
	"cluster":   {},
	"config":    {},
	"network":   {},
	"redis":     {},
	"registry":  {"image", "cache", "config", "network"},
	"resolve":   {"image"},
	"render":    {"image", "config", "cache", "network"},
	"writeback": {"image", "config"},
	"reconcile": {"image"},
	"webhook":   {"image"},
	"metrics":   {"image", "cache", "registry", "reconcile"},
	"migrate":   {"image", "writeback"},
	"plugin":    {"image", "render"},
}

// onlyIn says which outside packages are the business of which own package alone.
var onlyIn = map[string][]string{
	"github.com/google/go-containerregistry/": {"registry"},
	"helm.sh/helm/":                 {"render"},
	"sigs.k8s.io/kustomize/api":     {"render"},
	"google.golang.org/grpc":        {"plugin"},
	"github.com/argoproj/argo-cd/":  {"plugin", "cmd"},
	"github.com/patrickmn/go-cache": {"cache"},
	"github.com/prometheus/":        {"metrics"},
	"github.com/redis/go-redis/":    {"redis"},
	"k8s.io/client-go/":             {"cluster"},
}

func TestImportRules(t *testing.T) {
	for _, p := range list(t) {
		own := strings.TrimPrefix(p.ImportPath, module)
		room, _, _ := strings.Cut(own, "/")
		if room == "test" || room == "examples" || room == "deploy" {
			continue
		}
		rule, known := allowed[room]
		if !known && room != "cmd" {
			t.Errorf("package %s has no rule: add it to the table and to the documentation", own)
			continue
		}
		for _, imported := range p.Imports {
			if rest, ok := strings.CutPrefix(imported, module); ok && room != "cmd" {
				target, _, _ := strings.Cut(rest, "/")
				if target != room && !slices.Contains(rule, target) {
					t.Errorf("%s imports %s; it may import %v", own, rest, rule)
				}
			}
			for prefix, rooms := range onlyIn {
				if strings.HasPrefix(imported, prefix) && !slices.Contains(rooms, room) {
					t.Errorf("%s imports %s, which is the business of %v", own, imported, rooms)
				}
			}
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
