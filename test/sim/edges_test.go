package sim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tagpin/tagpin/image"
)

// A shelf is one repository of a registry: tags 1.0.0 to 1.0.n.
type shelf struct {
	host, path string
	mu         sync.Mutex
	pushed     []time.Time // when 1.0.i was; zero for those of the beginning
}

func newShelf(host, path string, tags int) *shelf {
	return &shelf{host: host, path: path, pushed: slices.Repeat([]time.Time{{}}, tags)}
}

func tagOf(i int) string { return fmt.Sprintf("1.0.%d", i) }

// numberOf is i of 1.0.i; -1 for no tag.
func numberOf(tag string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(tag, "1.0."))
	if err != nil {
		return -1
	}
	return n
}

func (s *shelf) push() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushed = append(s.pushed, time.Now())
}

// newest is the number of the last tag.
func (s *shelf) newest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pushed) - 1
}

func (s *shelf) list() []byte {
	tags := make([]string, s.newest()+1)
	for i := range tags {
		tags[i] = tagOf(i)
	}
	data, _ := json.Marshal(map[string]any{"name": s.path, "tags": tags})
	return data
}

// since are the times for which the tags after old, up to now, have waited.
func (s *shelf) since(old, now int) (waited durations) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := old + 1; i <= now; i++ {
		if at := s.pushed[i]; !at.IsZero() {
			waited = append(waited, time.Since(at))
		}
	}
	return waited
}

// wrap is the network: it answers for all registries.
func (w *world) wrap(http.RoundTripper) http.RoundTripper { return network{w} }

type network struct{ w *world }

func (n network) RoundTrip(req *http.Request) (*http.Response, error) {
	n.w.delay(req.Context(), n.w.latency)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	status, body := http.StatusOK, []byte("{}")
	switch path := req.URL.Path; {
	case n.w.fails():
		status = http.StatusServiceUnavailable
	case strings.HasSuffix(path, "/tags/list"):
		repository := strings.TrimSuffix(strings.TrimPrefix(path, "/v2/"), "/tags/list")
		i, err := strconv.Atoi(repository[len(repository)-4:])
		if err != nil {
			return nil, err
		}
		body = n.w.shelves[i].list()
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: req}, nil
}

// A remote is all Git repositories.
type remote struct {
	w       *world
	mu      sync.Mutex
	repos   map[string]*repository
	written func(commits []image.Commit, tip int)
	counts
}

// counts are what was asked of Git, and for how long the tags had waited that were pinned.
type counts struct {
	reads, pushes, overtaken int
	staleness                durations
}

// A repository is a branch: the number of its last commit, and what each commit pinned.
type repository struct {
	tip  int
	pins map[string][]pinned // by application
}

type pinned struct{ commit, tag int }

func newRemote(w *world) *remote { return &remote{w: w, repos: map[string]*repository{}} }

func (r *remote) repo(url string) *repository {
	if r.repos[url] == nil {
		r.repos[url] = &repository{tip: 1, pins: map[string][]pinned{}}
	}
	return r.repos[url]
}

// commit is a person's.
func (r *remote) commit(url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo(url).tip++
}

func (r *remote) tip(url string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.repo(url).tip
}

// pin is an application's at a commit; -1 for none.
func (r *remote) pin(url, app string, commit int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	tag := -1
	for _, p := range r.repo(url).pins[app] {
		if p.commit <= commit {
			tag = p.tag
		}
	}
	return tag
}

func revision(commit int) string { return strconv.Itoa(commit) }

// A writer is one replica's way to Git. Like the real one it remembers where branches were.
type writer struct {
	git  *remote
	mu   sync.Mutex
	tips map[string]int
}

func newWriter(git *remote) *writer { return &writer{git: git, tips: map[string]int{}} }

func (w *writer) Place(app image.Application, _ image.WriteBack) (image.Place, error) {
	return image.Place{RepoURL: app.RepoURL, Base: "main", Write: "main", Named: true}, nil
}

var errGit = errors.New("git failed")

// ask is a request to the server.
func (w *writer) ask(ctx context.Context) error {
	w.git.w.delay(ctx, 10*w.git.w.latency)
	if w.git.w.fails() {
		return errGit
	}
	return ctx.Err()
}

func (w *writer) remember(url string, tip int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tips[url] = tip
}

func (w *writer) Read(ctx context.Context, p image.Place, updates []image.Update, fresh bool) (image.Branch, error) {
	w.mu.Lock()
	tip, known := w.tips[p.RepoURL]
	w.mu.Unlock()
	remembered := known && !fresh
	if !remembered {
		w.git.mu.Lock()
		w.git.reads++
		w.git.mu.Unlock()
		if err := w.ask(ctx); err != nil {
			return image.Branch{}, err
		}
		tip = w.git.tip(p.RepoURL)
		w.remember(p.RepoURL, tip)
	}
	b := image.Branch{Name: "main", Exists: true, Default: true, Tip: revision(tip), Remembered: remembered}
	for _, u := range updates {
		r := image.Recorded{Pins: []*image.Pin{nil}, Targets: []string{u.App.Path}}
		if tag := w.git.pin(p.RepoURL, u.App.Name, tip); tag >= 0 {
			r.Pins[0] = &image.Pin{Image: u.Options.Images[0].Image.Name(), Tag: tagOf(tag)}
		}
		b.Apps = append(b.Apps, r)
	}
	return b, nil
}

func (w *writer) Newest(_ context.Context, _ image.Place, revisions []string) (string, error) {
	return slices.MaxFunc(revisions, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }), nil
}

// LastWritten tells that all pins are tagpin's.
func (w *writer) LastWritten(_ context.Context, p image.Place, b image.Branch, u image.Update) (image.History, error) {
	h := image.History{Pins: []*image.Pin{nil}, Others: []*image.ForeignPin{nil}, Complete: true}
	tip, err := strconv.Atoi(b.Tip)
	if tag := w.git.pin(p.RepoURL, u.App.Name, tip); tag >= 0 {
		h.Pins[0] = &image.Pin{Image: u.Options.Images[0].Image.Name(), Tag: tagOf(tag)}
	}
	return h, err
}

func (w *writer) Write(ctx context.Context, p image.Place, b image.Branch, commits []image.Commit) (image.Written, error) {
	if err := w.ask(ctx); err != nil {
		return image.Written{}, err
	}
	r := w.git
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pushes++
	repo := r.repo(p.RepoURL)
	if revision(repo.tip) != b.Tip {
		r.overtaken++
		w.remember(p.RepoURL, repo.tip)
		return image.Written{Moved: true}, nil
	}
	done := image.Written{Errs: map[int]error{}}
	for _, c := range commits {
		repo.tip++
		r.pinned(repo, c)
		done.Commits = append(done.Commits, revision(repo.tip))
	}
	w.remember(p.RepoURL, repo.tip)
	r.written(commits, repo.tip)
	return done, nil
}

// pinned notes a commit and how long its tags had waited. The caller holds mu.
func (r *remote) pinned(repo *repository, c image.Commit) {
	app := c.Update.App.Name
	history := repo.pins[app]
	tag := numberOf(c.Changes[0].To.Tag)
	if n := len(history); n > 0 { // the first pin is no update
		r.staleness = append(r.staleness, r.w.named[app].shelf.since(history[n-1].tag, tag)...)
		history = history[max(0, n-3):] // nobody reads older commits
	}
	repo.pins[app] = append(history, pinned{repo.tip, tag})
}

// records are what Redis holds for all replicas.
type records struct {
	mu      sync.Mutex
	changes []change
	all     map[string][]byte
}

type change struct {
	id   string
	data []byte
}

func newRecords() *records { return &records{all: map[string][]byte{}} }

func (r *records) Put(_ context.Context, put map[string][]byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, data := range put {
		r.changes = append(r.changes, change{id, data})
		if r.all[id] = data; data == nil {
			delete(r.all, id)
		}
	}
	return 0, nil
}

func (r *records) Since(_ context.Context, after string) (map[string][]byte, bool, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := strconv.Itoa(len(r.changes))
	if after == "" {
		return maps.Clone(r.all), true, next, nil
	}
	from, err := strconv.Atoi(after)
	if err != nil {
		return nil, false, "", err
	}
	some := map[string][]byte{}
	for _, c := range r.changes[from:] {
		some[c.id] = c.data
	}
	return some, false, next, nil
}

// share divides the repositories evenly.
type share struct{ i, of int }

func (s share) Share(context.Context) func(string) bool {
	return func(url string) bool {
		n, err := strconv.Atoi(url[len(url)-len("000.git") : len(url)-len(".git")])
		return err != nil || n%s.of == s.i
	}
}
