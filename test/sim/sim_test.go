package sim

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/tagpin/tagpin/image"
)

// A result is what a simulation found.
type result struct {
	fleet
	git              counts
	requests, failed int
	checks           durations
	heap             uint64 // bytes in use at the end, all replicas and the simulated servers together
	goroutines       int    // that the loops left over after hours of work
	took             time.Duration
}

// The parts of a simulation: the first renders and pins, which aren't counted; what is counted; and the time in which the last
// tags are pinned.
const (
	warmUp   = 30 * time.Minute
	coolDown = 15 * time.Minute
)

// simulate runs a fleet and checks at the end that every pin is the newest tag.
func simulate(t *testing.T, f fleet) result {
	t.Helper()
	w := newWorld(t, f)
	replicas := w.open(t)
	r := result{fleet: f}
	begin := time.Now()
	synctest.Test(t, func(t *testing.T) { w.run(t, replicas, &r) })
	r.took = time.Since(begin)
	for _, a := range w.all {
		want, got := a.shelf.newest(), w.git.pin(a.RepoURL, a.Name, w.git.tip(a.RepoURL))
		if got != want {
			t.Errorf("%s is pinned to %s, the newest tag is %s", a.Name, tagOf(got), tagOf(want))
		}
	}
	return r
}

func (w *world) run(t *testing.T, replicas []*replica, r *result) {
	ctx, cancel := context.WithCancel(t.Context())
	wait := w.start(ctx, replicas)
	w.git.written = func(commits []image.Commit, tip int) { w.rollOut(ctx, commits, tip, replicas) }
	for _, a := range w.all {
		w.render(a, revision(w.git.tip(a.RepoURL)), replicas)
	}
	time.Sleep(warmUp)
	before := runtime.NumGoroutine()
	w.forget()

	busy, quiet := context.WithTimeout(ctx, time.Duration(w.hours*float64(time.Hour)))
	go w.each(busy, w.pushes, func() { w.push(replicas) })
	go w.each(busy, w.commits, func() { w.git.commit(w.all[w.n(len(w.all))].RepoURL) })
	<-busy.Done()
	w.read(r)
	time.Sleep(coolDown)
	quiet()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.heap, r.goroutines = m.HeapInuse, runtime.NumGoroutine()-before
	cancel()
	wait()
	time.Sleep(time.Hour) // what waits ends
}

// push adds a tag to an image. If the registry announces it, all replicas hear of it.
func (w *world) push(replicas []*replica) {
	s := w.shelves[w.n(len(w.shelves))]
	s.push()
	if w.upTo(time.Second).Seconds() >= w.announced {
		return
	}
	go func() {
		for _, r := range replicas {
			img := image.Image{Registry: s.host, Repository: s.path}
			r.registries.MarkStale(img)
			r.Pushed(img)
		}
	}()
}

// rollOut is Argo CD's part: within two minutes it sees the commits and renders the applications that they are about
// (manifest-generate-paths leaves the others out).
func (w *world) rollOut(ctx context.Context, commits []image.Commit, tip int, replicas []*replica) {
	seen := w.upTo(2 * time.Minute)
	go func() {
		select {
		case <-time.After(seen):
		case <-ctx.Done():
			return
		}
		for _, c := range commits {
			w.render(w.named[c.Update.App.Name], revision(tip), replicas)
		}
	}()
}

// forget begins to count.
func (w *world) forget() {
	w.requests.Store(0)
	w.failed.Store(0)
	w.git.mu.Lock()
	defer w.git.mu.Unlock()
	w.git.counts = counts{}
	w.checks.mu.Lock()
	defer w.checks.mu.Unlock()
	w.checks.all = nil
	w.lags.mu.Lock()
	defer w.lags.mu.Unlock()
	w.lags.all = nil
}

// read takes what was counted.
func (w *world) read(r *result) {
	r.requests, r.failed = int(w.requests.Load()), int(w.failed.Load())
	w.git.mu.Lock()
	defer w.git.mu.Unlock()
	r.git = w.git.counts
	w.checks.mu.Lock()
	defer w.checks.mu.Unlock()
	r.checks = w.checks.all
}

// small is an installation as most are.
func small() fleet {
	return fleet{
		name: "small", apps: 10, repos: 2, images: 5, registries: 1, replicas: 1, tags: 20, pushes: 5, commits: 2,
		latency: 50 * time.Millisecond, limit: 20, hours: 4, seed: 1,
	}
}

// large are the fleets of docs/scale.md.
func large() []fleet {
	s := small()
	s.failures = .001
	m := fleet{
		name: "middle", apps: 1000, repos: 50, images: 200, registries: 2, replicas: 2, tags: 100, pushes: 100, commits: 50,
		failures: .001, latency: 50 * time.Millisecond, limit: 20, hours: 2, seed: 1,
	}
	l := m
	l.name, l.apps, l.repos, l.images, l.registries, l.replicas, l.pushes, l.commits, l.hours = "large", 10_000, 500, 2000, 4, 3, 1000, 500, 1
	hooked := l
	hooked.name, hooked.announced = "large, with webhooks", 1
	busy := hooked
	busy.name, busy.pushes = "large, with webhooks, a push each second", 3600
	one := l
	one.name, one.registries = "large, one registry that allows 20 requests a second", 1
	outage := l
	outage.name, outage.failures = "large, a tenth of all requests fails", .1
	return []fleet{s, m, l, hooked, busy, one, outage}
}

// TestSmallFleet keeps the loop right, and the simulator with it.
func TestSmallFleet(t *testing.T) {
	f := small()
	f.failures, f.replicas, f.announced = .05, 2, .5
	r := simulate(t, f)
	if len(r.git.staleness) == 0 || r.git.pushes == 0 || r.failed == 0 {
		t.Errorf("nothing happened: %+v", r)
	}
	if p := r.git.staleness.percentile(99); p > 15*time.Minute {
		t.Errorf("one of a hundred tags is pinned %s after its push, or later", p)
	}
	if r.goroutines > 10 {
		t.Errorf("%d goroutines were left over", r.goroutines)
	}
}

var (
	full = flag.Bool("sim", false, "simulate the fleets of docs/scale.md, or the one that the other flags describe")
	only = flag.String("fleet", "", "the name of the fleet to simulate, with the values of the other flags in it")
	set  = map[string]*float64{
		"apps": flag.Float64("apps", 0, "applications"), "repos": flag.Float64("repos", 0, "Git repositories"),
		"images": flag.Float64("images", 0, "images"), "registries": flag.Float64("registries", 0, "registries"),
		"replicas": flag.Float64("replicas", 0, "replicas"), "pushes": flag.Float64("pushes", -1, "pushed images an hour"),
		"announced": flag.Float64("announced", -1, "the part of the pushes that webhooks announce"),
		"failures":  flag.Float64("failures", -1, "the part of the requests that fail"), "limit": flag.Float64("limit", 0, "requests a second"),
		"hours": flag.Float64("hours", 0, "simulated hours"),
	}
)

// TestSimulate is make sim.
func TestSimulate(t *testing.T) {
	if !*full {
		return
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(out, "| fleet | applications, repositories, images, replicas | registry requests/min | Git reads, pushes/min | median staleness | p99 | greatest | check of all, p99 | heap | took |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|")
	for _, f := range large() {
		if *only == "" || *only == f.name {
			simulate(t, f.with(set)).row(out)
		}
	}
	out.Flush()
}

// with changes what flags say.
func (f fleet) with(flags map[string]*float64) fleet {
	for name, field := range map[string]*int{
		"apps": &f.apps, "repos": &f.repos, "images": &f.images, "registries": &f.registries, "replicas": &f.replicas, "limit": &f.limit,
	} {
		if v := *flags[name]; v > 0 {
			*field = int(v)
		}
	}
	for name, field := range map[string]*float64{"pushes": &f.pushes, "announced": &f.announced, "failures": &f.failures} {
		if v := *flags[name]; v >= 0 {
			*field = v
		}
	}
	if v := *flags["hours"]; v > 0 {
		f.hours = v
	}
	return f
}

func (r result) row(out io.Writer) {
	perMinute := func(n int) string { return fmt.Sprintf("%.1f", float64(n)/r.hours/60) }
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
	fmt.Fprintf(out, "| %s | %d, %d, %d, %d | %s | %s, %s | %v | %v | %v | %v | %d MiB | %v |\n", r.name, r.apps, r.repos, r.images, r.replicas,
		perMinute(r.requests), perMinute(r.git.reads), perMinute(r.git.pushes), round(r.git.staleness.percentile(50)), round(r.git.staleness.percentile(99)),
		round(r.git.staleness.percentile(100)), round(r.checks.percentile(99)), r.heap>>20, r.took.Round(time.Second))
}
