package cache

import "sync/atomic"

// Stats counts since the cache was made. Hits, Misses and Errors of one call may be seen one before the other.
type Stats struct {
	// Hits are calls of GetOrLoad answered at once, remembered failures and stale values included; Misses are the rest.
	Hits, Misses uint64
	// Stale are calls answered by a value older than its TTL.
	Stale uint64
	// Shared are misses answered by the second level.
	Shared uint64
	// Loads are the loads that began, Errors those that failed.
	Loads, Errors uint64
}

type counters struct{ hits, misses, stale, shared, loads, errors atomic.Uint64 }

func (c *counters) answered(info Info) {
	c.hits.Add(1)
	if info.Stale != nil {
		c.stale.Add(1)
	}
}

// Stats returns the counts so far.
func (c *Cache[T]) Stats() Stats {
	n := &c.counts
	return Stats{
		Hits: n.hits.Load(), Misses: n.misses.Load(), Stale: n.stale.Load(), Shared: n.shared.Load(),
		Loads: n.loads.Load(), Errors: n.errors.Load(),
	}
}
