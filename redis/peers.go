package redis

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// peerLife is how long an updater counts after it was last heard of. Another one then takes over what was its own.
	peerLife = 30 * time.Second
	// peerBeat is how often one is heard of.
	peerBeat = 10 * time.Second
	// maxPeers bounds what is read.
	maxPeers = 1000
)

// Peers are the updaters that divide the work among themselves: each repository belongs to one of them. What they believe may
// differ for a moment, and then two of them, or none, look at a repository; the push finds out about the first.
type Peers struct {
	c    *Client
	name string // ours
	// idle is the time after which an updater that doesn't ask for its share any more gives it up.
	idle time.Duration

	mu    sync.Mutex
	asked time.Time
}

// Peers enters this process under a name that people know it by, such as the pod's. idle is more than any round of work takes.
func (c *Client) Peers(name string, idle time.Duration) *Peers {
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune("|*?[] \t\r\n", r) || r < ' ' {
			return '-'
		}
		return r
	}, name)
	return &Peers{c: c, name: clean[:min(len(clean), 100)] + "." + rand.Text()[:8], idle: idle}
}

// Name is unique among the updaters.
func (p *Peers) Name() string { return p.name }

func (p *Peers) key() string { return p.c.key("updaters") }

// beat enters one updater, or takes it off, and gives all that count.
var beat = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 2 * ARGV[3], '+inf')
if ARGV[2] == '1' then
  redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], 2 * ARGV[3])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZRANGE', KEYS[1], 0, ARGV[4])`)

func (p *Peers) beat(ctx context.Context, alive bool) (names []string, err error) {
	flag := "0"
	if alive {
		flag = "1"
	}
	args := []any{p.sign(p.name), flag, peerLife.Milliseconds(), maxPeers}
	ask := func(ctx context.Context) (err error) {
		names, err = beat.Run(ctx, p.c.rdb, []string{p.key()}, args...).StringSlice()
		return err
	}
	if err = p.c.do(ctx, bulkPatience, ask); err != nil && answered(err) { // something foreign
		_ = p.c.do(ctx, bulkPatience, func(ctx context.Context) error { return p.c.rdb.Del(ctx, p.key()).Err() })
		err = p.c.do(ctx, bulkPatience, ask)
	}
	return names, err
}

// sign adds to a name what shows that it is no stranger's.
func (p *Peers) sign(name string) string {
	if len(p.c.o.Keys) == 0 {
		return name
	}
	return name + "|" + hex.EncodeToString(mac(p.c.o.Keys[0], p.key(), 0, []byte(name)))
}

// known gives the name of an entry that counts.
func (p *Peers) known(entry string) (string, bool) {
	name, sum, _ := strings.Cut(entry, "|")
	got, _ := hex.DecodeString(sum)
	genuine := len(p.c.o.Keys) == 0
	for _, k := range p.c.o.Keys {
		genuine = genuine || hmac.Equal(got, mac(k, p.key(), 0, []byte(name)))
	}
	return name, genuine && !invalidID(name)
}

// Share says which repositories are this updater's now. Alone, or without Redis, all are.
func (p *Peers) Share(ctx context.Context) func(repository string) bool {
	p.mu.Lock()
	p.asked = p.c.o.Now()
	p.mu.Unlock()
	entries, err := p.beat(ctx, true)
	if err != nil {
		return func(string) bool { return true }
	}
	var all []string
	for _, entry := range entries {
		if name, ok := p.known(entry); ok {
			all = append(all, name)
		}
	}
	return func(repository string) bool {
		return len(all) == 0 || slices.MaxFunc(all, func(a, b string) int {
			return cmp.Or(strings.Compare(weight(a, repository), weight(b, repository)), strings.Compare(a, b))
		}) == p.name
	}
}

// weight is that of rendezvous hashing: when an updater comes or goes, only what it gets or had changes hands.
func weight(name, repository string) string {
	sum := sha256.Sum256([]byte(name + "|" + repository))
	return string(sum[:])
}

// Run keeps this updater among those that count until ctx ends, and takes it off then. One whose work doesn't go on is left out.
func (p *Peers) Run(ctx context.Context) {
	ticker := time.NewTicker(peerBeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			_, _ = p.beat(context.WithoutCancel(ctx), false)
			return
		case <-ticker.C:
			p.mu.Lock()
			busy := p.c.o.Now().Sub(p.asked) < p.idle
			p.mu.Unlock()
			_, _ = p.beat(ctx, busy)
		}
	}
}
