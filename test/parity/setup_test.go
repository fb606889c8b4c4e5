package parity

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tagpin/tagpin/test/argocd"
	"github.com/tagpin/tagpin/test/program"
)

var (
	seed      = flag.Uint64("seed", 1, "what the random combinations begin with")
	count     = flag.Int("combinations", 300, "how many random combinations are compared; with -short a tenth")
	other     = flag.String("argocd", "", "the program of another repo-server than that of go.mod (make parity-v3)")
	directory = flag.String("dir", "", "compare every chart and overlay below this directory (make parity)")
)

// A bench is a repo-server with tagpin beside it.
type bench struct {
	server server
	repos  []*v1alpha1.Repository // what native sources may fetch with a login
}

// A server is the repo-server of go.mod or a program with another one.
type server interface {
	Generate(context.Context, argocd.Request) ([]string, error)
	Local(ctx context.Context, root string, r argocd.Request) ([]string, error)
}

func start(t *testing.T) bench {
	t.Helper()
	return startWith(t, nil)
}

// startWith gives tagpin more files, by their names: tagpin.yaml is added to.
func startWith(t *testing.T, files map[string]string) bench {
	t.Helper()
	program.Native(t)
	sockets, err := os.MkdirTemp("/tmp", "tp") // a socket's path has 108 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	serve(t, sockets, files)
	if *other != "" {
		return bench{server: argocd.StartProgram(t, *other, sockets)}
	}
	return bench{server: argocd.Start(t, sockets)}
}

// settings lets charts render nothing, as native sources may.
const settings = "applications:\n  allow-empty: [\"*\"]\n"

func serve(t *testing.T, sockets string, more map[string]string) {
	t.Helper()
	bin := program.Tagpin(t)
	files := map[string]string{"registries.conf": "registries: []\n"}
	maps.Copy(files, more)
	files["tagpin.yaml"] = settings + more["tagpin.yaml"]
	for name, text := range files {
		write(t, sockets, name, text)
	}
	var log bytes.Buffer
	cmd := exec.Command(bin, "serve", "--plugins-dir", sockets, "--config-dir", "../..", "--secrets-dir", sockets,
		"--registries-conf-path", filepath.Join(sockets, "registries.conf"), "--settings", filepath.Join(sockets, "tagpin.yaml"),
		"--status-socket", "", "--update-loop=false")
	cmd.Stderr, cmd.Env = &log, append(os.Environ(), "TMPDIR="+sockets)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() && testing.Verbose() && *directory == "" {
			t.Logf("tagpin's log:\n%s", &log)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if conn, err := net.Dial("unix", filepath.Join(sockets, "tagpin.sock")); err == nil {
			conn.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("tagpin does not listen")
}

// unpack writes the files of testdata/*.txtar below dir.
func unpack(t *testing.T, dir string) {
	t.Helper()
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			write(t, dir, f.Name, string(f.Data))
		}
	}
	packChart(t, dir, "packed", "shop/charts")
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// packChart puts the chart in dir/name as an archive into dir/to, as `helm dependency build` would.
func packChart(t *testing.T, dir, name, to string) {
	t.Helper()
	cmd := exec.Command("helm", "package", name, "-d", to)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	id := []string{"-C", dir, "-c", "user.name=Ada", "-c", "user.email=ada@example.com"}
	out, err := exec.Command("git", append(id, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
