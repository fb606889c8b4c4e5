package plugin

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagpin/tagpin/render"
)

// calls collects what is told.
type calls struct {
	mu  sync.Mutex
	all []Call
}

func (c *calls) add(call Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, call)
}

func (c *calls) only(t *testing.T) Call {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) != 1 {
		t.Fatalf("%d calls were told, want 1: %+v", len(c.all), c.all)
	}
	return c.all[0]
}

func TestCallsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		render Renderer
		fails  bool
	}{
		"done":   {rendering(configMap), false},
		"failed": {rendering("a: [\n"), true},
	} {
		t.Run(name, func(t *testing.T) {
			var told calls
			o := options(t, shortDir(t))
			o.Told = told.add
			s := start(t, o, c.render)
			root := writeTree(t, map[string]string{"big": noise(1 << 20)})
			_, err := s.generate(t.Context(), root)
			if (err != nil) != c.fails {
				t.Fatal(err)
			}
			got := told.only(t)
			if got.Job != Rendering || got.Bytes < 1<<20 || (got.Err != nil) != c.fails || got.Late {
				t.Errorf("told %+v", got)
			}
			if got.Staged <= 0 || got.Worked <= 0 || got.Took < got.Queued+got.Staged+got.Worked {
				t.Errorf("times %+v", got)
			}
			if got.Err != nil && !strings.Contains(err.Error(), got.Err.Error()) {
				t.Errorf("told %v, answered %v", got.Err, err)
			}
		})
	}
}

// A call that passed its deadline is told as late, when it really ends.
func TestLateCallsAreTold(t *testing.T) {
	var told calls
	g := newGate()
	o := options(t, shortDir(t))
	o.Told, o.Deadline = told.add, 200*time.Millisecond
	s := start(t, o, func(ctx context.Context, r render.Request) (render.Result, error) {
		if _, err := g.render(ctx, r); err != nil {
			return render.Result{}, err
		}
		return render.Result{}, ctx.Err()
	})
	_, err := s.generate(t.Context(), writeTree(t, map[string]string{"a": "b"}))
	s.wantError(err, "rendering did not finish within 200ms")
	close(g.open)
	waitUntil(t, func() bool {
		told.mu.Lock()
		defer told.mu.Unlock()
		return len(told.all) > 0
	})
	if got := told.only(t); !got.Late || got.Err == nil || got.Took < o.Deadline {
		t.Errorf("told %+v", got)
	}
}

func TestLoad(t *testing.T) {
	g := newGate()
	o := options(t, shortDir(t))
	o.Concurrency = 1
	s := start(t, o, g.render)
	root := writeTree(t, map[string]string{"a": "b"})
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			if _, err := s.generate(t.Context(), root); err != nil {
				t.Error(err)
			}
		})
	}
	waitUntil(t, func() bool {
		working, waiting := s.server.Load()
		return working == 1 && waiting == 2
	})
	close(g.open)
	clients.Wait()
	waitUntil(t, func() bool {
		working, waiting := s.server.Load()
		return working == 0 && waiting == 0
	})
}
