package plugin

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// work holds a slot for a while and notes who had one, in order.
type work struct {
	mu    sync.Mutex
	order []string
	now   map[string]int
	most  int
	share map[string]int
}

func (w *work) hold(t *testing.T, q *queue, repository string) {
	release, err := q.acquire(t.Context(), repository)
	if err != nil {
		t.Error(err)
		return
	}
	w.mu.Lock()
	w.order = append(w.order, repository)
	w.now[repository]++
	total := 0
	for _, n := range w.now {
		total += n
	}
	w.most = max(w.most, total)
	w.share[repository] = max(w.share[repository], w.now[repository])
	w.mu.Unlock()
	time.Sleep(time.Second)
	w.mu.Lock()
	w.now[repository]--
	w.mu.Unlock()
	release()
	release() // a second release changes nothing
}

func TestQueue(t *testing.T) {
	for name, c := range map[string]struct {
		slots int
		come  []string
		want  []string // who works, in order; nil: any order
		share int      // the most slots that a holds at a time
	}{
		"in turn":              {1, []string{"a", "a", "a", "b", "c"}, []string{"a", "a", "b", "c", "a"}, 1},
		"all slots of two":     {2, []string{"a", "a", "a"}, []string{"a", "a", "a"}, 2},
		"one is kept of three": {3, []string{"a", "a", "a", "a", "b"}, []string{"a", "a", "b", "a", "a"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, w := newQueue(c.slots), &work{now: map[string]int{}, share: map[string]int{}}
				var all sync.WaitGroup
				for _, repository := range c.come {
					all.Go(func() { w.hold(t, q, repository) })
					synctest.Wait() // so that they come in this order
				}
				all.Wait()
				if !slices.Equal(w.order, c.want) {
					t.Errorf("order %v, want %v", w.order, c.want)
				}
				if w.most > c.slots || w.share["a"] != c.share {
					t.Errorf("%d at a time, %d of them for a; want at most %d and %d", w.most, w.share["a"], c.slots, c.share)
				}
				if q.free != c.slots || len(q.held)+len(q.waiting)+len(q.turns) != 0 {
					t.Errorf("left over: %+v", q)
				}
			})
		})
	}
}

func TestQueueGivesUpAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		release, err := q.acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := q.acquire(ctx, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		release()
		if _, err := q.acquire(t.Context(), "b"); err != nil {
			t.Error(err)
		}
	})
}
