package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
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
	bare string
}

func (g gitRemote) url() string { return g.URL + "/demo.git" }

func startGit(ctx context.Context, dir, charts, image string) (gitRemote, error) {
	g := gitRemote{bare: filepath.Join(dir, "git", "demo.git")}
	work := filepath.Join(dir, "work")
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
		{"-C", work, "push", "-q", g.bare, "main"},
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

// sidecar is `tagpin serve`.
type sidecar struct {
	cmd    *exec.Cmd
	socket string
	conf   string
}

func startSidecar(ctx context.Context, tagpin, dir string, reg memoryRegistry) (*sidecar, error) {
	plugins, conf := filepath.Join(dir, "plugins"), filepath.Join(dir, "registries.conf")
	if err := os.Mkdir(plugins, 0o700); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("registries:\n- name: demo\n  prefix: %s\n  api_url: %s\n  insecure: true # plain HTTP\n", reg.host(), reg.URL)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s := &sidecar{socket: filepath.Join(plugins, "tagpin.sock"), conf: conf}
	s.cmd = exec.CommandContext(ctx, tagpin, "serve", "--plugins-dir", plugins, "--config-dir", ".", // plugin.yaml

		"--registries-conf-path", conf, "--cache-ttl", cacheTTL.String(), "--log-level", "warn")
	s.cmd.Stderr = os.Stderr
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(os.Interrupt) }
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	say("%s", strings.Join(s.cmd.Args, " "))
	for range 100 {
		if conn, err := net.Dial("unix", s.socket); err == nil {
			return s, conn.Close()
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the plugin server does not answer at %s", s.socket)
}

func (s *sidecar) Close() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait()
}

// tell prints what `tagpin resolve` says of the choice.
func tell(ctx context.Context, tagpin string, s *sidecar, image string) error {
	step("Which tag, and why: tagpin resolve")
	cmd := exec.CommandContext(ctx, tagpin, "resolve", image, "--registries-conf-path", s.conf)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Print("  ", line)
	}
	return err
}
