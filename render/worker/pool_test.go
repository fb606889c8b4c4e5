package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagpin/tagpin/render"
)

func TestMain(m *testing.M) {
	if IsWorker() {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

func chart(t testing.TB, template string) render.Request {
	t.Helper()
	return tree(t, map[string]string{"Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n", "templates/a.yaml": template})
}

func tree(t testing.TB, files map[string]string) render.Request {
	t.Helper()
	root := t.TempDir()
	for file, text := range files {
		file = filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return render.Request{Root: root, Path: ".", App: render.App{Name: "shop"}}
}

func pool(t testing.TB, size int, memory int64) *Pool {
	t.Helper()
	p, err := NewPool(Options{Size: size, Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

const (
	good    = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n"
	endless = `{{ range $i := until 1000000 }}{{ range until 1000000 }}{{ end }}{{ end }}`
)

func TestBadRenders(t *testing.T) {
	for name, c := range map[string]struct{ template, want string }{
		"error":  {`{{ fail "no port" }}`, "no port"},
		"memory": {`{{ range until 1000000 }}{{ repeat 100000 "x" }}{{ end }}`, "raise --render-memory"},
		"tpl":    {`{{ define "a" }}{{ tpl "{{ include \"a\" . }}" . }}{{ end }}{{ include "a" . }}`, ""},
		"nested": {`{{ define "b" }}{{ template "b" . }}{{ end }}{{ template "b" . }}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := pool(t, 1, 256<<20)
			_, err := p.Render(t.Context(), chart(t, c.template))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			t.Log(err)
			if _, err := p.Render(t.Context(), chart(t, good)); err != nil {
				t.Errorf("the next render: %v", err)
			}
		})
	}
}

func TestDeadlineEndsOneRenderOnly(t *testing.T) {
	p := pool(t, 2, 0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	bad, fine := chart(t, endless), chart(t, good)
	wg.Go(func() {
		if _, err := p.Render(ctx, bad); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	for ctx.Err() == nil {
		if _, err := p.Render(t.Context(), fine); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestSameAsInProcessAndNoLeak(t *testing.T) {
	p := pool(t, 2, 0)
	requests := []render.Request{chart(t, good), tree(t, map[string]string{
		"kustomization.yaml": "namePrefix: x-\nresources: [a.yaml]\n",
		"a.yaml":             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
	})}
	var before int
	for round := range 25 {
		var wg sync.WaitGroup
		for i := range 8 {
			r := requests[i%2]
			wg.Go(func() {
				want, err := render.Render(t.Context(), r)
				if err != nil {
					t.Error(err)
				}
				got, err := p.Render(t.Context(), r)
				if err != nil || !bytes.Equal(got.Manifests, want.Manifests) || got.Type != want.Type {
					t.Errorf("%s, %v", got.Manifests, err)
				}
			})
		}
		wg.Wait()
		if fds, _ := os.ReadDir("/proc/self/fd"); round == 0 {
			before = len(fds)
		} else if len(fds) > before+3 { // the second worker's pipes
			t.Fatalf("%d file descriptors, then %d", before, len(fds))
		}
	}
}

func TestWorkerHasNothing(t *testing.T) {
	t.Setenv("CANARY", "canary")
	secret, err := os.Create(filepath.Join(t.TempDir(), "canary"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	p := pool(t, 1, 0)
	if _, err := p.Render(t.Context(), chart(t, good)); err != nil {
		t.Fatal(err)
	}
	w := p.idle[0]
	proc := fmt.Sprintf("/proc/%d/", w.cmd.Process.Pid)
	if env, err := os.ReadFile(proc + "environ"); err != nil || len(env) > 0 {
		t.Errorf("environment %q, %v", env, err)
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Skip("a process in another user namespace shows no descriptors:", err)
	}
	for _, fd := range fds {
		if target, _ := os.Readlink(proc + "fd/" + fd.Name()); strings.Contains(target, "canary") {
			t.Errorf("%s is open", target)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	r := chart(b, good)
	p := pool(b, 1, 0)
	for name, f := range map[string]func(context.Context, render.Request) (render.Result, error){"server": render.Render, "worker": p.Render} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := f(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			w, err := p.take(".")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := p.ask(b.Context(), w, r); err != nil {
				b.Fatal(err)
			}
			w.end()
		}
	})
}

// What a render needs from elsewhere reaches the server as it was said.
func TestNeedsCrossThePipe(t *testing.T) {
	p := pool(t, 1, 0)
	r := tree(t, map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies: [{name: redis, version: ^1, repository: https://charts.example.com}]\n",
	})
	_, here := render.Render(t.Context(), r)
	_, there := p.Render(t.Context(), r)
	var want, got *render.NeedsError
	if !errors.As(here, &want) || !errors.As(there, &got) || len(got.Needs) != 1 || got.Needs[0] != want.Needs[0] {
		t.Errorf("%v in a worker, %v here", there, here)
	}
}
