package argocd

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/program"
)

// A checkout is a Git repository of a person: files are written and committed here, and the repo-server fetches from it.
type checkout struct {
	t   *testing.T
	dir string
}

// newCheckout makes a repository with a copy of the directory from, if any.
func newCheckout(t *testing.T, from string) checkout {
	t.Helper()
	c := checkout{t, t.TempDir()}
	c.git("init", "-q", "-b", "main")
	c.git("config", "user.name", "Ada")
	c.git("config", "user.email", "ada@example.com")
	if from != "" {
		if err := os.CopyFS(c.dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c checkout) url() string { return "file://" + c.dir }

func (c checkout) git(args ...string) string {
	c.t.Helper()
	out, err := exec.Command("git", append([]string{"-C", c.dir}, args...)...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c checkout) write(path, text string) {
	c.t.Helper()
	full := filepath.Join(c.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c checkout) commit(message string) string {
	c.t.Helper()
	c.git("add", "-A")
	c.git("commit", "-q", "-m", message)
	return c.git("rev-parse", "HEAD")
}

// revert undoes a commit in the files, where that is possible without a conflict.
func (c checkout) revert(revision string) {
	c.t.Helper()
	if err := exec.Command("git", "-C", c.dir, "revert", "--no-commit", revision).Run(); err != nil {
		c.git("reset", "-q", "--hard")
	}
}

// A sidecar is a running `tagpin serve`.
type sidecar struct {
	sockets string // the plugins directory
	log     *syncBuffer
	cmd     *exec.Cmd
}

// startSidecar runs `tagpin serve` with the given registries.conf and waits for its socket.
func startSidecar(t *testing.T, conf, secrets string, args ...string) *sidecar {
	t.Helper()
	dir := shortDir(t)
	confPath := filepath.Join(dir, "registries.conf")
	if err := os.WriteFile(confPath, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &sidecar{sockets: dir, log: &syncBuffer{}}
	s.cmd = exec.Command(program.Tagpin(t), append([]string{"serve", "--plugins-dir", dir, "--config-dir", "../..",
		"--registries-conf-path", confPath, "--secrets-dir", secrets}, args...)...)
	s.cmd.Stderr = s.log
	s.cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(os.Interrupt)
		_ = s.cmd.Wait()
		if t.Failed() {
			t.Logf("the sidecar's log:\n%s", s.log)
		}
	})
	waitForSocket(t, filepath.Join(dir, "tagpin.sock"), s.log)
	return s
}

// waitForLog waits until the sidecar has logged a text so many times.
func (s *sidecar) waitForLog(t *testing.T, text string, times int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); strings.Count(s.log.String(), text) < times; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has %q less than %d times:\n%s", text, times, s.log)
		}
	}
}

func waitForSocket(t *testing.T, path string, log *syncBuffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nothing listens at %s:\n%s", path, log)
}

// shortDir is a temporary directory whose name leaves room for a socket's: a Unix socket's path has 108 bytes at most.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// syncBuffer collects what a process writes while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
