package redis

import (
	"context"
	"crypto/rand"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Pauses keep a distance between what several processes do, such as pushes to one branch.
type Pauses struct {
	c    *Client
	name string
}

// Pauses gives those of a name.
func (c *Client) Pauses(name string) *Pauses { return &Pauses{c, name} }

// take sets a pause, or says how long the present one lasts.
var take = goredis.NewScript(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left > tonumber(ARGV[2]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 0
end
return math.max(left, 1)`)

// Take begins a pause of d for what. When one lasts already, wait is the rest of it. giveBack ends the pause again: nothing was
// done. Without an answer there is no pause.
func (p *Pauses) Take(ctx context.Context, what string, d time.Duration) (wait time.Duration, giveBack func()) {
	if d.Milliseconds() <= 0 {
		return 0, func() {}
	}
	key, token := p.c.key(p.name, p.c.hashed(what)), rand.Text()
	var left int64
	err := p.c.do(ctx, patience, func(ctx context.Context) (err error) {
		left, err = take.Run(ctx, p.c.rdb, []string{key}, token, d.Milliseconds()).Int64()
		return err
	})
	if err != nil || left > 0 {
		return time.Duration(left) * time.Millisecond, func() {}
	}
	return 0, func() {
		_ = p.c.do(context.WithoutCancel(ctx), patience, func(ctx context.Context) error {
			return release.Run(ctx, p.c.rdb, []string{key}, token).Err()
		})
	}
}
