package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// batch is how many records travel at a time.
const batch = 250

// tombstoneLife is how long others can learn that a record was removed. They ask at each check.
const tombstoneLife = time.Hour

// Records are values by id that every replica follows: after the first look only what changed is read. Each ends when it was
// not put for as long as Keep.
type Records struct {
	c    *Client
	name string
	keep time.Duration
	most int
}

// Records gives those of a name. most bounds how many there are.
func (c *Client) Records(name string, keep time.Duration, most int) *Records {
	return &Records{c, name, keep, most}
}

// A position is how far a reader has come.
type position struct {
	epoch string
	next  int64
}

func (p position) String() string { return fmt.Sprintf("%s %d", p.epoch, p.next) }

func parsePosition(text string) (p position) {
	_, _ = fmt.Sscanf(text, "%s %d", &p.epoch, &p.next) // what is none is the beginning
	return p
}

func (r *Records) key(parts ...string) string {
	return r.c.key(append([]string{r.name}, parts...)...)
}

func (r *Records) record(id string) string { return r.key("r", id) }

// control are the keys beside the records: the epoch, which is another one after Redis lost everything; the number of the last
// change; and the ids by the number of their last change.
func (r *Records) control() []string { return []string{r.key("epoch"), r.key("seq"), r.key("index")} }

var putRecords = goredis.NewScript(`
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local refused = 0
for i = 4, #KEYS do
  local at = 4 + (i - 4) * 3
  local id = ARGV[at]
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[2]) and not redis.call('ZSCORE', KEYS[3], id) then
    refused = refused + 1
  else
    redis.call('SET', KEYS[i], ARGV[at + 1], 'PX', ARGV[at + 2])
    redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[2]), id)
  end
end
return refused`)

// Put keeps records; nil removes one. refused counts those for which there is no room.
func (r *Records) Put(ctx context.Context, records map[string][]byte) (refused int, err error) {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(records)), batch) {
		n, err := r.put(ctx, ids, records)
		refused += n
		if err != nil {
			return refused, err
		}
	}
	return refused, nil
}

func (r *Records) put(ctx context.Context, ids []string, records map[string][]byte) (refused int, err error) {
	keys, args := r.control(), []any{rand.Text(), r.most, 0}
	for _, id := range ids {
		value, life := records[id], r.keep
		if value == nil {
			life = tombstoneLife
		}
		stored, err := r.c.sealer.seal(r.record(id), value)
		if err != nil {
			return 0, err
		}
		keys, args = append(keys, r.record(id)), append(args, id, stored, life.Milliseconds())
	}
	err = r.mended(ctx, func(ctx context.Context) (err error) {
		refused, err = putRecords.Run(ctx, r.c.rdb, keys, args...).Int()
		return err
	})
	return refused, err
}

// mended asks, and once more when something foreign lies at one of our keys, after that was removed.
func (r *Records) mended(ctx context.Context, ask func(context.Context) error) error {
	err := r.c.do(ctx, bulkPatience, ask)
	var reply goredis.Error
	if foreign := errors.As(err, &reply) || errors.Is(err, errForeign); !foreign || !answered(err) {
		return err
	}
	if err := r.c.do(ctx, bulkPatience, func(ctx context.Context) error { return r.c.rdb.Del(ctx, r.control()...).Err() }); err != nil {
		return err
	}
	return r.c.do(ctx, bulkPatience, ask)
}

// Since gives what changed after a position, nil for what was removed, and the new position. The empty one is the beginning.
// whole means that these are all records there are: the reader had none before, or Redis has lost what it had.
func (r *Records) Since(ctx context.Context, after string) (records map[string][]byte, whole bool, next string, err error) {
	ids, whole, now, err := r.changed(ctx, parsePosition(after))
	if err != nil {
		return nil, false, "", err
	}
	records = make(map[string][]byte, len(ids))
	var gone []string
	for part := range slices.Chunk(ids, batch) {
		missing, err := r.read(ctx, part, records)
		if err != nil {
			return nil, false, "", err
		}
		gone = append(gone, missing...)
	}
	if whole {
		r.prune(ctx, gone)
	}
	return records, whole, now.String(), nil
}

// changed gives the ids of what changed.
func (r *Records) changed(ctx context.Context, from position) (ids []string, whole bool, now position, err error) {
	err = r.mended(ctx, func(ctx context.Context) (err error) {
		if now, err = r.now(ctx); err != nil {
			return err
		}
		next := from.next
		// Another epoch, or fewer changes than were seen: it is another Redis, or one that lost everything.
		if whole = next == 0 || now.epoch != from.epoch || now.next < next; whole {
			next = 0
		}
		if !whole && now.next == next {
			return nil
		}
		ids, err = r.c.rdb.ZRangeByScore(ctx, r.key("index"), &goredis.ZRangeBy{
			Min: fmt.Sprintf("(%d", next), Max: "+inf", Count: int64(r.most),
		}).Result()
		return err
	})
	return slices.DeleteFunc(ids, invalidID), whole, now, err
}

// now is the present position. The first to ask makes the epoch. Changes that come after it are read, too, and once more the
// next time.
func (r *Records) now(ctx context.Context) (position, error) {
	pipe := r.c.rdb.Pipeline()
	pipe.SetNX(ctx, r.key("epoch"), rand.Text(), 0)
	epoch, seq := pipe.GetRange(ctx, r.key("epoch"), 0, 64), pipe.GetRange(ctx, r.key("seq"), 0, 64)
	if _, err := pipe.Exec(ctx); err != nil || seq.Val() == "" {
		return position{epoch: epoch.Val()}, err
	}
	n, err := strconv.ParseInt(seq.Val(), 10, 64)
	if err != nil || n < 0 {
		return position{}, errForeign
	}
	return position{epoch.Val(), n}, nil
}

// read adds records, and gives the ids that have none any more.
func (r *Records) read(ctx context.Context, ids []string, records map[string][]byte) (missing []string, err error) {
	values := make([]*goredis.StringCmd, len(ids))
	err = r.c.do(ctx, bulkPatience, func(ctx context.Context) error {
		pipe := r.c.rdb.Pipeline()
		for i, id := range ids {
			values[i] = pipe.GetRange(ctx, r.record(id), 0, maxStored)
		}
		_, err := pipe.Exec(ctx)
		return firstFailure(err)
	})
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		stored := values[i].Val()
		value, err := r.c.sealer.open(r.record(id), []byte(stored))
		if stored == "" && values[i].Err() == nil {
			missing = append(missing, id)
		}
		if err != nil || len(value) == 0 {
			value = nil
		}
		records[id] = value
	}
	return missing, nil
}

var pruneIndex = goredis.NewScript(`
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then redis.call('ZREM', KEYS[1], ARGV[i - 1]) end
end
return 1`)

// prune takes ids off the index whose records have ended. That it fails is made good by the next reader.
func (r *Records) prune(ctx context.Context, ids []string) {
	for part := range slices.Chunk(ids, batch) {
		keys, args := []string{r.key("index")}, make([]any, len(part))
		for i, id := range part {
			keys, args[i] = append(keys, r.record(id)), id
		}
		if r.c.do(ctx, bulkPatience, func(ctx context.Context) error { return pruneIndex.Run(ctx, r.c.rdb, keys, args...).Err() }) != nil {
			return
		}
	}
}

// invalidID is true for what is the id of no record of ours.
func invalidID(id string) bool {
	return id == "" || len(id) > 200 || strings.ContainsAny(id, "|*?[] \t\r\n")
}
