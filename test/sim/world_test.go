// Package sim runs the update loop for fleets of any size in virtual time: make sim. Hours of ten thousand applications take a
// minute or two.
//
// What decides is real: reconcile.Loop with the store that replicas share, package registry with its caches, limits and
// retries, and package resolve. What is far away is not: registries, Git servers, Redis and Argo CD answer from memory, after a
// virtual delay. testing/synctest gives the clock.
package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/resolve"
)

// A fleet says what is simulated.
type fleet struct {
	name                                      string
	apps, repos, images, registries, replicas int
	tags                                      int // of each image at the beginning
	// pushes and commits are how many images are pushed, and how many commits people make, in an hour.
	pushes, commits float64
	// announced is the part of the pushes that a webhook tells of.
	announced float64
	// failures is the part of the requests, to registries and to Git, that fail.
	failures float64
	latency  time.Duration // of registries; Git takes ten times as long
	limit    int           // of each registry, in requests per second
	hours    float64
	seed     uint64
}

// A world is a fleet at work.
type world struct {
	fleet
	shelves []*shelf // by image
	git     *remote
	shared  *records
	all     []*app
	named   map[string]*app

	mu     sync.Mutex // guards random
	random *rand.Rand

	requests, failed atomic.Int64
	checks           roundTimes
	lags             lags
}

// lags are the times from the announcement of a push to the choice of each application that uses the image.
type lags struct {
	mu   sync.Mutex
	last map[string]int // the newest tag that an application chose
	all  durations
}

func (l *lags) add(a *app, tag int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, known := l.last[a.Name]; known && tag > last {
		l.all = append(l.all, a.shelf.since(last, tag)...)
	}
	l.last[a.Name] = tag
}

// An app is one Application, with one image.
type app struct {
	image.Application
	shelf *shelf
	hint  reconcile.Hint
}

// A replica is one process.
type replica struct {
	*reconcile.Loop
	registries *registry.Registries
}

func newWorld(t testing.TB, f fleet) *world {
	w := &world{fleet: f, named: map[string]*app{}, lags: lags{last: map[string]int{}}, shared: newRecords(), random: rand.New(rand.NewPCG(f.seed, 1))}
	w.git = newRemote(w)
	for i := range f.images {
		w.shelves = append(w.shelves, newShelf(fmt.Sprintf("r%d.example.com", i%f.registries), fmt.Sprintf("team/app-%04d", i), f.tags))
	}
	for i := range f.apps {
		a := w.app(i)
		w.all = append(w.all, a)
		w.named[a.Name] = a
	}
	return w
}

// app gives application i.
func (w *world) app(i int) *app {
	a := &app{shelf: w.shelves[i%len(w.shelves)]}
	a.Application = image.Application{
		Name: fmt.Sprintf("app-%05d", i), Project: "default", RepoURL: fmt.Sprintf("https://git.example.com/repo-%03d.git", i%w.repos),
		Path: fmt.Sprintf("apps/%05d", i), TargetRevision: "main",
	}
	list, method := "app="+a.shelf.host+"/"+a.shelf.path, "git:secret:argocd/git"
	a.hint.Parameters = []image.Parameter{{Name: "image-list", String: &list}, {Name: "write-back-method", String: &method}}
	return a
}

// conf is what all replicas have.
func (w *world) conf(t testing.TB) string {
	var text strings.Builder
	text.WriteString("registries:\n")
	for i := range w.registries {
		fmt.Fprintf(&text, "- {name: r%d, prefix: r%[1]d.example.com, api_url: 'https://r%[1]d.example.com', limit: %d}\n", i, w.limit)
	}
	path := filepath.Join(t.TempDir(), "registries.conf")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// open makes what a process asks registries by. It is called outside of the bubble: its caches have janitors that never end.
func (w *world) open(t testing.TB) []*replica {
	log := logrus.New()
	log.SetOutput(io.Discard)
	conf := w.conf(t)
	var all []*replica
	for range w.replicas {
		regs, err := registry.New(registry.Options{ConfPath: conf, Log: log, Told: w.attempt, Wrap: w.wrap})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &replica{registries: regs})
	}
	return all
}

func (w *world) attempt(a registry.Attempt) {
	w.requests.Add(1)
	if a.Status != 200 {
		w.failed.Add(1)
	}
}

// start makes the loops and runs them until ctx ends.
func (w *world) start(ctx context.Context, replicas []*replica) (wait func()) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.ErrorLevel)
	var running sync.WaitGroup
	for i, r := range replicas {
		var store reconcile.Store = reconcile.NewMemory()
		var peers reconcile.Peers
		if len(replicas) > 1 {
			store = reconcile.NewShared(w.shared, reconcile.DefaultExpiry, func() { w.follow(ctx, replicas) })
			peers = share{i, len(replicas)}
		}
		r.Loop = reconcile.New(reconcile.Options{
			Store: store, Resolver: resolver{w, r.registries}, Writer: newWriter(w.git), Identity: r.registries.Identity, Peers: peers, Log: log,
			Told: w.checks.add,
		})
		running.Go(func() { r.Run(ctx) })
	}
	return running.Wait
}

// follow is what a notice makes the replicas do.
func (w *world) follow(ctx context.Context, replicas []*replica) {
	for _, r := range replicas {
		go func() {
			time.Sleep(time.Millisecond)
			if ctx.Err() == nil {
				r.Follow(ctx)
			}
		}()
	}
}

type resolver struct {
	w *world
	r *registry.Registries
}

func (r resolver) Resolve(ctx context.Context, app image.Application, e image.Entry) (image.Choice, error) {
	repo, err := r.r.Repository(ctx, app, e)
	if err != nil {
		return image.Choice{}, err
	}
	choice, err := resolve.Resolve(ctx, repo, e, time.Now())
	choice.Stale = repo.Staleness()
	if err == nil {
		r.w.lags.add(r.w.named[app.Name], numberOf(choice.Tag))
	}
	return choice, err
}

func (r resolver) Newer(ctx context.Context, app image.Application, e image.Entry, tag, than string) (bool, error) {
	repo, err := r.r.Repository(ctx, app, e)
	if err != nil {
		return false, err
	}
	return resolve.Newer(ctx, repo, e, tag, than)
}

// render is Argo CD's: it rendered an application at a commit, in any of the replicas.
func (w *world) render(a *app, revision string, replicas []*replica) {
	h := a.hint
	h.App, h.Seen = a.Application, time.Now()
	h.App.Revision = revision
	replicas[w.n(len(replicas))].Observe(h)
}

// n is a random number below max.
func (w *world) n(max int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(max)
}

// upTo is a random time.
func (w *world) upTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.random.Int64N(int64(d) + 1))
}

// delay sleeps for about d: half of it at least, and now and then for much longer.
func (w *world) delay(ctx context.Context, d time.Duration) {
	w.mu.Lock()
	long := time.Duration(float64(d) * min(20, .5+w.random.ExpFloat64()/2))
	w.mu.Unlock()
	select {
	case <-time.After(long):
	case <-ctx.Done():
	}
}

// fails says whether a request does.
func (w *world) fails() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64() < w.failures
}

// pause is the time to the next of events of which so many come in an hour.
func (w *world) pause(perHour float64) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.random.ExpFloat64() / perHour * float64(time.Hour))
}

// each does something so often in an hour, until ctx ends.
func (w *world) each(ctx context.Context, perHour float64, do func()) {
	for perHour > 0 {
		select {
		case <-time.After(w.pause(perHour)):
			do()
		case <-ctx.Done():
			return
		}
	}
}

// roundTimes are how long the checks took.
type roundTimes struct {
	mu  sync.Mutex
	all durations
}

func (r *roundTimes) add(round reconcile.Round) {
	if !round.All || round.Applications == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, round.Took)
}

type durations []time.Duration

// percentile is the smallest value that p of a hundred don't exceed.
func (d durations) percentile(p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
