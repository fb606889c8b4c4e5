package reconcile

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
)

// A stage is a registry and a Git server in memory, as slow as a test wants. The loop around them is the real one.
type stage struct {
	mu     sync.Mutex
	tags   map[string]string        // the newest tag by image
	slow   map[string]time.Duration // how long an image's registry takes to answer; the answer is that of the beginning
	asked  map[string]int
	pins   map[string]string // by application
	pushes map[string][]time.Time
}

func newStage() *stage {
	return &stage{tags: map[string]string{}, slow: map[string]time.Duration{}, asked: map[string]int{}, pins: map[string]string{}, pushes: map[string][]time.Time{}}
}

func (s *stage) Resolve(ctx context.Context, _ image.Application, e image.Entry) (image.Choice, error) {
	name := e.Image.Name()
	s.mu.Lock()
	s.asked[name]++
	choice, wait := image.Choice{Image: e.Image, Strategy: image.SemVer, Tag: s.tags[name]}, s.slow[name]
	s.mu.Unlock()
	pause(ctx, wait)
	return choice, ctx.Err()
}

func (s *stage) Newer(_ context.Context, _ image.Application, _ image.Entry, tag, than string) (bool, error) {
	return tag > than, nil
}

func (s *stage) Place(app image.Application, _ image.WriteBack) (image.Place, error) {
	return image.Place{RepoURL: app.RepoURL, Base: "main", Write: "main"}, nil
}

func (s *stage) Read(_ context.Context, _ image.Place, updates []image.Update, _ bool) (image.Branch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := image.Branch{Name: "main", Exists: true, Default: true, Tip: "tip", Remembered: false}
	for _, u := range updates {
		r := image.Recorded{Pins: []*image.Pin{nil}, Targets: []string{u.App.Name}}
		if tag := s.pins[u.App.Name]; tag != "" {
			r.Pins[0] = &image.Pin{Image: u.Options.Images[0].Image.Name(), Tag: tag}
		}
		b.Apps = append(b.Apps, r)
	}
	return b, nil
}

func (s *stage) Newest(_ context.Context, _ image.Place, revisions []string) (string, error) {
	return revisions[len(revisions)-1], nil
}

func (s *stage) LastWritten(context.Context, image.Place, image.Branch, image.Update) (image.History, error) {
	return image.History{Pins: []*image.Pin{nil}, Others: []*image.ForeignPin{nil}, Complete: true}, nil
}

func (s *stage) Write(_ context.Context, p image.Place, _ image.Branch, commits []image.Commit) (image.Written, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := image.Written{Errs: map[int]error{}}
	for _, c := range commits {
		s.pins[c.Update.App.Name] = c.Changes[0].To.Tag
		w.Commits = append(w.Commits, "commit")
	}
	s.pushes[p.RepoURL] = append(s.pushes[p.RepoURL], time.Now())
	return w, nil
}

func (s *stage) push(img, tag string) image.Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags[img] = tag
	host, path, _ := strings.Cut(img, "/")
	return image.Image{Registry: host, Repository: path}
}

func (s *stage) takes(img string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow[img] = d
}

func (s *stage) pinned(app string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pins[app]
}

// asks gives how often an image was asked about, and begins anew.
func (s *stage) asks(img string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked[img] = 0 }()
	return s.asked[img]
}

// run starts a loop, which ends with the test.
func (s *stage) run(t *testing.T, interval time.Duration) *Loop {
	log := logrus.New()
	log.SetOutput(io.Discard)
	l := New(Options{Store: NewMemory(), Resolver: s, Writer: s, Interval: interval, Log: log, Attempts: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l
}

// observe renders an application with an image from a repository.
func observe(l *Loop, app, repo, img string) {
	method := "git:secret:argocd/git"
	l.Observe(Hint{App: image.Application{Name: app, RepoURL: "https://git.example.com/" + repo, Revision: "tip"}, Parameters: []image.Parameter{
		{Name: "image-list", String: &img}, {Name: "write-back-method", String: &method},
	}})
}

func stateOfApp(t *testing.T, l *Loop, app string) Status {
	t.Helper()
	all := l.Status()
	i := slices.IndexFunc(all, func(s Status) bool { return s.App.Name == app })
	if i < 0 {
		t.Fatalf("no status of %s", app)
	}
	return all[i]
}

const (
	fast, other, tar = "a.example.com/team/app", "a.example.com/team/other", "tarpit.example.com/team/app"
	interval         = time.Hour
)

// What is pushed is looked at within a second, and nothing else is.
func TestPushChecksItsUsersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		img := s.push(fast, "v1")
		s.push(other, "v1")
		l := s.run(t, interval)
		observe(l, "one", "r1", fast)
		observe(l, "two", "r2", other)
		time.Sleep(time.Second)
		if one, two := s.pinned("one"), s.pinned("two"); one != "v1" || two != "v1" {
			t.Fatalf("the first pins are %s and %s", one, two)
		}
		s.asks(fast)
		s.asks(other)
		time.Sleep(DefaultDistance)

		s.push(fast, "v2")
		l.Pushed(img)
		time.Sleep(time.Second)
		if got := s.pinned("one"); got != "v2" {
			t.Errorf("a second after the push the pin is %s", got)
		}
		if n := s.asks(other); n != 0 {
			t.Errorf("the other image was asked about %d times", n)
		}
		l.Pushed(image.Image{Registry: "a.example.com", Repository: "nobody/uses"})
		time.Sleep(time.Second)
		if n := s.asks(other) + s.asks(fast); n != 1 {
			t.Errorf("a push that concerns nobody: asked %d times in all, want once, for the push before", n)
		}
	})
}

// A registry that takes minutes delays its own applications and no others: neither those of the same check, nor pushes.
func TestSlowRegistryDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		img := s.push(fast, "v1")
		s.push(tar, "v1")
		s.takes(tar, 10*time.Minute)
		l := s.run(t, interval)
		for _, app := range []string{"t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "t10", "t11", "t12", "t13", "t14", "t15", "t16", "t17"} {
			observe(l, app, "tar", tar)
		}
		observe(l, "one", "r1", fast)
		time.Sleep(time.Second)
		if got := s.pinned("one"); got != "v1" {
			t.Fatalf("the first pin is %q", got)
		}
		time.Sleep(interval + 6*time.Minute) // in the middle of the check of all
		s.push(fast, "v2")
		l.Pushed(img)
		time.Sleep(time.Second)
		if got := s.pinned("one"); got != "v2" {
			t.Errorf("a second after the push, with a check under way, the pin is %s", got)
		}
	})
}

// A check that asked before a push must not judge by what it heard when the push has been looked at meanwhile.
func TestOlderCheckGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		img := s.push(fast, "v1")
		l := s.run(t, interval)
		observe(l, "one", "r1", fast)
		time.Sleep(2 * time.Minute)
		s.takes(fast, 10*time.Minute)
		time.Sleep(interval + 4*time.Minute) // the check of all has been told v1, and waits
		s.takes(fast, 0)
		s.push(fast, "v2")
		l.Pushed(img)
		time.Sleep(time.Second)
		if got := s.pinned("one"); got != "v2" {
			t.Fatalf("the pin is %s", got)
		}
		time.Sleep(20 * time.Minute)
		if st := stateOfApp(t, l, "one"); st.State != image.Updated || s.pinned("one") != "v2" {
			t.Errorf("after the older check: %s (%s), pinned %s", st.State, st.Reason, s.pinned("one"))
		}
	})
}

// What waits for the distance between two pushes is pushed when it is over, all at once, and not at the next check of all.
func TestDistanceEndsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		a, b := s.push(fast, "v1"), s.push(other, "v1")
		l := s.run(t, interval)
		observe(l, "one", "mono", fast)
		observe(l, "two", "mono", other)
		time.Sleep(10 * time.Second)
		s.push(fast, "v2")
		l.Pushed(a)
		time.Sleep(10 * time.Second)
		s.push(other, "v2")
		l.Pushed(b)
		time.Sleep(5 * time.Second)
		if got := stateOfApp(t, l, "two"); got.State != image.Waiting || s.pinned("two") != "v1" {
			t.Errorf("within the distance: %s, pinned %s", got.State, s.pinned("two"))
		}
		time.Sleep(DefaultDistance)
		s.mu.Lock()
		pushes := slices.Clone(s.pushes["https://git.example.com/mono"])
		s.mu.Unlock()
		if one, two := s.pinned("one"), s.pinned("two"); one != "v2" || two != "v2" || len(pushes) != 2 {
			t.Fatalf("the pins are %s and %s after the pushes %v", one, two, pushes)
		}
		if d := pushes[1].Sub(pushes[0]); d < DefaultDistance || d > DefaultDistance+time.Second {
			t.Errorf("the pushes are %s apart", d)
		}
	})
}

// An application that is first seen while a check of all runs is there after it.
func TestNewcomerDuringCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.push(fast, "v1")
		s.push(tar, "v1")
		l := s.run(t, interval)
		observe(l, "one", "r1", tar)
		time.Sleep(time.Minute)
		s.takes(tar, 10*time.Minute)
		time.Sleep(interval + 5*time.Minute)
		observe(l, "new", "r2", fast)
		time.Sleep(10 * time.Minute)
		if st := stateOfApp(t, l, "new"); st.State != image.Updated {
			t.Errorf("the newcomer is %s (%s)", st.State, st.Reason)
		}
	})
}

func TestHost(t *testing.T) {
	for url, want := range map[string]string{
		"https://user@git.example.com:8443/a/b.git": "git.example.com",
		"git@git.example.com:a/b.git":               "git.example.com",
		"ssh://git@git.example.com/a":               "git.example.com",
		"/srv/git/a.git":                            "",
	} {
		if got := host(url); got != want {
			t.Errorf("the host of %s is %q, want %q", url, got, want)
		}
	}
}
