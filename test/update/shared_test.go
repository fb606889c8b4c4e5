package update

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/redis"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/redisserver"
	"github.com/tagpin/tagpin/writeback"
)

// A sidecar is an updater with what cmd shares among replicas.
type sidecar struct {
	*updater
	client *redis.Client
	store  *reconcile.Shared
	peers  *redis.Peers
}

// sidecar starts one on a Redis. Its caches begin empty.
func (w *world) sidecar(r *redisserver.Server, ttl time.Duration) *sidecar {
	return w.sidecarAt(r.Addr(), ttl)
}

// sidecarAt is sidecar with an address of its own for the same Redis.
func (w *world) sidecarAt(addr string, ttl time.Duration) *sidecar {
	w.t.Helper()
	log := logrus.New()
	log.SetOutput(w.log)
	client, err := redis.Open(redis.Options{Server: addr, Password: redisserver.Password, Prefix: redis.DefaultPrefix, Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = client.Close() })
	secrets, settings := config.OpenSecrets(w.secrets), w.settings("")
	registries, err := registry.New(registry.Options{
		ConfPath: w.conf, Secrets: secrets, Settings: settings, CacheTTL: ttl, Log: log,
		Shared: registry.Shared{Secret: client.Secret("fingerprints"), Level: func(kind string, keep time.Duration) cache.Remote { return client.Level(kind, keep) }},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	o := writeback.Options{Settings: settings, Secrets: secrets, CacheDir: w.t.TempDir(), Same: registries.SameImage}
	writer, err := writeback.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &sidecar{
		client: client,
		store:  reconcile.NewShared(client.Records("applications", time.Hour, reconcile.MaxRecords), time.Hour, func() {}),
		peers:  client.Peers("sidecar", time.Hour),
	}
	s.updater = &updater{registries: registries, cache: o.CacheDir, Loop: reconcile.New(reconcile.Options{
		Store: s.store, Resolver: resolver{registries}, Writer: writer, Log: log, Distance: time.Nanosecond, Peers: s.peers,
		Pauses: client.Pauses("pushes"),
	})}
	return s
}

// leave is the end of a sidecar that is stopped: the others take over at once, and not when it is missed.
func (s *sidecar) leave() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.peers.Run(ctx)
	_ = s.client.Close()
}

// all waits until a condition holds after checks of all sidecars, which run side by side.
func (w *world) all(what string, sidecars []*sidecar, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(end) {
			w.t.Fatalf("it never came about that %s", what)
		}
		time.Sleep(20 * time.Millisecond)
		var checks sync.WaitGroup
		for _, s := range sidecars {
			checks.Go(func() { s.Check(w.t.Context()) })
		}
		checks.Wait()
	}
}

// holds says whether the last commit pins a tag, which is then the only one in the file.
func (w *world) holds(repo, app, tag string) bool {
	return strings.Contains(w.line(repo, "log", "-1", "--format=%b", "main"), `"tag":"`+tag+`"`) &&
		strings.Contains(w.git.File(repo, "main", app+"/.argocd-source-"+app+".yaml"), "tag: "+tag+"\n")
}

// Three sidecars on one Redis: what one of them renders all know, each repository is looked after by one, and whatever happens to
// Redis every application ends at the right pin.
func TestSidecars(t *testing.T) {
	const repos = 6
	w := newWorld(t)
	r := redisserver.Start(t, redisserver.Options{})
	w.reg.Push(echo, "v1.0", acr.Image{})
	sidecars := []*sidecar{w.sidecar(r, ttl), w.sidecar(r, ttl), w.sidecar(r, ttl)}
	name := func(i int) string { return fmt.Sprintf("app-%d", i) }
	for i := range repos {
		w.git.Create(name(i), map[string]string{name(i) + "/Chart.yaml": "name: demo\n"})
		sidecars[i%2].Observe(w.hint(name(i), name(i), name(i)))
	}
	for _, s := range sidecars {
		s.Take(t.Context())
		s.peers.Share(t.Context())
	}
	everywhere := func(tag string) func() bool {
		return func() bool {
			for i := range repos {
				if !w.holds(name(i), name(i), tag) {
					return false
				}
			}
			return true
		}
	}
	w.all("the first pins are written", sidecars, everywhere("v1.0"))
	for i, outage := range []struct {
		name       string
		begin, end func()
	}{
		{"killed", r.Kill, r.Start},
		{"paused", r.Pause, r.Resume},
		{"flushed", r.Flush, func() {}},
		{"garbage", r.Garbage, func() {}},
	} {
		tag := fmt.Sprintf("v%d.0", i+2)
		outage.begin()
		w.reg.Push(echo, tag, acr.Image{})
		w.all("during Redis "+outage.name+" a tag is pinned", sidecars, everywhere(tag))
		outage.end()
		tag = fmt.Sprintf("v%d.1", i+2)
		w.reg.Push(echo, tag, acr.Image{})
		w.all("after Redis "+outage.name+" a tag is pinned", sidecars, everywhere(tag))
		// Argo CD's cache is warm: nothing renders again. A sidecar that is restarted knows its applications all the same.
		sidecars[i%3].leave()
		sidecars[i%3] = w.sidecar(r, ttl)
		tag = fmt.Sprintf("v%d.2", i+2)
		w.reg.Push(echo, tag, acr.Image{})
		w.all("after a restart a tag is pinned", sidecars, everywhere(tag))
	}
	for i := range repos { // one commit for each tag that was pinned, and none goes back
		last := ""
		for line := range strings.Lines(w.git.Git(name(i), "log", "--reverse", "--format=%s%n%b", "main")) {
			if _, tag, found := strings.Cut(line, `"tag":"`); found {
				tag, _, _ = strings.Cut(tag, `"`)
				if tag <= last {
					t.Errorf("%s went from %s to %s", name(i), last, tag)
				}
				last = tag
			}
		}
	}
}

// Two updaters whose answers have different ages never alternate: what the younger one pinned proves the other's list stale. So
// it is for a list, and for the digest of a moved tag.
func TestNoFlapping(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.reg.Push(echo, "v1.0", acr.Image{})
	old, young := w.updater(time.Hour), w.updater(ttl)
	hint := func() reconcile.Hint { return w.hint("demo", "gitops-demo", "helm") }
	old.check(t, hint())
	w.reg.Push(echo, "v2.0", acr.Image{})
	young.check(t, hint())
	for range 3 {
		old.check(t, hint())
		wantState(t, old.status(t, "gitops-demo"), image.UpToDate, "")
		young.check(t, hint())
		wantState(t, young.status(t, "gitops-demo"), image.UpToDate, "")
	}
	if got := w.git.File("demo", "main", pinFile); got != pins("v2.0") {
		t.Errorf("the pin is %q", got)
	}

	moved := func() reconcile.Hint {
		return w.hint("demo", "moved", "moved", "image-list", "echoserver="+echoServer+":v1.0", "update-strategy", "digest")
	}
	old, young = w.updater(time.Hour), w.updater(ttl)
	old.check(t, moved())
	digest := w.reg.Push(echo, "v1.0", acr.Image{Labels: map[string]string{"moved": "yes"}})
	young.check(t, moved())
	before := w.line("demo", "rev-list", "--count", "main")
	for range 3 {
		old.check(t, moved())
		young.check(t, moved())
	}
	if got := w.git.File("demo", "main", "moved/.argocd-source-moved.yaml"); !strings.Contains(got, digest) {
		t.Errorf("the pin is %q, want %s", got, digest)
	}
	if n := w.line("demo", "rev-list", "--count", "main"); n != before {
		t.Errorf("%s commits, want %s: the pins alternate", n, before)
	}
}
