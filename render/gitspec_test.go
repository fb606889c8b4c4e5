package render

import (
	"strings"
	"testing"
)

// The forms that kustomize takes; the cases are those of its documentation, and what is easily mistaken.
func TestParseGitSpec(t *testing.T) {
	for entry, want := range map[string]gitSpec{
		"https://github.com/org/repo":                              {repository: "https://github.com/org/repo", dir: "."},
		"https://github.com/org/repo?ref=v1":                       {repository: "https://github.com/org/repo", dir: ".", ref: "v1"},
		"https://github.com/org/repo/dir/below?ref=v1":             {repository: "https://github.com/org/repo", dir: "dir/below", ref: "v1"},
		"https://github.com/org/repo//dir?ref=v1&timeout=90s":      {repository: "https://github.com/org/repo", dir: "dir", ref: "v1", marked: true},
		"https://github.com/org/repo.git/dir?version=v2":           {repository: "https://github.com/org/repo.git", dir: "dir", ref: "v2", marked: true},
		"https://git.example.com/a/b/c.git//dir?ref=x&version=y":   {repository: "https://git.example.com/a/b/c.git", dir: "dir", ref: "x", marked: true},
		"https://dev.azure.com/org/project/_git/repo/dir":          {repository: "https://dev.azure.com/org/project/_git/repo", dir: "dir", marked: true},
		"HTTPS://git.example.com/a/b":                              {repository: "https://git.example.com/a/b", dir: "."},
		"http://git.example.com:8080/a/b/c":                        {repository: "http://git.example.com:8080/a/b", dir: "c"},
		"git::https://git.example.com/a/b":                         {repository: "https://git.example.com/a/b", dir: "."},
		"github.com/org/repo/dir":                                  {repository: "https://github.com/org/repo", dir: "dir"},
		"GitHub.com/org/repo":                                      {repository: "https://github.com/org/repo", dir: "."},
		"git@github.com:org/repo.git//dir":                         {repository: "git@github.com:org/repo.git", dir: "dir", marked: true},
		"git@github.com/org/repo":                                  {repository: "git@github.com:org/repo", dir: "."},
		"ssh://git@github.com/org/repo":                            {repository: "git@github.com:org/repo", dir: "."},
		"ssh://github.com/org/repo":                                {repository: "git@github.com:org/repo", dir: "."},
		"https://git@github.com/org/repo":                          {repository: "git@github.com:org/repo", dir: "."},
		"git@git.example.com:team/repo.git/dir?ref=main":           {repository: "git@git.example.com:team/repo.git", dir: "dir", ref: "main", marked: true},
		"ssh://git@git.example.com:2222/team/repo//dir":            {repository: "ssh://git@git.example.com:2222/team/repo", dir: "dir", marked: true},
		"https://git.example.com/a/b//":                            {repository: "https://git.example.com/a/b", dir: ".", marked: true},
		"https://git.example.com/a/b//c/../d":                      {repository: "https://git.example.com/a/b", dir: "d", marked: true},
		"https://git.example.com/a/b?ref=feature/x%20y&submodules": {repository: "https://git.example.com/a/b", dir: ".", ref: "feature/x y"},
	} {
		got, err := parseGitSpec(entry)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", entry, got, err)
		}
	}
	for entry, want := range map[string]error{
		"https://example.com/x":                errNoGit,
		"https://example.com":                  errNoGit,
		"example.com/org/repo":                 errNoGit,
		"file:///srv/repo.git":                 errNoGit,
		"git://git.example.com/a/b":            errNoGit,
		"../base":                              errNoGit,
		"":                                     errNoGit,
		"https://git.example.com/a/b//../../c": errOutside,
		"https://git.example.com/a/b/../c":     errOutside,
		"https://ada:canary@git.example.com/a": errLogin,
		"https://ada@git.example.com/a/b":      errLogin,
		"https://ada:canary@github.com/org/a":  errLogin,
		"https://x@y@git.example.com/a/b":      errLogin,
		"ssh://git:canary@git.example.com/a/b": errLogin,
		"git:canary@git.example.com:a/b":       errNoGit,
	} {
		if got, err := parseGitSpec(entry); err != want { //nolint:errorlint // these very errors
			t.Errorf("%s: %+v, %v", entry, got, err)
		}
	}
}

// Whatever an entry is, its directory stays in its repository and no password goes on to git.
func FuzzParseGitSpec(f *testing.F) {
	for _, s := range []string{
		"https://github.com/org/repo//dir?ref=v1", "git@github.com:org/repo.git//dir", "ssh://git@h:22/a/b//c", "https://a:b@h/c/d", "git::https://h/a/b",
		"https://h/_git/r/../..", "github.com/a/b/../../..", "https://h/a/b//%2e%2e/c", "http://[::1]:1/a/b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := parseGitSpec(s)
		if err != nil {
			return
		}
		if strings.HasPrefix(spec.dir, "/") || spec.dir == ".." || strings.HasPrefix(spec.dir, "../") || spec.dir == "" {
			t.Errorf("%q: the directory %q", s, spec.dir)
		}
		if host, _, ok := strings.Cut(strings.TrimPrefix(spec.repository, "https://"), "/"); ok && strings.HasPrefix(spec.repository, "https://") && strings.Contains(host, "@") {
			t.Errorf("%q: a login in %q", s, spec.repository)
		}
		if _, remote := remoteHost(s); !remote {
			t.Errorf("%q is a repository, and not taken for remote", s)
		}
	})
}
