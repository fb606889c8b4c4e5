package redis

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// markLife outlasts every load that may have begun before a mark.
const markLife = 10 * time.Minute

// stampSize is the size of what stands before a value: when it was loaded, and how long it is kept, in milliseconds.
const stampSize = 16

// A Level is the second level of a cache: its values, under names that tell nothing.
type Level struct {
	c    *Client
	kind string
	keep time.Duration
}

// Level gives the one for a kind of values, which are kept until they are older than keep. It needs a Secret, since names of
// credentials are in its keys: all replicas must agree on them, and nobody else may find one by trying.
func (c *Client) Level(kind string, keep time.Duration) *Level { return &Level{c, kind, keep} }

func (l *Level) name(key string) string { return l.c.key(l.kind, l.c.hashed(l.kind+"|"+key)) }

func markOf(name string) string { return name + "|mark" }

// Get gives a value and its age. An empty value with no error is a miss. mark is for Put.
//
// The age is what Redis's own clock says, or this machine's if that is more, so that replicas whose clocks differ agree, and a
// value that was given a longer life by others is no younger for it.
func (l *Level) Get(ctx context.Context, key string) (value []byte, age time.Duration, mark string, err error) {
	name := l.name(key)
	var stored, marked *goredis.StringCmd
	var left *goredis.DurationCmd
	err = l.c.do(ctx, patience, func(ctx context.Context) error {
		pipe := l.c.rdb.Pipeline()
		stored, left, marked = pipe.GetRange(ctx, name, 0, maxStored), pipe.PTTL(ctx, name), pipe.Get(ctx, markOf(name))
		_, err := pipe.Exec(ctx)
		return firstFailure(err, stored.Err(), left.Err(), marked.Err())
	})
	if err != nil {
		return nil, 0, "", err
	}
	mark = marked.Val()
	text, err := l.c.sealer.open(name, []byte(stored.Val()))
	if stored.Err() != nil || err != nil || len(text) < stampSize || left.Val() <= 0 {
		return nil, 0, mark, nil //nolint:nilerr // a foreign value is a miss
	}
	loaded, keep := stampOf(text)
	return text[stampSize:], max(0, keep-left.Val(), l.c.o.Now().Sub(loaded)), mark, nil
}

// firstFailure is that of a pipeline, as far as it says that Redis can't be used: a key of another kind is a foreign value.
func firstFailure(errs ...error) error {
	for _, err := range errs {
		if !answered(err) {
			return err
		}
	}
	return nil
}

// put sets a value unless it was marked since.
var put = goredis.NewScript(`
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`)

// Put keeps a value, which has an age already. It does nothing when the key was marked after the Get that gave mark.
func (l *Level) Put(ctx context.Context, key, mark string, value []byte, age time.Duration) {
	left := (l.keep - age).Milliseconds()
	if left <= 0 {
		return
	}
	name := l.name(key)
	text := make([]byte, 0, stampSize+len(value))
	text = binary.LittleEndian.AppendUint64(text, uint64(l.c.o.Now().Add(-age).UnixMilli()))
	text = binary.LittleEndian.AppendUint64(text, uint64(l.keep.Milliseconds())) //nolint:gosec // positive
	stored, err := l.c.sealer.seal(name, append(text, value...))
	if err != nil {
		return // too large to be shared
	}
	_ = l.c.do(ctx, patience, func(ctx context.Context) error {
		return put.Run(ctx, l.c.rdb, []string{name, markOf(name)}, mark, stored, left).Err()
	})
}

func stampOf(text []byte) (loaded time.Time, keep time.Duration) {
	at, life := binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[8:])
	return time.UnixMilli(int64(at)), time.Duration(life) * time.Millisecond //nolint:gosec // as Put wrote it
}

// mark drops a value and makes later Puts of loads that began before void.
var mark = goredis.NewScript(`
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1`)

// Mark drops a value: whoever is loading it now asked too early.
func (l *Level) Mark(ctx context.Context, key string) {
	name := l.name(key)
	_ = l.c.do(ctx, patience, func(ctx context.Context) error {
		return mark.Run(ctx, l.c.rdb, []string{name, markOf(name)}, rand.Text(), markLife.Milliseconds()).Err()
	})
}

// release gives a lease back, if it is still ours.
var release = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

// Claim takes the lease of a key for a while, so that one replica loads and the others wait. It says no only when another one
// has it: without an answer everybody goes on.
func (l *Level) Claim(ctx context.Context, key string, d time.Duration) (giveBack func(), ok bool) {
	name, token := l.name(key)+"|lease", rand.Text()
	taken := true
	err := l.c.do(ctx, patience, func(ctx context.Context) (err error) {
		taken, err = l.c.rdb.SetNX(ctx, name, token, d).Result()
		return err
	})
	switch {
	case err != nil:
		return func() {}, true
	case !taken:
		return nil, false
	}
	return func() {
		_ = l.c.do(context.WithoutCancel(ctx), patience, func(ctx context.Context) error {
			return release.Run(ctx, l.c.rdb, []string{name}, token).Err()
		})
	}, true
}
