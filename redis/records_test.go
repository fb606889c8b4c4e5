package redis

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/redisserver"
)

// A reader follows records as tests do.
type reader struct {
	*Records
	at   string
	have map[string]string
	// whole counts how often everything was read.
	whole int
}

func (r *reader) follow(t *testing.T) map[string]string {
	t.Helper()
	var changes map[string][]byte
	var whole bool
	eventually(t, "records can be read", func() (ok bool) {
		var next string
		var err error
		if changes, whole, next, err = r.Since(t.Context(), r.at); err != nil {
			return false
		}
		r.at = next
		return true
	})
	if whole {
		r.have = map[string]string{}
		r.whole++
	}
	for id, value := range changes {
		if value == nil {
			delete(r.have, id)
			continue
		}
		r.have[id] = string(value)
	}
	return r.have
}

func (r *reader) write(t *testing.T, records map[string][]byte) {
	t.Helper()
	eventually(t, "records can be written", func() bool { _, err := r.Put(t.Context(), records); return err == nil })
}

func TestRecords(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	c, _ := open(t, s, nil)
	a := &reader{Records: c.Records("applications", time.Hour, 1000)}
	b := &reader{Records: c.Records("applications", time.Hour, 1000)}
	if got := a.follow(t); len(got) != 0 {
		t.Errorf("from the beginning there are %v", got)
	}
	many := map[string][]byte{}
	for i := range batch + 10 {
		many[fmt.Sprintf("app-%03d", i)] = []byte(strings.Repeat("x", i+1))
	}
	a.write(t, many)
	if got := b.follow(t); len(got) != len(many) || got["app-004"] != "xxxxx" {
		t.Errorf("another replica sees %d records, %q", len(got), got["app-004"])
	}
	a.follow(t)
	// Only what changed is read.
	b.write(t, map[string][]byte{"app-001": []byte("new"), "app-002": nil})
	if changes, whole, _, err := a.Since(t.Context(), a.at); err != nil || whole || len(changes) != 2 || string(changes["app-001"]) != "new" {
		t.Errorf("%d changes, all %v, %v", len(changes), whole, err)
	}
	if got := a.follow(t); len(got) != len(many)-1 || got["app-001"] != "new" || got["app-002"] != "" {
		t.Errorf("after a change there are %d, %q, %q", len(got), got["app-001"], got["app-002"])
	}
	if changes, whole, _, err := b.Since(t.Context(), a.at); err != nil || len(changes) != 0 || whole {
		t.Errorf("without a change: %v, %v", changes, err)
	}
	// A new replica knows the same.
	fresh := &reader{Records: c.Records("applications", time.Hour, 1000)}
	if got := fresh.follow(t); len(got) != len(many)-1 || got["app-002"] != "" {
		t.Errorf("a new replica sees %d", len(got))
	}
	if got := (&reader{Records: c.Records("others", time.Hour, 1000)}).follow(t); len(got) != 0 {
		t.Errorf("records of another name: %v", got)
	}
}

// A reader finds out that Redis has lost everything, and goes on with what comes then.
func TestRecordsLost(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	c, _ := open(t, s, nil)
	for name, lose := range map[string]func(){
		"flushed":   s.Flush,
		"restarted": func() { s.Kill(); s.Start() },
		"garbage":   s.Garbage,
		"forged":    func() { s.Do("ZADD", "tagpin|1|applications|index", "9000000000000000", "zz"); s.Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			r := &reader{Records: c.Records("applications", time.Hour, 1000)}
			r.write(t, map[string][]byte{"a": []byte("1"), "b": []byte("2")})
			if got := r.follow(t); len(got) != 2 {
				t.Fatalf("%v", got)
			}
			before := r.whole
			lose()
			r.follow(t)
			if r.whole == before {
				t.Error("the loss is not noticed")
			}
			r.write(t, map[string][]byte{"c": []byte("3")})
			if got := r.follow(t); got["c"] != "3" {
				t.Errorf("after the loss: %v", got)
			}
			s.Flush()
		})
	}
}

// Records that end, and what others put into the index, leave nothing behind.
func TestRecordsEnd(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	c, _ := open(t, s, nil)
	short := &reader{Records: c.Records("applications", 50*time.Millisecond, 3)}
	short.write(t, map[string][]byte{"a": []byte("1"), "b": []byte("2")})
	s.Do("ZADD", "tagpin|1|applications|index", "2", "no|id", "3", strings.Repeat("long", 100))
	eventually(t, "records end", func() bool {
		return len((&reader{Records: short.Records}).follow(t)) == 0
	})
	if n := s.Do("ZSCORE", "tagpin|1|applications|index", "a"); n != nil {
		t.Errorf("an ended record is still in the index: %v", n)
	}
	s.Flush()
	// The bound holds for new ones; those that are there can change.
	long := &reader{Records: c.Records("applications", time.Hour, 2)}
	long.write(t, map[string][]byte{"a": []byte("1"), "b": []byte("2")})
	if refused, err := long.Put(t.Context(), map[string][]byte{"a": []byte("11"), "z": []byte("3")}); refused != 1 || err != nil {
		t.Errorf("beyond the bound: %d refused, %v", refused, err)
	}
	if got := long.follow(t); got["a"] != "11" || got["z"] != "" {
		t.Errorf("at the bound: %v", got)
	}
}

// Each repository belongs to one updater, all of them to somebody, and an updater that ends leaves its own to the others.
func TestPeers(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	c, _ := open(t, s, nil)
	peers := []*Peers{c.Peers("a", time.Hour), c.Peers("b", time.Hour), c.Peers("b", time.Hour)}
	repositories := make([]string, 100)
	for i := range repositories {
		repositories[i] = fmt.Sprintf("https://git.example.com/repo-%d.git", i)
	}
	shares := func(of []*Peers) (counts []int, each bool) {
		var owners []int
		for range 2 { // the first round makes all known to all
			counts, owners = make([]int, len(of)), make([]int, len(repositories))
			for i, p := range of {
				mine := p.Share(t.Context())
				for j, r := range repositories {
					if mine(r) {
						counts[i]++
						owners[j]++
					}
				}
			}
		}
		return counts, !slices.ContainsFunc(owners, func(n int) bool { return n != 1 })
	}
	eventually(t, "the work is divided", func() bool {
		counts, each := shares(peers)
		return each && slices.Min(counts) > 10
	})
	eventually(t, "an updater leaves", func() bool {
		_, err := peers[0].beat(t.Context(), false)
		return err == nil
	})
	eventually(t, "the others do all", func() bool {
		counts, each := shares(peers[1:])
		return each && counts[0]+counts[1] == len(repositories)
	})
	// Strangers without the key get no share.
	key := [][]byte{[]byte(strings.Repeat("k", MinKey))}
	signing, _ := open(t, s, func(o *Options) { o.Keys = key })
	mine := signing.Peers("c", time.Hour)
	eventually(t, "strangers don't count", func() bool {
		counts, _ := shares([]*Peers{mine})
		return counts[0] == len(repositories)
	})
	s.Garbage()
	eventually(t, "garbage is thrown out", func() bool {
		counts, _ := shares(peers)
		return slices.Max(counts) < len(repositories)
	})
}

func TestPauses(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	c, _ := open(t, s, nil)
	other, _ := open(t, s, nil)
	eventually(t, "a pause holds for all, and ends when it is given back", func() bool {
		wait, giveBack := c.Pauses("pushes").Take(t.Context(), "repo main", time.Hour)
		defer giveBack()
		theirs, _ := other.Pauses("pushes").Take(t.Context(), "repo main", time.Hour)
		elsewhere, _ := other.Pauses("pushes").Take(t.Context(), "repo other", time.Millisecond)
		return wait == 0 && theirs > 59*time.Minute && theirs <= time.Hour && elsewhere == 0
	})
	eventually(t, "a pause ends", func() bool {
		wait, _ := c.Pauses("pushes").Take(t.Context(), "repo main", 20*time.Millisecond)
		return wait == 0
	})
	s.Do("SET", s.Keys("*pushes*")[0], "for ever")
	eventually(t, "a pause that others made endless doesn't count", func() bool {
		wait, _ := c.Pauses("pushes").Take(t.Context(), "repo main", time.Hour)
		return wait == 0
	})
}

// Notices reach all, also after Redis was away; strangers' don't.
func TestNotices(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	key := [][]byte{[]byte(strings.Repeat("k", MinKey))}
	sender, _ := open(t, s, func(o *Options) { o.Keys = key })
	stranger, _ := open(t, s, nil)
	var mu sync.Mutex
	heard := map[Notice]int{}
	listener, _ := open(t, s, func(o *Options) { o.Keys = key })
	go listener.Listen(t.Context(), func(n Notice) {
		mu.Lock()
		defer mu.Unlock()
		heard[n]++
	})
	reaches := func(n Notice) {
		t.Helper()
		eventually(t, "a notice arrives", func() bool {
			stranger.Notify(t.Context(), Notice{"push", "forged"})
			sender.Notify(t.Context(), n)
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			return heard[n] > 0
		})
	}
	reaches(Notice{"push", "registry.example.com/team/app"})
	s.Kill()
	s.Start()
	reaches(Notice{"push", "after a restart"})
	mu.Lock()
	defer mu.Unlock()
	if heard[Notice{"push", "forged"}] > 0 {
		t.Error("a stranger was heard")
	}
}
