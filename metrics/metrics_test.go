package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/registry"
)

// canary may be in no metric: tests put it wherever a secret, a tag or an error's text can be.
const canary = "Canary"

// A loop stands still.
type loop struct {
	statuses []reconcile.Status
	backlog  reconcile.Backlog
}

func (l *loop) Status() []reconcile.Status { return l.statuses }
func (l *loop) Backlog() reconcile.Backlog { return l.backlog }

// registries have one cache, which is used a little.
type registries struct {
	tags *cache.Cache[string]
	conf error
}

func (r *registries) Caches() map[string]registry.Counted {
	return map[string]registry.Counted{"tags": r.tags, "digests": shared{}}
}

// A shared cache was asked nine times: four answers were in memory, three in Redis.
type shared struct{}

func (shared) Stats() cache.Stats { return cache.Stats{Hits: 4, Misses: 5, Shared: 3, Loads: 2} }
func (shared) Len() int           { return 0 }

func (r *registries) ConfProblem() error { return r.conf }

func load() (working, waiting int) { return 2, 5 }

// complete is Metrics with everything that can be exported.
func complete(l *loop, r *registries) *Metrics {
	m := New("v1.2.3")
	m.ReadLoad(load)
	m.ReadLoop(l)
	m.ReadRegistries(r)
	return m
}

func newRegistries() *registries {
	return &registries{tags: cache.New[string](cache.Options{TTL: time.Hour})}
}

// scrape is what Prometheus gets.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	status, body := get(t, m.Handler(func(context.Context) error { return nil }, &logged{}), "/metrics")
	if status != http.StatusOK {
		t.Fatalf("HTTP %d: %s", status, body)
	}
	return body
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

type logged struct{ bytes.Buffer }

func (l *logged) Println(v ...any) { fmt.Fprintln(&l.Buffer, v...) }

// want finds lines in what Prometheus gets.
func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			t.Errorf("no line %s; there are\n%s", line, grep(text, name))
		}
	}
}

func grep(text, part string) string {
	var found strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			found.WriteString(line)
		}
	}
	return found.String()
}

func TestRenders(t *testing.T) {
	m := complete(&loop{}, newRegistries())
	m.Render(Render{Job: "manifests", Bytes: 1000, Queued: time.Second, Staged: 2 * time.Second, Took: 4 * time.Second})
	m.Render(Render{Job: "manifests", Bytes: 10, Failed: true, Took: time.Second})
	m.Render(Render{Job: "parameters", Failed: true, Late: true, Took: time.Minute})
	m.Timed(Template)()
	want(t, scrape(t, m),
		`tagpin_renders_total{job="manifests",outcome="ok"} 1`, `tagpin_renders_total{job="manifests",outcome="error"} 1`,
		`tagpin_renders_total{job="parameters",outcome="late"} 1`, `tagpin_received_bytes_total{job="manifests"} 1010`,
		`tagpin_render_seconds_sum{job="manifests"} 5`, `tagpin_render_phase_seconds_sum{phase="queue"} 1`,
		`tagpin_render_phase_seconds_sum{phase="receive"} 2`, `tagpin_render_phase_seconds_count{phase="render"} 1`,
		`tagpin_renders{state="working"} 2`, `tagpin_renders{state="waiting"} 5`, `tagpin_build_info{version="v1.2.3"} 1`)
}

func TestRegistries(t *testing.T) {
	r := newRegistries()
	r.conf = errors.New(canary)
	for range 3 {
		if _, _, err := r.tags.GetOrLoad(t.Context(), "key", func(context.Context) (string, error) { return canary, nil }); err != nil {
			t.Fatal(err)
		}
	}
	_, _, _ = r.tags.GetOrLoad(t.Context(), "other", func(context.Context) (string, error) { return "", errors.New(canary) })
	m := complete(&loop{}, r)
	named := registry.Attempt{Registry: "r.example.com", Named: true, Kind: registry.KindTags, Sent: true, Status: 200, Took: time.Second}
	m.Attempt(named)
	for _, status := range []int{0, 307, 401, 403, 404, 418, 429, 503} {
		a := named
		a.Status = status
		m.Attempt(a)
	}
	named.Sent, named.Status, named.Waited, named.Took = false, 0, 2*time.Second, 0
	m.Attempt(named)
	text := scrape(t, m)
	for outcome, n := range map[string]int{"ok": 2, "no-answer": 1, "unauthorized": 1, "denied": 1, "absent": 1, "refused": 1, "throttled": 1, "broken": 1, "no-turn": 1} {
		want(t, text, fmt.Sprintf(`tagpin_registry_requests_total{host="r.example.com",kind="tags",outcome=%q} %d`, outcome, n))
	}
	want(t, text, `tagpin_registry_delayed_total{host="r.example.com"} 1`, `tagpin_registry_delay_seconds_total{host="r.example.com"} 2`,
		`tagpin_registry_request_seconds_count{host="r.example.com"} 9`,
		`tagpin_cache_hits_total{cache="tags",level="memory"} 2`, `tagpin_cache_hits_total{cache="digests",level="redis"} 3`, `tagpin_cache_misses_total{cache="digests"} 2`, `tagpin_cache_misses_total{cache="tags"} 2`, `tagpin_cache_entries{cache="tags"} 1`,
		`tagpin_cache_loads_total{cache="tags",outcome="ok"} 1`, `tagpin_cache_loads_total{cache="tags",outcome="error"} 1`,
		`tagpin_registries_conf_broken 1`)
	if strings.Contains(text, canary) {
		t.Errorf("a secret is in %s", grep(text, canary))
	}
}

// However many hosts applications name, the number of time series is bounded, and the operator's own registries are told apart.
func TestHostsAreBounded(t *testing.T) {
	m := complete(&loop{}, newRegistries())
	for i := range 10 * maxHosts {
		m.Attempt(registry.Attempt{Registry: fmt.Sprintf("h%d.example.com", i), Kind: registry.KindPing, Sent: true})
	}
	m.Attempt(registry.Attempt{Registry: "ours.example.com", Named: true, Kind: registry.KindPing, Sent: true})
	text := scrape(t, m)
	want(t, text, `tagpin_registry_requests_total{host="ours.example.com",kind="ping",outcome="no-answer"} 1`,
		fmt.Sprintf(`tagpin_registry_requests_total{host="other",kind="ping",outcome="no-answer"} %d`, 9*maxHosts))
	if n := strings.Count(text, "\ntagpin_registry_requests_total{"); n != maxHosts+2 {
		t.Errorf("%d time series", n)
	}
}

func TestLoop(t *testing.T) {
	l := &loop{backlog: reconcile.Backlog{Observations: 3, Due: 4, Oldest: time.Now().Add(-time.Minute)}}
	add := func(app, path string, state image.State) {
		l.statuses = append(l.statuses, reconcile.Status{
			App: image.Application{Name: app, Path: path, RepoURL: "https://me:" + canary + "@git.example.com/x"}, State: state, Reason: canary,
			Images: []reconcile.ImageStatus{{Image: "i", Choice: canary, Pinned: canary, Reason: canary, State: state}},
		})
	}
	for i, state := range image.States() {
		add(fmt.Sprintf("app%d", i), "", state)
	}
	add("twice", "a", image.Refused)
	add("twice", "b", image.Refused)
	text := scrape(t, complete(l, newRegistries()))
	want(t, text, `tagpin_applications{state="refused"} 3`, `tagpin_applications{state="up-to-date"} 1`, `tagpin_held_pins 1`,
		`tagpin_application_blocked{app="twice",reason="refused"} 1`,
		`tagpin_update_queue{queue="observations"} 3`, `tagpin_update_queue{queue="due"} 4`)
	for i, state := range image.States() {
		line := fmt.Sprintf(`tagpin_application_blocked{app="app%d",reason=%q} 1`, i, state)
		if got := strings.Contains(text, line); got != state.Stops() {
			t.Errorf("%s is told as blocked: %v", state, got)
		}
	}
	if age := grep(text, "tagpin_oldest_check_age_seconds 6"); age == "" {
		t.Errorf("no age of a minute: %s", grep(text, "tagpin_oldest_check_age_seconds"))
	}
	if strings.Contains(text, canary) {
		t.Errorf("more than names is in %s", grep(text, canary))
	}
}

func TestBlockedApplicationsAreBounded(t *testing.T) {
	l := &loop{}
	for i := range maxBlocked + 10 {
		l.statuses = append(l.statuses, reconcile.Status{App: image.Application{Name: fmt.Sprint(i)}, State: image.NoChoice})
	}
	text := scrape(t, complete(l, newRegistries()))
	if n := strings.Count(text, "\ntagpin_application_blocked{"); n != maxBlocked {
		t.Errorf("%d time series, want %d", n, maxBlocked)
	}
	want(t, text, fmt.Sprintf(`tagpin_applications{state="no-choice"} %d`, maxBlocked+10))
}

type answers struct {
	choice image.Choice
	err    error
}

func (a answers) Resolve(context.Context, image.Application, image.Entry) (image.Choice, error) {
	return a.choice, a.err
}

func TestChoices(t *testing.T) {
	m := complete(&loop{}, newRegistries())
	e := image.Entry{Policy: image.Policy{Strategy: image.SemVer}}
	for _, a := range []answers{
		{choice: image.Choice{Tag: canary}}, {choice: image.Choice{}}, {choice: image.Choice{Tag: canary, Stale: time.Hour}}, {err: errors.New(canary)},
	} {
		if choice, err := m.Resolver(a).Resolve(t.Context(), image.Application{Name: canary}, e); choice.Tag != a.choice.Tag || !errors.Is(err, a.err) {
			t.Errorf("the choice became %+v, %v", choice, err)
		}
	}
	text := scrape(t, m)
	for _, outcome := range []string{"chosen", "none", "stale", "failed"} {
		want(t, text, fmt.Sprintf(`tagpin_choices_total{outcome=%q,strategy="semver"} 1`, outcome))
	}
	want(t, text, `tagpin_choice_seconds_count{strategy="semver"} 4`)
	if strings.Contains(text, canary) {
		t.Errorf("more than names is in %s", grep(text, canary))
	}
}

// A git answers pushes with what it was given.
type git struct {
	reconcile.Writer
	written image.Written
	err     error
}

func (g git) Write(context.Context, image.Place, image.Branch, []image.Commit) (image.Written, error) {
	return g.written, g.err
}

func TestPushes(t *testing.T) {
	m := complete(&loop{}, newRegistries())
	commits := []image.Commit{
		{Changes: []image.Change{{Strategy: image.SemVer, To: image.Pin{Tag: canary}}, {Strategy: image.Digest}}},
		{Changes: []image.Change{{Strategy: image.SemVer}}},
	}
	for _, g := range []git{
		{written: image.Written{Commits: []string{canary, ""}}},
		{written: image.Written{Commits: []string{"a", "b"}, Branches: []string{canary, canary}}},
		{written: image.Written{Commits: []string{"", ""}}},
		{written: image.Written{Moved: true}},
		{written: image.Written{Refused: canary}},
		{err: errors.New(canary)},
	} {
		if _, err := m.Writer(g).Write(t.Context(), image.Place{RepoURL: canary}, image.Branch{}, commits); !errors.Is(err, g.err) {
			t.Errorf("the error became %v", err)
		}
	}
	text := scrape(t, m)
	want(t, text, `tagpin_pushes_total{outcome="pushed"} 2`, `tagpin_pushes_total{outcome="nothing"} 1`, `tagpin_pushes_total{outcome="overtaken"} 1`,
		`tagpin_pushes_total{outcome="refused"} 1`, `tagpin_pushes_total{outcome="failed"} 1`,
		`tagpin_pins_total{strategy="semver",way="commit"} 1`, `tagpin_pins_total{strategy="digest",way="commit"} 1`,
		`tagpin_pins_total{strategy="semver",way="proposal"} 2`)
	if strings.Contains(text, canary) {
		t.Errorf("more than names is in %s", grep(text, canary))
	}
}

func TestHealth(t *testing.T) {
	problem, log := error(nil), &logged{}
	h := New("v1").Handler(func(context.Context) error { return problem }, log)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, h, path); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: HTTP %d %q", path, status, body)
		}
	}
	problem = errors.New("the reason, with a " + canary)
	if status, body := get(t, h, "/readyz"); status != http.StatusServiceUnavailable || strings.Contains(body, canary) {
		t.Errorf("/readyz: HTTP %d %q", status, body)
	}
	if !strings.Contains(log.String(), "the reason") {
		t.Errorf("the log says %q", log)
	}
	if status, _ := get(t, h, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: HTTP %d, although the process answers", status)
	}
	for _, path := range []string{"/", "/debug/pprof/", "/debug/pprof/heap"} {
		if status, _ := get(t, h, path); status != http.StatusNotFound {
			t.Errorf("%s: HTTP %d on the port of metrics", path, status)
		}
	}
}
