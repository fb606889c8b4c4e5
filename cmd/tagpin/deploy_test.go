package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What deploy/ sets is what the commands understand: each TAGPIN_ variable of a container is a flag of its command.
func TestDeployedFlags(t *testing.T) {
	files, err := filepath.Glob("../../deploy/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var d deployment
			if dec.Decode(&d) != nil {
				break // the end, or a file of another form
			}
			seen += d.check(t, file)
		}
	}
	if seen < 5 {
		t.Errorf("only %d variables were found in %v", seen, files)
	}
}

// A deployment is what is read of one here.
type deployment struct {
	Metadata struct{ Name string }
	Spec     struct {
		Template struct {
			Spec struct {
				Containers []struct {
					Name string
					Env  []struct{ Name, Value string }
				}
			}
		}
	}
}

func (d deployment) check(t *testing.T, file string) (seen int) {
	t.Helper()
	name := map[string]string{"argocd-repo-server": "serve", "tagpin-update": "update"}[d.Metadata.Name]
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, v := range c.Env {
			suffix, ours := strings.CutPrefix(v.Name, envPrefix)
			if !ours || c.Name != "tagpin" {
				continue
			}
			seen++
			command, _, err := newRoot().Find([]string{name})
			if err != nil {
				t.Fatal(err)
			}
			flag := command.Flags().Lookup(strings.ToLower(strings.ReplaceAll(suffix, "_", "-")))
			if flag == nil {
				t.Errorf("%s: tagpin %s has no flag for %s", file, name, v.Name)
			} else if err := flag.Value.Set(v.Value); v.Value != "" && err != nil {
				t.Errorf("%s: %s: %v", file, v.Name, err)
			}
		}
	}
	return seen
}
