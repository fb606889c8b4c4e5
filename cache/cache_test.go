package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	errOutage = errors.New("503")
	errDenied = errors.New("401")
)

// clock is a time that only tests move.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_700_000_000, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newTest(t *testing.T, change func(*Options)) (*Cache[string], *clock) {
	t.Helper()
	c := &clock{}
	o := Options{
		TTL: DefaultTTL, ErrorTTL: DefaultErrorTTL, StaleFor: DefaultStaleFor, Now: c.now,
		ServeStale: func(err error) bool { return errors.Is(err, errOutage) },
	}
	if change != nil {
		change(&o)
	}
	return New[string](o), c
}

func gives(v string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return v, nil }
}

func fails(err error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return "", err }
}

// get asks and describes the answer in one word.
func get(c *Cache[string], load func(context.Context) (string, error)) string {
	v, info, err := c.GetOrLoad(context.Background(), "k", load)
	return describe(v, info, err)
}

func describe(v string, info Info, err error) string {
	if err != nil {
		return "error " + err.Error()
	}
	s := fmt.Sprintf("%s %s", v, info.Age)
	if info.Stale != nil {
		s += " stale: " + info.Stale.Error()
	}
	return s
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFreshUntilTTL(t *testing.T) {
	c, clk := newTest(t, nil)
	want(t, get(c, gives("a")), "a 0s")
	clk.advance(59 * time.Second)
	want(t, get(c, gives("b")), "a 59s")
	clk.advance(time.Second)
	want(t, get(c, gives("b")), "b 0s")
	if s := c.Stats(); s != (Stats{Hits: 1, Misses: 2, Loads: 2}) {
		t.Errorf("stats %+v", s)
	}
}

func TestNoTTLNeverExpires(t *testing.T) {
	c, clk := newTest(t, func(o *Options) { o.TTL = 0 })
	get(c, gives("a"))
	clk.advance(24 * 365 * time.Hour)
	want(t, get(c, gives("b")), "a 8760h0m0s")
}

func TestStaleAfterOutage(t *testing.T) {
	c, clk := newTest(t, nil)
	get(c, gives("a"))
	clk.advance(time.Hour)
	want(t, get(c, fails(errOutage)), "a 1h0m0s stale: 503")
	clk.advance(4 * time.Second)
	want(t, get(c, gives("b")), "a 1h0m4s stale: 503") // the failure is remembered
	clk.advance(time.Second)
	want(t, get(c, gives("b")), "b 0s")
	clk.advance(DefaultStaleFor)
	want(t, get(c, fails(errOutage)), "error 503")
	if s := c.Stats(); s.Stale != 2 || s.Errors != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestRefusalWithdrawsTheValue(t *testing.T) {
	c, clk := newTest(t, nil)
	get(c, gives("a"))
	clk.advance(time.Hour)
	want(t, get(c, fails(errDenied)), "error 401")
	clk.advance(time.Minute)
	want(t, get(c, fails(errOutage)), "error 503") // an outage doesn't bring back what was refused
	if _, _, ok := c.Peek("k"); ok {
		t.Error("the refused value can still be seen")
	}
}

func TestErrorMemory(t *testing.T) {
	c, clk := newTest(t, nil)
	want(t, get(c, fails(errDenied)), "error 401")
	clk.advance(DefaultErrorTTL - 1)
	want(t, get(c, gives("a")), "error 401")
	clk.advance(1)
	want(t, get(c, gives("a")), "a 0s")
}

func TestCanceledIsNotRemembered(t *testing.T) {
	c, _ := newTest(t, nil)
	get(c, fails(fmt.Errorf("asking: %w", context.Canceled)))
	want(t, get(c, gives("a")), "a 0s")
}

func TestOneLoadForAll(t *testing.T) {
	for name, outcome := range map[string]error{"value": nil, "error": errDenied} {
		t.Run(name, func(t *testing.T) {
			c, _ := newTest(t, nil)
			var loads atomic.Int32
			release := make(chan struct{})
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					v, _, err := c.GetOrLoad(context.Background(), "k", func(context.Context) (string, error) {
						loads.Add(1)
						<-release
						return "a", outcome
					})
					if !errors.Is(err, outcome) || (err == nil && v != "a") {
						t.Errorf("got %q, %v", v, err)
					}
				})
			}
			close(release)
			wg.Wait()
			if loads.Load() != 1 {
				t.Errorf("%d loads", loads.Load())
			}
		})
	}
}

func TestCallerGivesUpAndTheLoadGoesOn(t *testing.T) {
	c, _ := newTest(t, nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	left := errors.New("left")
	started, release := make(chan struct{}), make(chan struct{})
	var loadErr error
	load := func(ctx context.Context) (string, error) {
		close(started)
		<-release
		loadErr = ctx.Err()
		return "a", nil
	}
	gaveUp := make(chan error)
	go func() {
		_, _, err := c.GetOrLoad(ctx, "k", load)
		gaveUp <- err
	}()
	<-started
	cancel(left)
	if err := <-gaveUp; !errors.Is(err, left) {
		t.Errorf("the caller got %v", err)
	}
	close(release)
	want(t, get(c, gives("b")), "a 0s") // joins the load, or finds its value
	if loadErr != nil {
		t.Errorf("the load was ended: %v", loadErr)
	}
	if _, _, err := c.GetOrLoad(ctx, "other", gives("x")); !errors.Is(err, left) {
		t.Errorf("a caller that had left already got %v", err)
	}
}

func TestLoadTimeout(t *testing.T) {
	c, _ := newTest(t, func(o *Options) { o.LoadTimeout = time.Millisecond })
	got := get(c, func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	want(t, got, "error "+context.DeadlineExceeded.Error())
}

func TestPanicReachesEveryWaiter(t *testing.T) {
	for name, load := range map[string]func(context.Context) (string, error){
		"panic":  func(context.Context) (string, error) { panic("canary-secret") },
		"goexit": func(context.Context) (string, error) { runtime.Goexit(); return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			c, clk := newTest(t, nil)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if got := get(c, load); !strings.HasPrefix(got, "error ") || strings.Contains(got, "canary") {
						t.Errorf("got %q", got)
					}
				})
			}
			wg.Wait()
			clk.advance(DefaultErrorTTL)
			want(t, get(c, gives("a")), "a 0s")
		})
	}
	c, _ := newTest(t, nil)
	_, _, err := c.GetOrLoad(context.Background(), "k", func(context.Context) (string, error) { panic("boom") })
	var p *PanicError
	if !errors.As(err, &p) || p.Value != "boom" || len(p.Stack) == 0 {
		t.Errorf("the log gets %v", err)
	}
}

func TestMarkStale(t *testing.T) {
	c, clk := newTest(t, nil)
	c.MarkStale("k")
	get(c, gives("a"))
	c.MarkStale("k")
	v, info, _ := c.Peek("k")
	want(t, describe(v, info, nil), "a 0s stale: "+ErrExpired.Error())
	want(t, get(c, fails(errOutage)), "a 0s stale: 503")
	c.MarkStale("k") // also clears the failure's memory
	want(t, get(c, gives("b")), "b 0s")
	clk.advance(time.Second)
	want(t, get(c, gives("c")), "b 1s")
}

func TestMarkDuringLoad(t *testing.T) {
	for name, overtake := range map[string]func(*Cache[string]){
		"mark":   func(c *Cache[string]) { c.MarkStale("k") },
		"delete": func(c *Cache[string]) { c.Delete("k") },
	} {
		t.Run(name, func(t *testing.T) {
			c, clk := newTest(t, nil)
			started, release, done := make(chan struct{}), make(chan struct{}), make(chan string)
			go func() {
				done <- get(c, func(context.Context) (string, error) {
					close(started)
					<-release
					return "old", nil
				})
			}()
			<-started
			overtake(c)
			clk.advance(time.Second)
			want(t, get(c, gives("new")), "new 0s") // doesn't wait for the old load
			close(release)
			want(t, <-done, "old 1s")
			want(t, get(c, gives("newer")), "new 0s") // the old load replaced nothing
		})
	}
}

func TestMarkDuringTheOnlyLoad(t *testing.T) {
	c, _ := newTest(t, nil)
	get(c, func(context.Context) (string, error) {
		c.MarkStale("k")
		return "old", nil
	})
	want(t, get(c, fails(errOutage)), "old 0s stale: 503")
}

func TestRefresh(t *testing.T) {
	c, clk := newTest(t, nil)
	refresh := func(load func(context.Context) (string, error)) string {
		v, info, err := c.Refresh(context.Background(), "k", load)
		return describe(v, info, err)
	}
	get(c, gives("a"))
	want(t, refresh(gives("b")), "b 0s")
	want(t, get(c, gives("c")), "b 0s")
	want(t, refresh(fails(errOutage)), "error 503")
	want(t, get(c, gives("c")), "b 0s") // still fresh for the others
	clk.advance(time.Second)
	want(t, refresh(gives("d")), "d 0s")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := c.Refresh(ctx, "k", gives("e")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPeekNeverLoads(t *testing.T) {
	c, clk := newTest(t, nil)
	if _, _, ok := c.Peek("k"); ok {
		t.Error("found what was never loaded")
	}
	get(c, gives("a"))
	v, info, ok := c.Peek("k")
	if want(t, describe(v, info, nil), "a 0s"); !ok || !info.Hit {
		t.Error("a fresh value is a hit")
	}
	clk.advance(time.Hour)
	get(c, fails(errOutage))
	v, info, _ = c.Peek("k")
	want(t, describe(v, info, nil), "a 1h0m0s stale: 503")
}

func TestBound(t *testing.T) {
	c, _ := newTest(t, func(o *Options) { o.MaxItems = 3; o.TTL = 0 })
	ask := func(key string) (loaded bool) {
		_, _, _ = c.GetOrLoad(context.Background(), key, func(context.Context) (string, error) {
			loaded = true
			return key, nil
		})
		return loaded
	}
	for _, key := range []string{"a", "b", "c", "a", "d"} { // b is the least recently used
		ask(key)
	}
	if c.Len() != 3 || ask("a") || ask("c") || ask("d") || !ask("b") {
		t.Errorf("%d items, and not a, c and d", c.Len())
	}
	for i := range 1000 {
		key := fmt.Sprint(i)
		_, _, _ = c.GetOrLoad(context.Background(), key, fails(errDenied)) // failures count, too
	}
	c.Delete("nothing")
	if c.Len() != 3 {
		t.Errorf("%d items", c.Len())
	}
}

func TestExpiredEntriesDontConfuseTheBound(t *testing.T) {
	m := newMemory[string](2)
	for range 5 {
		m.set("a", entry[string]{value: "a", has: true}, time.Nanosecond)
	}
	m.set("b", entry[string]{value: "b", has: true}, forever)
	m.items.DeleteExpired()
	if _, ok := m.get("b"); !ok || m.len() != 1 {
		t.Errorf("%d items after the sweep, b there: %v", m.len(), ok)
	}
}

func TestEverythingAtOnce(t *testing.T) {
	c, clk := newTest(t, func(o *Options) { o.MaxItems = 5 })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				key := fmt.Sprint((g*7 + i) % 10)
				switch i % 8 {
				case 0:
					c.MarkStale(key)
				case 1:
					c.Delete(key)
				case 2:
					clk.advance(time.Second)
				case 3:
					c.Peek(key)
				case 4:
					if v, _, err := c.Refresh(context.Background(), key, gives(key)); err != nil || v != key {
						t.Errorf("got %q, %v", v, err)
					}
				default:
					if v, _, err := c.GetOrLoad(context.Background(), key, gives(key)); err != nil || v != key {
						t.Errorf("got %q, %v", v, err)
					}
				}
			}
		})
	}
	wg.Wait()
	if c.Len() > 5 || len(c.running) != 0 {
		t.Errorf("%d items, %d flights left", c.Len(), len(c.running))
	}
}

func TestKey(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab"}, {"a,1:b"}, {"a", "", "b"}, {"1:a,"}, {"a"}} {
		k := Key(parts...)
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have one key", parts, other)
		}
		seen[k] = parts
	}
}

func TestFingerprint(t *testing.T) {
	a := Fingerprint([]byte("hunter2"), "user")
	if a != Fingerprint([]byte("hunter2"), "user") || len(a) != 32 {
		t.Errorf("not stable: %s", a)
	}
	for _, b := range []string{Fingerprint([]byte("hunter3"), "user"), Fingerprint([]byte("hunter2"), "other"), Fingerprint([]byte("user"), "hunter2")} {
		if a == b {
			t.Error("two credentials have one fingerprint")
		}
	}
}

func BenchmarkHit(b *testing.B) {
	c := New[string](Options{TTL: time.Hour})
	load := gives("a")
	key := Key("https://registry.example.com", "team/app", Fingerprint([]byte("x")))
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = c.GetOrLoad(context.Background(), key, load)
	}
}
