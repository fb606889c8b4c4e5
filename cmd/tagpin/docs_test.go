package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/plugin"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// What the README shows is what works: its Application has valid parameters, its settings parse and bind what the Application
// asks for, and its table of commands is complete. So is the Chinese one.
func TestReadme(t *testing.T) {
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("../../" + name)
			if err != nil {
				t.Fatal(err)
			}
			blocks := yamlBlock.FindAllStringSubmatch(string(text), -1)
			if len(blocks) != 2 {
				t.Fatalf("%d YAML blocks, want an Application and its binding", len(blocks))
			}
			root := t.TempDir()
			_, request, err := plugin.LoadApplication([]byte(blocks[0][1]), root, plugin.ApplicationOptions{})
			if err != nil {
				t.Fatal(err)
			}
			options, err := image.ParseOptions(image.Input{Parameters: request.Parameters, Env: request.Env})
			if err != nil {
				t.Fatal(err)
			}
			settings, err := config.Parse("tagpin.yaml", []byte(blocks[1][1]))
			if err != nil {
				t.Fatal(err)
			}
			_, err = settings.Bound(config.Use{Credential: strings.TrimPrefix(options.WriteBack.Method, "git:"), Kind: config.Git,
				URL: request.App.RepoURL, App: config.App{Name: request.App.Name, Project: request.App.Project, RepoURL: request.App.RepoURL}})
			if err != nil {
				t.Error(err)
			}
			for _, command := range newRoot().Commands() {
				if !strings.Contains(string(text), "| `tagpin "+command.Name()) {
					t.Errorf("the table of commands lacks %s", command.Name())
				}
			}
			makefile, err := os.ReadFile("../../Makefile")
			if err != nil {
				t.Fatal(err)
			}
			targets := regexp.MustCompile("`make ([a-z0-9]+)").FindAllStringSubmatch(string(text), -1)
			for _, target := range targets {
				if !regexp.MustCompile(`(?m)^` + target[1] + `:`).Match(makefile) {
					t.Errorf("there is no make %s", target[1])
				}
			}
			if slices.Index(strings.Split(string(text), "\n"), "make demo") < 0 {
				t.Error("no make demo")
			}
		})
	}
}
