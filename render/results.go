package render

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"

	"github.com/tagpin/tagpin/image"
)

const (
	// DefaultResults is how much Results keep by default, in bytes of manifests.
	DefaultResults = 64 << 20
	// perRequest is how many results of one request are kept: branches and previews of one application take turns.
	perRequest = 4
)

// Results keep what renders gave. A request is rendered again only if something changed that its render had looked at, or if
// the render made something anew: then its Result has no Reads. They are safe for concurrent use.
type Results struct {
	limit  int
	render func(context.Context, Request) (Result, error)
	mu     sync.Mutex
	kept   []*keptResult // the one that was used last is the last
	size   int
}

// NewResults makes Results that keep at most limit bytes; what they don't have, render gives.
func NewResults(limit int, render func(context.Context, Request) (Result, error)) *Results {
	return &Results{limit: limit, render: render}
}

type keptResult struct {
	key    [sha256.Size]byte
	size   int
	result Result
}

// Render gives what was kept, or renders. The manifests must not be changed: others may be given the same.
func (c *Results) Render(ctx context.Context, r Request) (Result, error) {
	key, err := r.key()
	if err != nil {
		return Result{}, err
	}
	if k := c.find(key, r); k != nil {
		return k.result, nil
	}
	result, err := c.render(ctx, r)
	if err == nil && result.Reads != nil {
		c.keep(&keptResult{key, len(result.Manifests) + len(result.Reads)*int(sha256.Size*4), result})
	}
	return result, err
}

// key is the request but for what shows in the Reads: the directory and the variables. What may be fetched for whom is left
// out as well, as a render that needed it has no Reads.
func (r Request) key() ([sha256.Size]byte, error) {
	r.Root, r.Env = "", nil
	r.For, r.Streamed, r.Fetched = image.Application{}, false, nil
	data, err := json.Marshal(r)
	return sha256.Sum256(data), err
}

// find returns the result of an equal request whose reads would see the same now.
func (c *Results) find(key [sha256.Size]byte, r Request) *keptResult {
	c.mu.Lock()
	var candidates []*keptResult
	for _, k := range c.kept {
		if k.key == key {
			candidates = append(candidates, k)
		}
	}
	c.mu.Unlock()
	if len(candidates) == 0 {
		return nil
	}
	t, err := openTree(r.Root, nil)
	if err != nil {
		return nil
	}
	defer t.close()
	seen := map[Read]string{}
	for _, k := range slices.Backward(candidates) {
		if unchanged(t, &r, k.result.Reads, seen) {
			c.used(k)
			return k
		}
	}
	return nil
}

// unchanged looks at everything again. What it sees goes into seen, by Reads without it.
func unchanged(t *tree, r *Request, list []Read, seen map[Read]string) bool {
	for _, read := range list {
		what := Read{Kind: read.Kind, Name: read.Name}
		now, known := seen[what]
		if !known {
			now = read.again(t, r)
			seen[what] = now
		}
		if now != read.Saw {
			return false
		}
	}
	return true
}

func (c *Results) used(k *keptResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.kept, k); i >= 0 {
		c.kept = append(slices.Delete(c.kept, i, i+1), k)
	}
}

func (c *Results) keep(k *keptResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.size > c.limit {
		return
	}
	c.kept = append(c.kept, k)
	c.size += k.size
	same := 0
	for i := len(c.kept) - 1; i >= 0; i-- {
		if c.kept[i].key != k.key {
			continue
		}
		if same++; same > perRequest {
			c.drop(i)
			break
		}
	}
	for c.size > c.limit {
		c.drop(0)
	}
}

func (c *Results) drop(i int) {
	c.size -= c.kept[i].size
	c.kept = slices.Delete(c.kept, i, i+1)
}
