package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

var room = git.Limits{Files: 100, Bytes: 1 << 20}

// What a tag, a branch, a commit or nothing names is written as a checkout would have it.
func TestExport(t *testing.T) {
	transports(t, func(t *testing.T, s *gitserver.Server, remote func(name string) git.Remote) {
		s.Create("base", map[string]string{"a/b/file.yaml": "one", ".gitattributes": "*.txt text eol=crlf\n", "x.txt": "l\n"})
		first := s.Tip("base", "main")
		s.Git("base", "-c", "user.name=A", "-c", "user.email=a@example.com", "tag", "-a", "-m", "first", "v1", first)
		s.Git("base", "branch", "v1", first) // a tag goes before a branch
		s.Import("base", []byte("commit refs/heads/main\ncommitter A <a@example.com> 1800000000 +0000\ndata 1\nx\nfrom refs/heads/main^0\n"+
			"M 100644 inline a/b/file.yaml\ndata 3\ntwo\nM 120000 inline link\ndata 13\na/b/file.yaml\n"))
		s.Git("base", "update-ref", "refs/heads/v1", s.Tip("base", "main"))
		r := open(t, t.TempDir(), remote("base"), git.Options{})
		for name, want := range map[string]string{"": "two", "HEAD": "two", "main": "two", "v1": "one", "refs/heads/v1": "two", "refs/tags/v1": "one", first: "one"} {
			sha, err := r.Find(t.Context(), name)
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			dir := t.TempDir()
			if err := r.Export(t.Context(), sha, dir, room); err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "a/b/file.yaml")); err != nil || string(got) != want {
				t.Errorf("%q: %q, %v; want %q", name, got, err, want)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "x.txt")); err != nil || string(got) != "l\r\n" {
				t.Errorf("%q: %q, %v", name, got, err)
			}
			if target, err := os.Readlink(filepath.Join(dir, "link")); (err == nil) != (want == "two") || err == nil && target != "a/b/file.yaml" {
				t.Errorf("%q: the link is %q, %v", name, target, err)
			}
			if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
				t.Error("there is a .git directory")
			}
		}
	})
}

func TestExportRefused(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("base", map[string]string{"a": strings.Repeat("a", 1000), "b": "b"})
	r := open(t, t.TempDir(), overHTTP(s, "base"), git.Options{})
	tip := s.Tip("base", "main")
	for _, l := range []git.Limits{{Files: 1, Bytes: 1 << 20}, {Files: 10, Bytes: 1000}} {
		dir := t.TempDir()
		wantError(t, r.Export(t.Context(), tip, dir, l), git.TooBig, "more than the limit")
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("%d files were written", len(files))
		}
	}
	for _, name := range []string{"none", "-x", "../x", "a b", "refs/heads/-x", "main:x", strings.Repeat("0", 39)} {
		if sha, err := r.Find(t.Context(), name); err == nil {
			t.Errorf("%q is %s", name, sha)
		}
	}
	wantError(t, r.Export(t.Context(), strings.Repeat("0", 40), t.TempDir(), room), git.Gone, "")
	anonymous := open(t, t.TempDir(), git.Remote{URL: s.URL("base")}, git.Options{})
	_, err := anonymous.Find(t.Context(), "main")
	wantError(t, err, git.Authentication, "")
}
