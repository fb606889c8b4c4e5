package cache

import (
	"context"
	"errors"
	"runtime/debug"
)

// ErrExpired is why Peek calls a value stale when no load has failed since.
var ErrExpired = errors.New("older than its time to live")

// A PanicError is what waiters get when the load panicked. Its message shows nothing of the panic, since errors reach
// everyone who can see an application; Value and Stack are for the log.
type PanicError struct {
	Value any
	Stack []byte
}

// Error says that there is a bug, and where to look.
func (e *PanicError) Error() string {
	return "internal error while loading (a bug in tagpin); report it with the stack in the log"
}

var errGone = errors.New("the load ended without an answer (a bug in tagpin)")

// A flight is one running load. Its fields are guarded by Cache.mu.
type flight struct {
	overtaken bool // the key was marked or deleted after the load began
	deleted   bool
}

// A result is what the waiters of a flight share.
type result[T any] struct {
	entry  entry[T] // with an error: the last known value, if any
	err    error
	loaded bool // false when the flight found an answer at its start
}

// fly runs load, or joins the flight of key, until ctx ends.
func (c *Cache[T]) fly(
	ctx context.Context, key string, force bool, load func(context.Context) (T, error),
) (result[T], error) {
	if err := context.Cause(ctx); err != nil {
		return result[T]{}, err
	}
	detached := context.WithoutCancel(ctx)
	ch := c.group.DoChan(key, func() (any, error) { return c.run(detached, key, force, load), nil })
	select {
	case r := <-ch:
		return r.Val.(result[T]), nil
	case <-ctx.Done():
		return result[T]{}, context.Cause(ctx)
	}
}

// run is the body of a flight: look again, load, record.
func (c *Cache[T]) run(ctx context.Context, key string, force bool, load func(context.Context) (T, error)) result[T] {
	f := &flight{}
	c.mu.Lock()
	c.running[key] = f
	c.mu.Unlock()

	if r, known := c.landed(key); known && !force {
		c.mu.Lock()
		c.leave(key, f)
		c.mu.Unlock()
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.LoadTimeout)
	defer cancel()
	var remote lookup[T]
	switch {
	case c.sharing.Remote == nil:
	case force: // whoever doubts a value doubts the others' as well
		remote = c.look(ctx, key)
	default:
		var giveBack func()
		remote, giveBack = c.borrow(ctx, key, f)
		defer giveBack()
		if remote.found && c.fresh(remote.entry, c.opts.Now()) {
			c.counts.shared.Add(1)
			c.record(key, f, remote.entry)
			return result[T]{entry: remote.entry}
		}
	}
	return c.load(ctx, key, f, remote, load)
}

// load is the part of a flight that asks.
func (c *Cache[T]) load(ctx context.Context, key string, f *flight, l lookup[T], load func(context.Context) (T, error)) result[T] {
	c.counts.loads.Add(1)
	start := c.opts.Now()
	v, err := guard(ctx, load)
	if err != nil {
		c.counts.errors.Add(1)
		if !c.opts.ServeStale(err) && !errors.Is(err, context.Canceled) && l.reached {
			c.withdraw(key)
		}
		return result[T]{entry: c.recordError(key, f, err), err: err, loaded: true}
	}
	e := entry[T]{value: v, has: true, at: start}
	c.record(key, f, e)
	if l.reached {
		c.offer(ctx, key, l.mark, e)
	}
	return result[T]{entry: e, loaded: true}
}

// guard runs load in a goroutine of its own, so that neither a panic nor runtime.Goexit in it reaches singleflight, which
// answers the one with the end of the program and the other with silence.
func guard[T any](ctx context.Context, load func(context.Context) (T, error)) (T, error) {
	var v T
	err := errGone
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				err = &PanicError{Value: r, Stack: debug.Stack()}
			}
		}()
		v, err = load(ctx)
	}()
	<-done
	return v, err
}

// record keeps a loaded value. A value is as old as the question was: its age counts from the load's start.
func (c *Cache[T]) record(key string, f *flight, e entry[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(key, f)
	if f.deleted {
		return
	}
	if f.overtaken {
		if old, ok := c.items.get(key); ok && old.has && !old.at.Before(e.at) {
			return // a younger flight landed first
		}
		e.marked = true
	}
	c.put(key, e)
}

// recordError remembers a failure beside the last known value, and returns that. The end of a context says nothing about
// the registry, so it is not remembered.
func (c *Cache[T]) recordError(key string, f *flight, err error) entry[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(key, f)
	e, _ := c.items.get(key)
	if f.overtaken || errors.Is(err, context.Canceled) {
		return e
	}
	if !c.opts.ServeStale(err) {
		e = entry[T]{}
	}
	e.err, e.errAt = err, c.opts.Now()
	c.put(key, e)
	return e
}

// put stores e for as long as it can be of use. The caller holds c.mu.
func (c *Cache[T]) put(key string, e entry[T]) {
	now := c.opts.Now()
	keep := c.opts.ErrorTTL - now.Sub(e.errAt)
	if e.err == nil {
		keep = 0
	}
	if e.has {
		keep = max(keep, max(c.opts.TTL, c.opts.StaleFor)-now.Sub(e.at))
	}
	switch {
	case e.has && c.opts.TTL <= 0:
		c.items.set(key, e, forever)
	case keep > 0:
		c.items.set(key, e, keep)
	default:
		c.items.delete(key)
	}
}

// overtake makes later callers start a flight of their own. The caller holds c.mu.
func (c *Cache[T]) overtake(key string) *flight {
	f := c.running[key]
	if f == nil {
		return nil
	}
	f.overtaken = true
	c.group.Forget(key)
	delete(c.running, key)
	return f
}

// leave takes f off the running ones, unless a younger flight has its place. The caller holds c.mu.
func (c *Cache[T]) leave(key string, f *flight) {
	if c.running[key] == f {
		delete(c.running, key)
	}
}

// landed is what another flight brought between a caller's look and the start of its own flight.
func (c *Cache[T]) landed(key string) (result[T], bool) {
	now := c.opts.Now()
	e, ok := c.items.get(key)
	switch {
	case ok && c.fresh(e, now):
		return result[T]{entry: e}, true
	case ok && c.failing(e, now):
		return result[T]{entry: e, err: e.err}, true
	}
	return result[T]{}, false
}
