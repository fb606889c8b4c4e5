package webhook

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tagpin/tagpin/image"
)

const (
	// perAddress and burst are what one address may ask, per second and at once: a build that pushes a hundred images makes its
	// registry send as many hooks.
	perAddress = 10
	burst      = 100
	// maxAddresses bounds how many are told apart. Beyond, the others share one limit.
	maxAddresses = 10_000
	// quiet is the time between two looks at a repository.
	quiet = 5 * time.Second
	// maxRepositories bounds how many are quiet at a time.
	maxRepositories = 10_000
)

// limits bounds requests by the address that they come from.
type limits struct {
	mu     sync.Mutex
	by     map[netip.Prefix]*rate.Limiter
	others *rate.Limiter
	swept  time.Time
}

func newLimits() *limits {
	return &limits{by: map[netip.Prefix]*rate.Limiter{}, others: rate.NewLimiter(perAddress, burst)}
}

func (l *limits) allow(remote string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, known := origin(remote)
	if !known {
		return l.others.AllowN(now, 1)
	}
	limiter := l.by[from]
	if limiter == nil {
		if len(l.by) >= maxAddresses {
			l.dropIdle(now)
		}
		if len(l.by) >= maxAddresses {
			return l.others.AllowN(now, 1)
		}
		limiter = rate.NewLimiter(perAddress, burst)
		l.by[from] = limiter
	}
	return limiter.AllowN(now, 1)
}

// dropIdle forgets who has been quiet for so long that a new limiter would say the same. Once a second is enough.
func (l *limits) dropIdle(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for from, limiter := range l.by {
		if limiter.TokensAt(now) >= burst {
			delete(l.by, from)
		}
	}
}

// origin is an address, or the network of an IPv6 address: one sender has 2⁶⁴ of those.
func origin(remote string) (netip.Prefix, bool) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}, false
	}
	bits := 32
	addr := at.Addr().Unmap().WithZone("")
	if addr.Is6() {
		bits = 64
	}
	from, err := addr.Prefix(bits)
	return from, err == nil
}

// hints hands on what is pushed, at most once per repository in quiet. What comes meanwhile is handed on, once, at the end
// of it: the last push counts.
type hints struct {
	mu   sync.Mutex
	by   map[string]*hint // by identity
	hand func(image.Image)
}

type hint struct{ again bool }

// take says whether there was room.
func (h *hints) take(identity string, img image.Image) bool {
	h.mu.Lock()
	if waiting := h.by[identity]; waiting != nil {
		waiting.again = true
		h.mu.Unlock()
		return true
	}
	if len(h.by) >= maxRepositories {
		h.mu.Unlock()
		return false
	}
	h.rest(identity, img)
	h.mu.Unlock()
	h.hand(img)
	return true
}

// rest begins a quiet time; mu is held.
func (h *hints) rest(identity string, img image.Image) {
	waiting := &hint{}
	h.by[identity] = waiting
	time.AfterFunc(quiet, func() {
		h.mu.Lock()
		again := waiting.again
		if again {
			h.rest(identity, img)
		} else {
			delete(h.by, identity)
		}
		h.mu.Unlock()
		if again {
			h.hand(img)
		}
	})
}
