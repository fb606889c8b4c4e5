// Package cache remembers what registries said. Call New once per kind of answer, then GetOrLoad with a Key:
//
//	tags := cache.New[[]string](cache.Options{TTL: cache.DefaultTTL, StaleFor: cache.DefaultStaleFor, …})
//	list, info, err := tags.GetOrLoad(ctx, cache.Key(origin, repository, fingerprint), load)
//
// However many callers ask for one key, one load runs. When it cannot be answered, the last known answer may serve for a
// bounded time, and Info tells its age and why. A failure is remembered briefly, so that a broken registry is not asked
// by every render.
//
// Values are shared between callers: treat what comes out of a cache as read-only. Cache.Share puts a second level behind a
// cache, which several processes use together; nothing else changes.
//
// It stands on patrickmn/go-cache for storage and expiry and on x/sync/singleflight for the flights; this package adds
// the rules between the two, and the bound that go-cache lacks.
package cache

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// The defaults that fit tag lists. They don't apply by themselves: zero Options mean what Options says.
const (
	// DefaultTTL is short enough that a push shows within about a minute, and long enough that a fleet of applications
	// costs one request a minute for each repository.
	DefaultTTL = 60 * time.Second
	// DefaultErrorTTL spares a broken registry the retries of a render storm. It stays below the time in which a person
	// corrects a Secret and looks again.
	DefaultErrorTTL = 5 * time.Second
	// DefaultStaleFor is as long as Argo CD keeps manifests in its own cache: who lived with those lives with this.
	DefaultStaleFor = 24 * time.Hour
	// DefaultLoadTimeout ends before the render that waits for it (45 s), so that a last known answer can still be used.
	DefaultLoadTimeout = 30 * time.Second
	// DefaultMaxItems holds a large fleet's repositories, or the configs of some thousand tags.
	DefaultMaxItems = 10_000
)

// Options say how long which answer counts. The zero value is a bounded cache that never expires, remembers no failure
// and never serves a stale value.
type Options struct {
	// TTL is how long a value is fresh. Zero or less: for ever, which suits content addressed by its digest.
	TTL time.Duration
	// ErrorTTL is how long a failure is remembered. Zero or less: not at all.
	ErrorTTL time.Duration
	// StaleFor is the greatest age at which a value may stand in for a failed load. Zero or less: never.
	StaleFor time.Duration
	// LoadTimeout bounds one load. Zero or less: DefaultLoadTimeout.
	LoadTimeout time.Duration
	// MaxItems bounds the number of keys; the least recently used goes first. Zero or less: DefaultMaxItems.
	MaxItems int
	// ServeStale says whether this failure allows the last known answer: an outage does, a refusal (401, 403, 404)
	// doesn't. A failure that doesn't also withdraws the known value: a later outage won't bring it back. Nil: none does.
	ServeStale func(error) bool
	// Now replaces time.Now in tests.
	Now func() time.Time
}

// Info says where a value came from.
type Info struct {
	// Hit is true when the call loaded nothing and waited for no load.
	Hit bool
	// Age is the time since the value was loaded.
	Age time.Duration
	// Stale is why an old value stands in for a fresh one; nil when it is fresh.
	Stale error
}

// A Cache holds values of one kind. It is safe for concurrent use.
type Cache[T any] struct {
	opts    Options
	sharing Sharing[T]
	items   store[T]
	group   singleflight.Group
	counts  counters

	mu      sync.Mutex // guards running, and makes each change of items one step
	running map[string]*flight
}

// New returns an empty cache.
func New[T any](o Options) *Cache[T] {
	if o.LoadTimeout <= 0 {
		o.LoadTimeout = DefaultLoadTimeout
	}
	if o.MaxItems <= 0 {
		o.MaxItems = DefaultMaxItems
	}
	if o.ServeStale == nil {
		o.ServeStale = func(error) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cache[T]{opts: o, items: newMemory[T](o.MaxItems), running: map[string]*flight{}}
}

// GetOrLoad returns the value of key, calling load when there is no fresh one.
//
// One load per key runs at a time; whoever asks meanwhile waits for it. The load belongs to no caller: it keeps the first
// caller's context values but not its cancellation, and ends by Options.LoadTimeout at the latest. A caller whose ctx ends
// leaves with the reason, and the load goes on for the others, or for the next to come.
//
// The error is load's own, possibly remembered from a call up to Options.ErrorTTL ago; a *PanicError when load panicked;
// or the cause of ctx's end.
func (c *Cache[T]) GetOrLoad(ctx context.Context, key string, load func(context.Context) (T, error)) (T, Info, error) {
	now := c.opts.Now()
	if e, ok := c.items.get(key); ok {
		if v, info, err, known := c.answer(e, now); known {
			c.counts.answered(info)
			return v, info, err
		}
	}
	c.counts.misses.Add(1)
	r, err := c.fly(ctx, key, false, load)
	if err != nil {
		var zero T
		return zero, Info{}, err
	}
	v, info, err := c.settle(r)
	if info.Stale != nil {
		c.counts.stale.Add(1)
	}
	return v, info, err
}

// Refresh loads the value even if a fresh one is there, for a caller with a reason to doubt it. It joins a load that is
// already under way. It never returns a stale value, nor a remembered failure.
func (c *Cache[T]) Refresh(ctx context.Context, key string, load func(context.Context) (T, error)) (T, Info, error) {
	for {
		r, err := c.fly(ctx, key, true, load)
		switch {
		case err != nil:
			var zero T
			return zero, Info{}, err
		case !r.loaded: // joined a flight that found a fresh value at its start and loaded nothing
			continue
		case r.err != nil:
			var zero T
			return zero, Info{}, r.err
		}
		return r.entry.value, Info{Age: c.opts.Now().Sub(r.entry.at)}, nil
	}
}

// Peek returns whatever value is there, however old, and never loads. Info.Stale is the failure that keeps an old value
// from being replaced, or ErrExpired when nobody has asked since it expired or was marked.
func (c *Cache[T]) Peek(key string) (T, Info, bool) {
	e, ok := c.items.get(key)
	if !ok || !e.has {
		var zero T
		return zero, Info{}, false
	}
	now := c.opts.Now()
	info := Info{Hit: true, Age: now.Sub(e.at)}
	switch {
	case c.fresh(e, now):
	case e.err != nil:
		info.Stale = e.err
	default:
		info.Stale = ErrExpired
	}
	return e.value, info, true
}

// MarkStale makes the next GetOrLoad load, and the value stays as the last known answer. A load that began before the mark
// does not count as fresh either: it may have asked too early.
func (c *Cache[T]) MarkStale(key string) {
	c.withdraw(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overtake(key)
	if e, ok := c.items.get(key); ok {
		e.marked, e.err = true, nil
		c.put(key, e)
	}
}

// Delete forgets key, with its last known answer and its remembered failure.
func (c *Cache[T]) Delete(key string) {
	c.withdraw(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.overtake(key); f != nil {
		f.deleted = true
	}
	c.items.delete(key)
}

// Len is the number of keys held, remembered failures included.
func (c *Cache[T]) Len() int { return c.items.len() }

// answer says what an entry gives without a load; known is false when a load is due.
func (c *Cache[T]) answer(e entry[T], now time.Time) (v T, info Info, err error, known bool) { //nolint:revive // known qualifies all three
	switch {
	case c.fresh(e, now):
		return e.value, Info{Hit: true, Age: now.Sub(e.at)}, nil, true
	case !c.failing(e, now):
		return v, Info{}, nil, false
	}
	v, info, err = c.lastKnown(e, e.err, now)
	info.Hit = true
	return v, info, err, true
}

// lastKnown is the value that stands in for err, or err itself.
func (c *Cache[T]) lastKnown(e entry[T], err error, now time.Time) (T, Info, error) {
	age := now.Sub(e.at)
	if e.has && age < c.opts.StaleFor && c.opts.ServeStale(err) {
		return e.value, Info{Age: age, Stale: err}, nil
	}
	var zero T
	return zero, Info{}, err
}

// settle is answer for the result of a flight.
func (c *Cache[T]) settle(r result[T]) (T, Info, error) {
	now := c.opts.Now()
	if r.err != nil {
		return c.lastKnown(r.entry, r.err, now)
	}
	return r.entry.value, Info{Hit: !r.loaded, Age: now.Sub(r.entry.at)}, nil
}

func (c *Cache[T]) fresh(e entry[T], now time.Time) bool {
	return e.has && !e.marked && (c.opts.TTL <= 0 || now.Sub(e.at) < c.opts.TTL)
}

// failing says whether the last load's failure is still remembered.
func (c *Cache[T]) failing(e entry[T], now time.Time) bool {
	return e.err != nil && now.Sub(e.errAt) < c.opts.ErrorTTL
}
