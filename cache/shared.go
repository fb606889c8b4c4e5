package cache

import (
	"context"
	"time"
)

// A Remote is a second level that several processes share; package redis has one. It answers within a moment or fails, and it may
// lose any value at any time. Nothing depends on it but how often something is loaded.
type Remote interface {
	// Get gives a value with its age; nil is a miss. mark is for Put.
	Get(ctx context.Context, key string) (value []byte, age time.Duration, mark string, err error)
	// Put keeps a value that has an age already, unless Mark was called after the Get that gave mark.
	Put(ctx context.Context, key, mark string, value []byte, age time.Duration)
	// Mark drops a value, and what is being loaded now.
	Mark(ctx context.Context, key string)
	// Claim takes the right to load for a while. It says no only when another process has it.
	Claim(ctx context.Context, key string, d time.Duration) (giveBack func(), ok bool)
}

// Sharing puts a second level behind a cache. The zero value is none.
type Sharing[T any] struct {
	Remote Remote
	Encode func(T) ([]byte, error)
	// Decode reads outside input: an error makes it a miss.
	Decode func([]byte) (T, error)
	// Prolong is the age at which a value that never expires is put again, so that what is used stays. Zero: never.
	Prolong time.Duration
}

const (
	// leaseFor is how long one process may load before the others do so, too. Most loads take a second.
	leaseFor = 10 * time.Second
	// firstLook and longLook are how often those that wait look for the value.
	firstLook = 20 * time.Millisecond
	longLook  = 250 * time.Millisecond
	// loan is how much older than it says a value counts that another process loaded, where it must be younger than a moment:
	// the two clocks and the way between them.
	loan = time.Second
)

// Share puts a second level behind the cache. Call it before the first use.
func (c *Cache[T]) Share(s Sharing[T]) { c.sharing = s }

// A lookup is what the second level knew before a load.
type lookup[T any] struct {
	entry entry[T]
	found bool
	mark  string
	// reached is false when it did not answer: then nothing is put there either.
	reached bool
}

func (c *Cache[T]) look(ctx context.Context, key string) lookup[T] {
	asked := c.opts.Now()
	value, age, mark, err := c.sharing.Remote.Get(ctx, key)
	l := lookup[T]{mark: mark, reached: err == nil}
	if err != nil || value == nil {
		return l
	}
	v, err := c.sharing.Decode(value)
	if err != nil {
		return l
	}
	if c.opts.TTL <= 0 && c.sharing.Prolong > 0 && age > c.sharing.Prolong {
		c.sharing.Remote.Put(ctx, key, mark, value, 0)
	}
	l.entry, l.found = entry[T]{value: v, has: true, at: asked.Add(-age), lent: true}, true
	return l
}

// borrow finds a fresh value at the second level, waiting for one that another process loads, or gives the right to load. An old
// value there becomes the last known one.
func (c *Cache[T]) borrow(ctx context.Context, key string, f *flight) (l lookup[T], giveBack func()) {
	end := c.opts.Now().Add(leaseFor)
	for wait := firstLook; ; wait = min(2*wait, longLook) {
		l = c.look(ctx, key)
		if l.found && c.fresh(l.entry, c.opts.Now()) || !l.reached {
			return l, func() {}
		}
		if l.found {
			c.keepOld(key, f, l.entry)
		}
		giveBack, ok := c.sharing.Remote.Claim(ctx, key, leaseFor)
		if ok {
			return l, giveBack
		}
		if !c.opts.Now().Before(end) || ctx.Err() != nil {
			return l, func() {}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// keepOld makes a value from the second level the last known one, if there is none that is younger.
func (c *Cache[T]) keepOld(key string, f *flight, e entry[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.items.get(key)
	if f.overtaken || ok && known.has && !known.at.Before(e.at) {
		return
	}
	e.err, e.errAt = known.err, known.errAt
	c.put(key, e)
}

// offer puts a loaded value to the second level.
func (c *Cache[T]) offer(ctx context.Context, key, mark string, e entry[T]) {
	if data, err := c.sharing.Encode(e.value); err == nil {
		c.sharing.Remote.Put(ctx, key, mark, data, c.opts.Now().Sub(e.at))
	}
}

// withdraw takes a value off the second level.
func (c *Cache[T]) withdraw(key string) {
	if c.sharing.Remote != nil {
		c.sharing.Remote.Mark(context.Background(), key)
	}
}

// GetSince is GetOrLoad for a caller that needs an answer to a question put after a moment: an older one is loaded again. Like
// Refresh it never returns a stale value.
func (c *Cache[T]) GetSince(ctx context.Context, key string, moment time.Time, load func(context.Context) (T, error)) (T, Info, error) {
	if now := c.opts.Now(); moment.After(now) {
		moment = now
	}
	for {
		e, ok := c.items.get(key)
		switch now := c.opts.Now(); {
		case ok && e.has && !e.marked && e.err == nil && e.after(moment):
			info := Info{Hit: true, Age: now.Sub(e.at)}
			c.counts.answered(info)
			return e.value, info, nil
		case ok && c.failing(e, now) && !e.errAt.Before(moment):
			var zero T
			return zero, Info{Hit: true}, e.err
		}
		v, info, err := c.Refresh(ctx, key, load)
		if e, ok := c.items.get(key); err != nil || ok && e.after(moment) || !ok {
			return v, info, err
		}
	}
}

// after says whether a value was asked for after a moment.
func (e entry[T]) after(moment time.Time) bool {
	at := e.at
	if e.lent {
		at = at.Add(-loan)
	}
	return !at.Before(moment)
}

// Confirm says that the value of key is still true, so that its age counts from now. It does nothing where there is none.
func (c *Cache[T]) Confirm(ctx context.Context, key string) {
	c.mu.Lock()
	e, ok := c.items.get(key)
	if ok && e.has && !e.marked {
		e.at, e.lent = c.opts.Now(), false
		c.put(key, e)
	}
	c.mu.Unlock()
	if !ok || !e.has || e.marked || c.sharing.Remote == nil {
		return
	}
	if l := c.look(ctx, key); l.reached {
		c.offer(ctx, key, l.mark, e)
	}
}
