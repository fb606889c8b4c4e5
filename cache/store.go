package cache

import (
	"container/list"
	"sync"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// An entry is what is known of a key: a value, a failure, or both.
type entry[T any] struct {
	value  T
	has    bool
	at     time.Time // when the value's load began
	marked bool      // not fresh, whatever its age
	lent   bool      // another process loaded it
	err    error     // the last load's failure
	errAt  time.Time
}

// forever is the keep of an entry that does not expire.
const forever = gocache.NoExpiration

// A store keeps entries. It may drop any at any time.
type store[T any] interface {
	get(key string) (entry[T], bool)
	set(key string, e entry[T], keep time.Duration)
	delete(key string)
	len() int
}

// sweepEvery is how often go-cache frees what expired. What may be used is decided by the entries' own times; this only
// returns memory, which MaxItems bounds anyway.
const sweepEvery = 10 * time.Minute

// memory is a go-cache with a bound: order holds the keys, the most recently used first.
type memory[T any] struct {
	items *gocache.Cache // key → *list.Element of order
	max   int

	mu    sync.Mutex
	order *list.List // of node[T]
}

type node[T any] struct {
	key   string
	entry entry[T]
}

func newMemory[T any](maxItems int) *memory[T] {
	m := &memory[T]{items: gocache.New(forever, sweepEvery), max: maxItems, order: list.New()}
	m.items.OnEvicted(func(_ string, v any) { // at every deletion and sweep
		m.mu.Lock()
		defer m.mu.Unlock()
		m.order.Remove(v.(*list.Element))
	})
	return m
}

func (m *memory[T]) get(key string) (entry[T], bool) {
	v, ok := m.items.Get(key)
	if !ok {
		return entry[T]{}, false
	}
	e := v.(*list.Element)
	m.mu.Lock()
	m.order.MoveToFront(e) // no effect on one that was evicted meanwhile
	m.mu.Unlock()
	return e.Value.(node[T]).entry, true
}

// set is called by one goroutine at a time.
func (m *memory[T]) set(key string, e entry[T], keep time.Duration) {
	old, replaces := m.items.Get(key)
	if !replaces {
		m.items.Delete(key) // an expired one, which Get no longer shows, still has its place in order
	}
	m.mu.Lock()
	at := m.order.PushFront(node[T]{key, e})
	m.mu.Unlock()
	m.items.Set(key, at, keep)
	if replaces {
		m.mu.Lock()
		m.order.Remove(old.(*list.Element))
		m.mu.Unlock()
	}
	for m.len() > m.max {
		m.dropLast()
	}
}

func (m *memory[T]) dropLast() {
	m.mu.Lock()
	last := m.order.Back()
	if last == nil { // a sweep was faster
		m.mu.Unlock()
		return
	}
	m.order.Remove(last)
	m.mu.Unlock()
	m.items.Delete(last.Value.(node[T]).key)
}

func (m *memory[T]) delete(key string) { m.items.Delete(key) }

func (m *memory[T]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order.Len()
}
