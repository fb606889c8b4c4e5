package reconcile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/redis"
	"github.com/tagpin/tagpin/test/redisserver"
)

func newRecords(t *testing.T, s *redisserver.Server, name string) *redis.Records {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	c, err := redis.Open(redis.Options{Server: s.Addr(), Password: redisserver.Password, Prefix: redis.DefaultPrefix, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.Records(name, time.Hour, MaxRecords)
}

func replica(t *testing.T, s *redisserver.Server) *Shared {
	t.Helper()
	return NewShared(newRecords(t, s, "applications"), time.Hour, func() {})
}

func seen(app, list, revision string) Hint {
	return Hint{
		App:        image.Application{Name: app, RepoURL: "https://git.example.com/demo.git", Path: app, Revision: revision},
		Parameters: []image.Parameter{{Name: "image-list", String: &list}}, Seen: time.Now(),
	}
}

// sees waits until a replica knows these applications, as name@revision, and no other.
func (s *Shared) sees(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		hints, err := s.Hints(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = got[:0]
		for _, h := range hints {
			got = append(got, h.App.Name+"@"+h.App.Revision)
		}
		if slices.Sort(got); slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("it knows %v, want %v", got, want)
}

func (s *Shared) add(t *testing.T, hints ...Hint) {
	t.Helper()
	if err := s.Add(t.Context(), hints...); err != nil {
		t.Fatal(err)
	}
}

func TestShared(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	a, b := replica(t, s), replica(t, s)
	a.add(t, seen("one", "x/one", "r1"), seen("two", "x/two", "r1"))
	b.sees(t, "one@r1", "two@r1")
	b.add(t, seen("one", "x/one", "r2"))
	a.sees(t, "one@r2", "two@r1")
	b.add(t, seen("one", "x/other", "r3")) // other parameters: a check settles which count
	a.sees(t, "one@r2", "one@r3", "two@r1")
	if err := a.Forget(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	b.sees(t, "two@r1")
	b.add(t, seen("one", "x/one", "r4")) // it is rendered again
	a.sees(t, "one@r4", "two@r1")

	// A replica that comes later knows all at once, and no other application is new to one that knew it.
	late := replica(t, s)
	late.sees(t, "one@r4", "two@r1")
	a.add(t, seen("three", "x/three", "r1"))
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if fresh := late.Sync(t.Context()); len(fresh) == 1 && fresh[0].App.Name == "three" {
			break
		} else if len(fresh) > 0 || time.Now().After(end) {
			t.Fatalf("new is %v", fresh)
		}
	}
}

// What happened while Redis was away is known to all when it is back, and so is what it has lost.
func TestSharedOutages(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	for i, outage := range []struct {
		name       string
		begin, end func()
	}{
		{"killed", s.Kill, s.Start},
		{"paused", s.Pause, s.Resume},
		{"flushed", s.Flush, func() {}},
		{"garbage", s.Garbage, func() {}},
	} {
		t.Run(outage.name, func(t *testing.T) {
			a, b := replica(t, s), replica(t, s)
			a.add(t, seen("one", "x/one", "r1"))
			b.sees(t, "one@r1")
			outage.begin()
			a.add(t, seen("two", "x/two", "r1"))
			a.sees(t, "one@r1", "two@r1") // by itself
			b.add(t, seen("one", "x/one", fmt.Sprintf("r%d", i+2)))
			outage.end()
			for range 50 { // each at its own checks
				a.Sync(t.Context())
				b.Sync(t.Context())
				time.Sleep(time.Duration(a.Unwritten()+b.Unwritten()) * 100 * time.Millisecond)
			}
			a.sees(t, fmt.Sprintf("one@r%d", i+2), "two@r1")
			b.sees(t, fmt.Sprintf("one@r%d", i+2), "two@r1")
			replica(t, s).sees(t, fmt.Sprintf("one@r%d", i+2), "two@r1")
			s.Flush()
		})
	}
}

// What others write counts only as what it can be: a hint, under its own id, of now at the latest.
func TestSharedForged(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	a := replica(t, s)
	a.add(t, seen("one", "x/one", "r1"))
	if a.Unwritten() != 0 {
		t.Fatal("nothing was written")
	}
	records := newRecords(t, s, "applications")
	future := seen("future", "x/y", "r1")
	future.Seen = time.Now().Add(1000 * time.Hour)
	genuine := recordOf(future).String()
	for id, text := range map[string]string{
		"aaaa.bbbb": `{"App":{"Name":"forged"}}`,
		"cccc.dddd": `garbage`,
		"eeee.ffff": `{"App":{"Name":"` + strings.Repeat("x", maxHint) + `"}}`,
		genuine: `{"App":{"Name":"future","RepoURL":"https://git.example.com/demo.git","Path":"future","Revision":"r1"},
			"Parameters":[{"name":"image-list","string":"x/y"}],"Seen":"` + future.Seen.Format(time.RFC3339) + `"}`,
	} {
		if _, err := records.Put(t.Context(), map[string][]byte{id: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	a.sees(t, "future@r1", "one@r1")
	hints, _ := a.Some(t.Context(), []image.Application{future.App})
	if len(hints) != 1 || hints[0].Seen.After(time.Now()) {
		t.Errorf("seen in the future: %+v", hints)
	}
}

// No credential and no value goes to Redis.
func TestSharedSecrets(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	a, b := replica(t, s), replica(t, s)
	h := seen("one", "x/one", "r1")
	h.App.RepoURL = "https://robot:Canary-token@git.example.com/demo.git"
	values := "password: Canary"
	h.Parameters = append(h.Parameters, image.Parameter{Name: "helm.values", String: &values})
	h.Env = map[string]string{"PASSWORD": "Canary", "WRITE_BACK_METHOD": "none"}
	a.add(t, h)
	b.sees(t, "one@r1")
	dump := ""
	for _, key := range s.Keys("*") {
		dump += key + fmt.Sprint(s.Do("DUMP", key))
	}
	if strings.Contains(dump, "Canary") || !strings.Contains(dump, "git.example.com") {
		t.Errorf("in Redis there is %q", dump)
	}
	hints, _ := b.Hints(t.Context())
	if got := hints[0]; !strings.Contains(got.App.RepoURL, "@git.example.com") || len(got.Env) != 1 {
		t.Errorf("the other replica knows %+v", got) // the URL stays one that is refused
	}
}

func TestBoard(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	a, b := NewBoard(newRecords(t, s, "status"), "a"), NewBoard(newRecords(t, s, "status"), "b")
	observer := NewBoard(newRecords(t, s, "status"), "c")
	status := func(app string, state image.State, age time.Duration, err error) Status {
		return Status{App: image.Application{Name: app}, State: state, Checked: time.Now().Add(-age), Elsewhere: errors.Is(err, image.ErrElsewhere)}
	}
	own := []Status{status("lent", image.UpToDate, time.Minute, nil), status("moved", image.Updated, time.Minute, nil)}
	for range 20 { // a busy machine may take Redis for away
		a.post(t.Context(), own)
		b.post(t.Context(), []Status{status("lent", image.Refused, 0, image.ErrElsewhere), status("moved", image.UpToDate, 0, nil), status("other", image.Held, 0, nil)})
		if len(observer.Status(t.Context(), nil)) == 3 && len(a.Status(t.Context(), own)) == 3 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for name, all := range map[string][]Status{"observer": observer.Status(t.Context(), nil), "a": a.Status(t.Context(), own)} {
		got := ""
		for _, s := range all {
			got += fmt.Sprintf("%s %s by %s\n", s.App.Name, s.State, s.Updater)
		}
		if want := "lent up-to-date by a\nmoved up-to-date by b\nother held by b\n"; got != want {
			t.Errorf("%s shows\n%swant\n%s", name, got, want)
		}
	}
	s.Kill()
	if all := a.Status(t.Context(), own); len(all) != 2 {
		t.Errorf("alone it shows %v", all)
	}
	s.Start()
}
