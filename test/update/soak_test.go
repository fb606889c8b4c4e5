package update

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/redisserver"
)

// soakFor is how long pushes, people and outages go on: a few seconds in the suite, and `make soak` for long.
var soakFor = flag.Duration("soak", 4*time.Second, "how long TestSoak makes trouble")

// forge puts entries into Redis that look like tagpin's.
func forge(r *redisserver.Server, n int) {
	for i, key := range r.Keys("tagpin|*") {
		if i >= n {
			return
		}
		if strings.Contains(key, "|r|") {
			r.Do("SET", key, "tp\x01\x00"+`{"App":{"Name":"forged","RepoURL":"https://git.example.com/x.git"},"Seen":"2999-01-01T00:00:00Z"}`, "PX", 600_000)
		}
	}
	r.Do("ZADD", "tagpin|1|updaters", "9000000000000000", "nobody.FORGED")
}

// Two sidecars on one Redis and one Git remote, while tags are pushed and deleted, people commit, a sidecar is restarted, and Redis is
// killed, paused, flushed, slow, and filled with garbage and forged entries. At the end every application is pinned to the newest tag
// that there is, by a look of its own at the registry's content, no commit of a person is lost, and nothing is left running.
func TestSoak(t *testing.T) {
	const apps = 4
	w := newWorld(t)
	r := redisserver.Start(t, redisserver.Options{})
	way := r.Through(t)
	name := func(i int) string { return fmt.Sprintf("app-%d", i) }
	files := map[string]string{}
	for i := range apps {
		files[name(i)+"/Chart.yaml"] = "name: demo\n"
		w.reg.Push("soak/"+name(i), "v1.0.0", acr.Image{})
	}
	w.git.Create("soak", files)
	hint := func(i int) reconcile.Hint {
		return w.hint("soak", name(i), name(i), "image-list", "echoserver="+acrHost+"/soak/"+name(i))
	}
	sidecars := []*sidecar{w.sidecarAt(way.Addr(), ttl), w.sidecarAt(way.Addr(), ttl)}
	for i := range apps {
		sidecars[i%2].Observe(hint(i))
	}
	var before uint64
	newest, people := make([]string, apps), 0
	for round, end := 0, time.Now().Add(*soakFor); time.Now().Before(end); round++ {
		i := rand.IntN(apps)
		newest[i] = fmt.Sprintf("v2.0.%d", round)
		w.reg.Push("soak/"+name(i), newest[i], acr.Image{})
		w.git.CommitAs("soak", "main", "Ada <ada@example.com>", "work", map[string]string{fmt.Sprintf("docs/%d.md", people): "work\n"})
		people++
		restore := w.trouble(r, way, round)
		checkAll(t.Context(), sidecars)
		restore()
		if round%5 == 4 { // Argo CD's cache is warm: nobody renders for the new one
			sidecars[round%2].leave()
			sidecars[round%2] = w.sidecarAt(way.Addr(), ttl)
		}
		for i := range apps {
			sidecars[rand.IntN(2)].Observe(hint(i))
			sidecars[0].Take(t.Context())
			sidecars[1].Take(t.Context())
		}
		if round == 10 {
			before = heap()
		}
	}
	r.Flush() // with forged entries nobody may be left who does the work
	right := func() bool {
		for i := range apps {
			want := newest[i]
			if want == "" {
				want = "v1.0.0"
			}
			if out := w.git.Git("soak", "ls-tree", "-r", "--name-only", "main"); !strings.Contains(out, ".argocd-source-"+name(i)) {
				return false
			}
			if !strings.Contains(w.git.File("soak", "main", name(i)+"/.argocd-source-"+name(i)+".yaml"), "tag: "+want+"\n") {
				return false
			}
		}
		return true
	}
	w.all("every application is at the right pin", sidecars, right)
	for i := range people {
		w.git.File("soak", "main", fmt.Sprintf("docs/%d.md", i))
	}
	// Of tagpin's own nothing may run any more, now that no check is under way; the servers of the test and idle connections do.
	for _, stack := range stacks() {
		if strings.Contains(stack, "tagpin/reconcile.") || strings.Contains(stack, "tagpin/cache.") || strings.Contains(stack, "tagpin/redis.") {
			t.Errorf("left running:\n%s", stack)
		}
	}
	if after := heap(); before > 0 && after > 2*before+32<<20 {
		t.Errorf("%d MiB are held, after %d MiB in the beginning", after>>20, before>>20)
	}
	t.Logf("%d commits of people beside the pins", people)
}

// heap is what is held after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// stacks are those of all goroutines but the test's own.
func stacks() []string {
	buffer := make([]byte, 16<<20)
	all := strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\n\n")
	return all[1:]
}

func checkAll(ctx context.Context, sidecars []*sidecar) {
	var all sync.WaitGroup
	for _, s := range sidecars {
		all.Go(func() { s.Check(ctx) })
	}
	all.Wait()
}

// trouble does something to Redis until restore.
func (w *world) trouble(r *redisserver.Server, way *redisserver.Way, round int) (restore func()) {
	switch round % 8 {
	case 1:
		way.Slow(200 * time.Millisecond)
		return func() { way.Slow(0) }
	case 2:
		r.Flush()
	case 3:
		r.Garbage()
	case 4:
		forge(r, 100)
	case 5:
		r.Kill()
		return r.Start
	case 6:
		r.Pause()
		return r.Resume
	}
	return func() {}
}
