package cache_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/redis"
	"github.com/tagpin/tagpin/test/redisserver"
)

// A replica is a cache with a Redis behind it, and a registry that it asks.
type replica struct {
	*cache.Cache[string]
	loads atomic.Int64
}

func newReplica(t *testing.T, s *redisserver.Server, o cache.Options) *replica {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	client, err := redis.Open(redis.Options{Server: s.Addr(), Password: redisserver.Password, Prefix: redis.DefaultPrefix, Log: log, Now: o.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	c := cache.New[string](o)
	c.Share(cache.Sharing[string]{
		Remote: client.Level("test", time.Hour),
		Encode: func(v string) ([]byte, error) { return json.Marshal(v) },
		Decode: func(data []byte) (v string, err error) { return v, json.Unmarshal(data, &v) },
	})
	return &replica{Cache: c}
}

func (r *replica) get(t *testing.T, answer string, err error) (string, cache.Info) {
	t.Helper()
	v, info, got := r.GetOrLoad(t.Context(), "k", r.load(answer, err))
	if err != nil && !errors.Is(got, err) && info.Stale == nil {
		t.Fatalf("%v, want %v", got, err)
	}
	if err == nil && got != nil {
		t.Fatal(got)
	}
	return v, info
}

func (r *replica) load(answer string, err error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		r.loads.Add(1)
		return answer, err
	}
}

var (
	errDown    = errors.New("down")
	errRefused = errors.New("refused")
)

func options() cache.Options {
	return cache.Options{TTL: time.Hour, StaleFor: 2 * time.Hour, ServeStale: func(err error) bool { return errors.Is(err, errDown) }}
}

// What one replica loaded, the others and a restarted one have.
func TestSharedLoad(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	a := newReplica(t, s, options())
	a.get(t, "v1", nil)
	for range 2 {
		b := newReplica(t, s, options())
		v, info := b.get(t, "v2", nil)
		if v != "v1" || b.loads.Load() != 0 || info.Age < 0 || info.Age > time.Minute || b.Stats().Shared != 1 {
			t.Errorf("another replica has %q after %d loads, %+v", v, b.loads.Load(), info)
		}
		b.get(t, "v2", nil)
		if st := b.Stats(); st.Hits != 1 || st.Shared != 1 {
			t.Errorf("the second question went further than the memory: %+v", st)
		}
	}
}

// Many replicas that begin at once load once.
func TestSharedFlight(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	var loads atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		r := newReplica(t, s, options())
		all.Go(func() {
			v, _, err := r.GetOrLoad(t.Context(), "k", func(context.Context) (string, error) {
				loads.Add(1)
				time.Sleep(50 * time.Millisecond)
				return "v", nil
			})
			if v != "v" || err != nil {
				t.Errorf("%q, %v", v, err)
			}
		})
	}
	all.Wait()
	if n := loads.Load(); n > 2 { // a busy machine may take Redis for away once
		t.Errorf("%d loads", n)
	}
	// A load that fails leaves its turn to the next.
	a, b := newReplica(t, s, options()), newReplica(t, s, options())
	a.MarkStale("k")
	a.get(t, "", errDown)
	if v, _ := b.get(t, "v2", nil); v != "v2" {
		t.Errorf("after another replica's failure: %q", v)
	}
}

// A mark at one replica makes what is shared stale; a refusal withdraws it; an outage of the registry lets the last known value serve,
// also after a restart.
func TestSharedStale(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	a := newReplica(t, s, options())
	a.get(t, "v1", nil)
	a.MarkStale("k")
	b := newReplica(t, s, options())
	if v, _ := b.get(t, "v2", nil); v != "v2" {
		t.Errorf("after a mark another replica has %q", v)
	}
	if v, _ := a.get(t, "v3", nil); v != "v2" {
		t.Errorf("after its mark the first replica has %q, want what the other loaded since", v)
	}
	now := time.Now().Add(90 * time.Minute) // older than the TTL, younger than StaleFor
	later := options()
	later.Now = func() time.Time { return now }
	c := newReplica(t, s, later)
	if v, info := c.get(t, "", errDown); v != "v2" || info.Stale == nil {
		t.Errorf("in an outage after a restart: %q, %+v", v, info)
	}
	c.get(t, "", errRefused)
	d := newReplica(t, s, later)
	if _, _, err := d.GetOrLoad(t.Context(), "k", d.load("", errDown)); !errors.Is(err, errDown) {
		t.Errorf("a refused value serves another replica: %v", err)
	}
}

// Whatever happens to Redis, a cache answers.
func TestSharedWithoutRedis(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	for name, outage := range map[string]struct{ begin, end func() }{
		"killed":  {s.Kill, s.Start},
		"paused":  {s.Pause, s.Resume},
		"garbage": {s.Garbage, func() {}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newReplica(t, s, options())
			a.get(t, "v1", nil)
			outage.begin()
			defer outage.end()
			b := newReplica(t, s, options())
			for range 3 {
				if v, _ := b.get(t, "v2", nil); v != "v2" || b.loads.Load() != 1 {
					t.Errorf("%q after %d loads", v, b.loads.Load())
				}
			}
			b.MarkStale("k")
			b.Delete("k")
			if v, _ := b.get(t, "v3", nil); v != "v3" {
				t.Errorf("after a mark %q", v)
			}
		})
		s.Flush()
	}
}

// A caller that needs an answer younger than a moment gets none that another replica loaded before, or at about the same time.
func TestGetSince(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	a, b := newReplica(t, s, options()), newReplica(t, s, options())
	a.get(t, "v1", nil)
	if v, _ := b.get(t, "v2", nil); v != "v1" {
		t.Fatalf("it has %q", v)
	}
	moment := time.Now()
	since := func(answer string) string {
		v, _, err := b.GetSince(t.Context(), "k", moment, b.load(answer, nil))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := since("v2"); v != "v2" {
		t.Errorf("since a moment: %q", v)
	}
	if v := since("v3"); v != "v2" || b.loads.Load() != 1 {
		t.Errorf("the second time: %q after %d loads", v, b.loads.Load())
	}
	if v, _, _ := b.GetSince(t.Context(), "k", time.Now().Add(time.Hour), b.load("v4", nil)); v != "v4" {
		t.Errorf("since a moment to come: %q", v)
	}
}

// A value that was confirmed is young again, for all.
func TestConfirm(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	now := time.Now()
	o := options()
	o.Now = func() time.Time { return now }
	a := newReplica(t, s, o)
	a.get(t, "v1", nil)
	now = now.Add(50 * time.Minute)
	a.Confirm(t.Context(), "k")
	a.Confirm(t.Context(), "unknown")
	if _, info := a.get(t, "v2", nil); info.Age != 0 {
		t.Errorf("its age is %v", info.Age)
	}
	b := newReplica(t, s, o)
	if v, info := b.get(t, "v2", nil); v != "v1" || info.Age > 10*time.Minute {
		t.Errorf("another replica has %q of age %v", v, info.Age)
	}
}
