package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// memoryRegistry is a registry in memory that speaks plain HTTP on the loopback interface.
type memoryRegistry struct{ *httptest.Server }

func startRegistry() memoryRegistry {
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	return memoryRegistry{httptest.NewServer(registry.New(quiet))}
}

func (r memoryRegistry) host() string  { return strings.TrimPrefix(r.URL, "http://") }
func (r memoryRegistry) image() string { return r.host() + "/haoshuwei24/echo-server" }

func (r memoryRegistry) push(ctx context.Context, tag string, built time.Time) error {
	ref, err := name.ParseReference(r.image()+":"+tag, name.Insecure)
	if err != nil {
		return err
	}
	img, err := random.Image(64, 1)
	if err != nil {
		return err
	}
	img, err = mutate.CreatedAt(img, v1.Time{Time: built})
	if err != nil {
		return err
	}
	return remote.Write(ref, img, remote.WithContext(ctx))
}

// gitRemote is a bare repository served by git's own HTTP backend.
type gitRemote struct {
	*httptest.Server
	bare, work string
}

func (g gitRemote) url() string { return g.URL + "/demo.git" }

func startGit(ctx context.Context, dir, charts, image string) (gitRemote, error) {
	work := filepath.Join(dir, "work")
	g := gitRemote{bare: filepath.Join(dir, "git", "demo.git"), work: work}
	if err := os.CopyFS(work, os.DirFS(charts)); err != nil {
		return g, err
	}
	if err := useImage(work, image); err != nil {
		return g, err
	}
	execPath, err := exec.CommandContext(ctx, "git", "--exec-path").Output()
	if err != nil {
		return g, fmt.Errorf("git: %w", err)
	}
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", g.bare},
		{"-C", g.bare, "config", "http.receivepack", "true"},
		{"-C", work, "init", "-q", "-b", "main"},
		{"-C", work, "add", "."},
		{"-C", work, "-c", "user.name=You", "-c", "user.email=you@example.com", "commit", "-q", "-m", "gitops-demo at v1.0"},
		{"-C", work, "remote", "add", "origin", g.bare},
		{"-C", work, "push", "-q", "-u", "origin", "main"},
	} {
		if out, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
			return g, fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	g.Server = httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(g.bare), "GIT_HTTP_EXPORT_ALL=1"},
	})
	return g, nil
}

// in runs git in the person's checkout.
func (g gitRemote) in(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", g.work, "-c", "user.name=You", "-c", "user.email=you@example.com"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return strings.TrimRight(string(out), "\n"), nil
}

// tip is where the branch is on the server; empty when it can't be asked.
func (g gitRemote) tip(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "-C", g.bare, "rev-parse", "main").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// waitFor waits until there are so many commits on top of another.
func (g gitRemote) waitFor(ctx context.Context, from string, commits int) error {
	for range 300 {
		out, err := exec.CommandContext(ctx, "git", "-C", g.bare, "rev-list", "--count", from+"..main").Output()
		if err != nil {
			return fmt.Errorf("git rev-list: %w", err)
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && n >= commits {
			return nil
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("tagpin made no commit within 30 s")
}

// print shows what git says of the remote's branch.
func (g gitRemote) print(ctx context.Context, args ...string) error {
	if _, err := g.in(ctx, "pull", "-q", "--rebase"); err != nil {
		return err
	}
	out, err := g.in(ctx, args...)
	fmt.Println(out)
	return err
}

// revert takes back the last commit below a path, as a person does.
func (g gitRemote) revert(ctx context.Context, path string) error {
	commit, err := g.in(ctx, "log", "-1", "--format=%H", "--", path)
	if err != nil {
		return err
	}
	if _, err := g.in(ctx, "revert", "--no-edit", commit); err != nil {
		return err
	}
	if _, err := g.in(ctx, "push", "-q"); err != nil {
		return err
	}
	return g.print(ctx, "log", "-1", "--format=  %h  %an: %s")
}

// useImage puts the demo's registry in the place of the one that the example names.
func useImage(dir, image string) error {
	const example = "registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server"
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, bytes.ReplaceAll(data, []byte(example), []byte(image)), 0o600)
	})
}
