package registry

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

func TestRenewedIsGotOnceForEverybody(t *testing.T) {
	var (
		r     renewed[string]
		loads atomic.Int64
		at    = time.Now()
		hold  = make(chan struct{})
		g     errgroup.Group
	)
	now := func() time.Time { return at }
	load := func(context.Context) (string, time.Time, error) {
		loads.Add(1)
		<-hold
		return "new", at.Add(time.Hour), nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := r.get(ctx, now, load); !errors.Is(err, context.Canceled) {
		t.Errorf("%s, %v: a caller who left waited on", v, err)
	}
	for range 20 {
		g.Go(func() error {
			v, err := r.get(t.Context(), now, load)
			if v != "new" {
				t.Errorf("%q", v)
			}
			return err
		})
	}
	close(hold)
	if err := g.Wait(); err != nil || loads.Load() != 1 {
		t.Errorf("%d loads, %v", loads.Load(), err)
	}
}

func TestRenewedTimes(t *testing.T) {
	at := time.Now()
	now := func() time.Time { return at }
	loads := 0
	get := func(r *renewed[int], life time.Duration) int {
		v, err := r.get(t.Context(), now, func(context.Context) (int, time.Time, error) {
			loads++
			return loads, at.Add(life), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ life, fresh, old time.Duration }{
		{time.Hour, 54 * time.Minute, 56 * time.Minute},
		{4 * time.Minute, 2 * time.Minute, 200 * time.Second}, // a quarter of its life before the end
		{1000 * time.Hour, 11 * time.Hour, 12 * time.Hour},    // whatever it says
		{-time.Hour, -1, 0}, // at once
	} {
		var r renewed[int]
		first := get(&r, c.life)
		start := at
		if c.fresh >= 0 {
			if at = start.Add(c.fresh); get(&r, c.life) != first {
				t.Errorf("life %v: renewed after %v", c.life, c.fresh)
			}
		}
		if at = start.Add(c.old); get(&r, c.life) == first {
			t.Errorf("life %v: not renewed after %v", c.life, c.old)
		}
	}
}
