package gitserver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Create makes a bare repository whose default branch is main, with one commit of files (path to content); none with nil files.
func (s *Server) Create(repository string, files map[string]string) {
	s.t.Helper()
	dir := s.Dir(repository)
	run(s.t, "", nil, "git", "init", "-q", "--bare", "-b", "main", dir)
	for key, value := range map[string]string{
		"http.receivepack": "true", "uploadpack.allowFilter": fmt.Sprint(!s.options.NoFilter), "gc.auto": "0", "receive.autogc": "false",
		"core.logAllRefUpdates": "true",
	} {
		run(s.t, dir, nil, "git", "config", key, value)
	}
	if files != nil {
		s.CommitAs(repository, "main", "A Person <person@example.com>", "start", files)
	}
}

// Configure sets a Git configuration value of a repository.
func (s *Server) Configure(repository, key, value string) {
	s.t.Helper()
	run(s.t, s.Dir(repository), nil, "git", "config", key, value)
}

// Hook installs a shell script as a hook: "update" or "pre-receive" can refuse pushes.
func (s *Server) Hook(repository, name, script string) {
	s.t.Helper()
	path := filepath.Join(s.Dir(repository), "hooks", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// Protect refuses pushes to a branch in the words of GitHub.
func (s *Server) Protect(repository, branch string) {
	s.t.Helper()
	s.Hook(repository, "update", fmt.Sprintf(`if [ "$1" = "refs/heads/%s" ]; then
echo "error: GH006: Protected branch update failed for $1." >&2
echo "Changes must be made through a pull request. See https://internal.example.com/secret-policy" >&2
exit 1
fi`, branch))
}

// CommitAs commits files (path to content) on the tip of a branch, in the repository itself, and returns the commit. It takes
// part in races: when a push comes between, it tries again. author is "Name <mail>".
func (s *Server) CommitAs(repository, branch, author, message string, files map[string]string) string {
	s.t.Helper()
	for range 50 {
		old, _ := try(s.Dir(repository), nil, nil, "git", "rev-parse", "-q", "--verify", "refs/heads/"+branch)
		if sha, ok := s.commit(repository, branch, strings.TrimSpace(old), importCommit(author, message, files)); ok {
			return sha
		}
	}
	s.t.Fatalf("gitserver: %s %s moved fifty times while a commit was made", repository, branch)
	return ""
}

// commit imports to a ref of its own and moves the branch only if it still is at old.
func (s *Server) commit(repository, branch, old string, body []byte) (string, bool) {
	s.t.Helper()
	s.ssh.imports.Lock()
	defer s.ssh.imports.Unlock()
	const scratch = "refs/scratch/import"
	var in bytes.Buffer
	fmt.Fprintf(&in, "reset %s\n\ncommit %s\nmark :1\n%s\nget-mark :1\n", scratch, scratch, bytes.Replace(body, []byte("@FROM@"), from(old), 1))
	out, err := try(s.Dir(repository), &in, nil, "git", "fast-import", "--quiet", "--force", "--date-format=raw")
	if err != nil {
		s.t.Fatalf("git fast-import: %v\n%s", err, out)
	}
	sha := strings.TrimSpace(out)
	expected := old
	if expected == "" {
		expected = strings.Repeat("0", len(sha))
	}
	move := fmt.Sprintf("update refs/heads/%s %s %s\ndelete %s\n", branch, sha, expected, scratch)
	_, err = try(s.Dir(repository), strings.NewReader(move), nil, "git", "update-ref", "--stdin")
	return sha, err == nil
}

func from(old string) []byte {
	if old == "" {
		return nil
	}
	return []byte("from " + old + "\n")
}

func importCommit(author, message string, files map[string]string) []byte {
	var b bytes.Buffer
	now := time.Now().Unix()
	fmt.Fprintf(&b, "author %s %d +0000\ncommitter %s %d +0000\ndata %d\n%s\n@FROM@", author, now, author, now, len(message), message)
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		fmt.Fprintf(&b, "M 100644 inline %s\ndata %d\n%s\n", quote(path), len(files[path]), files[path])
	}
	return b.Bytes()
}

// quote writes a path the way fast-import reads it, whatever bytes it has.
func quote(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(path) {
		if c < ' ' || c == '"' || c == '\\' || c > '~' {
			fmt.Fprintf(&b, "\\%03o", c)
			continue
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}

// Import runs a git fast-import stream in a repository: histories that CommitAs would be too slow for, symlinks, submodules.
func (s *Server) Import(repository string, stream []byte) {
	s.t.Helper()
	if out, err := try(s.Dir(repository), bytes.NewReader(stream), nil, "git", "fast-import", "--quiet", "--force"); err != nil {
		s.t.Fatalf("git fast-import: %v\n%s", err, out)
	}
}

// Git runs git in the bare repository and returns what it printed.
func (s *Server) Git(repository string, args ...string) string {
	s.t.Helper()
	return run(s.t, s.Dir(repository), nil, "git", args...)
}

// Tip is the commit a branch points to.
func (s *Server) Tip(repository, branch string) string {
	s.t.Helper()
	return strings.TrimSpace(s.Git(repository, "rev-parse", "refs/heads/"+branch))
}

// File is a file's content at a revision.
func (s *Server) File(repository, revision, path string) string {
	s.t.Helper()
	return s.Git(repository, "cat-file", "blob", revision+":"+path)
}
