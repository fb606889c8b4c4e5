package reconcile

import (
	"context"
	"sync"
)

// A turnstile lets so many pass at a time for each key.
type turnstile[K comparable] struct {
	limit int
	mu    sync.Mutex
	gates map[K]*gate
}

type gate struct {
	slots chan struct{}
	users int
}

func newTurnstile[K comparable](limit int) *turnstile[K] {
	return &turnstile[K]{limit: limit, gates: map[K]*gate{}}
}

// pass does the work when it is its turn, or not at all if ctx ends before.
func (t *turnstile[K]) pass(ctx context.Context, key K, work func()) {
	g := t.enter(key)
	defer t.leave(key, g)
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
		work()
	case <-ctx.Done():
	}
}

func (t *turnstile[K]) enter(key K) *gate {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gates[key]
	if g == nil {
		g = &gate{slots: make(chan struct{}, t.limit)}
		t.gates[key] = g
	}
	g.users++
	return g
}

// leave drops a gate that nobody uses any more.
func (t *turnstile[K]) leave(key K, g *gate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(t.gates, key)
	}
}
