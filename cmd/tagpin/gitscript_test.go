package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
)

const (
	gitUser = "robot"
	// gitPassword is a canary: scripts check that nothing prints it.
	gitPassword = "git-Canary-password"
)

// servers are what scripts can change by commands of their own.
type servers struct {
	reg *acr.Server
	git *gitserver.Server
}

func (s servers) commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		// git-create NAME DIR makes a repository with the files of a directory.
		"git-create": func(ts *testscript.TestScript, _ bool, args []string) {
			s.git.Create(args[0], filesIn(ts, ts.MkAbs(args[1])))
		},
		// git-protect NAME refuses pushes to main.
		"git-protect": func(_ *testscript.TestScript, _ bool, args []string) { s.git.Protect(args[0], "main") },
		// push-image REPOSITORY TAG
		"push-image": func(_ *testscript.TestScript, _ bool, args []string) {
			s.reg.Push(args[0], args[1], acr.Image{
				Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
				Labels:  map[string]string{"org.opencontainers.image.source": "https://code.example.com/" + args[0]},
			})
		},
		// expand FILE… replaces the environment's variables.
		"expand": func(ts *testscript.TestScript, _ bool, args []string) {
			for _, name := range args {
				ts.Check(os.WriteFile(ts.MkAbs(name), []byte(os.Expand(ts.ReadFile(name), ts.Getenv)), 0o600))
			}
		},
	}
}

func filesIn(ts *testscript.TestScript, dir string) map[string]string {
	files := map[string]string{}
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	}))
	return files
}

// setup gives a script the Git server's address and the Secret argocd/git-creds, bound in tagpin.yaml.
func (s servers) setup(env *testscript.Env) error {
	base := strings.TrimSuffix(s.git.URL("x"), "/x.git")
	env.Setenv("GIT_URL", base)
	env.Setenv("GIT_REPOSITORIES", filepath.Dir(s.git.Dir("x")))
	for _, role := range []string{"AUTHOR", "COMMITTER"} {
		env.Setenv("GIT_"+role+"_NAME", "A Person")
		env.Setenv("GIT_"+role+"_EMAIL", "person@example.com")
	}
	creds := filepath.Join(env.WorkDir, "secrets", "argocd", "git-creds")
	if err := os.MkdirAll(creds, 0o700); err != nil {
		return err
	}
	for path, text := range map[string]string{
		filepath.Join(creds, "username"): gitUser,
		filepath.Join(creds, "password"): gitPassword,
		filepath.Join(env.WorkDir, "tagpin.yaml"): fmt.Sprintf(
			"bindings:\n- credential: secret:argocd/git-creds\n  kind: git\n  url: %s\n", base),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
