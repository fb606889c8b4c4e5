package registry_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/redis"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/resolve"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/redisserver"
)

// shared is what cmd makes of a Redis for one process.
func shared(t *testing.T, s *redisserver.Server, now func() time.Time) registry.Shared {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	client, err := redis.Open(redis.Options{Server: s.Addr(), Password: redisserver.Password, Prefix: redis.DefaultPrefix, Log: log, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return registry.Shared{Secret: client.Secret("fingerprints"), Level: func(kind string, keep time.Duration) cache.Remote { return client.Level(kind, keep) }}
}

// restarted is another process with the same files, or the same one after a restart.
func (s *setup) restarted(r *redisserver.Server) *setup {
	s.t.Helper()
	next := *s
	var err error
	next.regs, err = registry.New(registry.Options{
		ConfPath: s.conf, Secrets: config.OpenSecrets(s.secrets), Settings: config.Default(), Log: quiet(), Now: s.now.Now,
		Shared: shared(s.t, r, s.now.Now),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &next
}

func (s *setup) newest(name string) image.Choice {
	s.t.Helper()
	e := entry(acrHost, name)
	e.Policy.Strategy = image.NewestBuild
	choice, err := resolve.Resolve(s.t.Context(), s.repo(name), e, s.now.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return choice
}

// With Redis a restart costs newest-build one list, and the HEAD requests that find moved tags; a new tag costs its manifest and
// config as well. A moved tag is found although everything is remembered.
func TestNewestBuildAfterRestart(t *testing.T) {
	const tags = 60
	r := redisserver.Start(t, redisserver.Options{})
	s := start(t, acr.Options{}).restarted(r)
	for i := range tags {
		s.Push("team/app", fmt.Sprintf("b%03d", i), acr.Image{Created: s.now.Now().Add(time.Duration(i-1000) * time.Hour)})
	}
	if choice := s.newest("team/app"); choice.Tag != "b059" {
		t.Fatalf("%s is chosen", choice.Tag)
	}
	for _, step := range []struct {
		name   string
		change func()
		want   string
		most   acr.Counts // Manifest counts HEAD requests, too
	}{
		{"restart", func() {}, "b059", acr.Counts{Ping: 1, Token: 1, List: 1, Manifest: 5}},
		{"new tag", func() {
			s.Push("team/app", "b100", acr.Image{Created: s.now.Now().Add(-time.Hour)})
		}, "b100", acr.Counts{Ping: 1, Token: 1, List: 1, Manifest: 1 + 5, Blob: 1}},
	} {
		t.Run(step.name, func(t *testing.T) {
			s.now.advance(2 * time.Minute)
			step.change()
			s.Reset()
			next := s.restarted(r)
			if choice := next.newest("team/app"); choice.Tag != step.want {
				t.Errorf("%s is chosen, want %s", choice.Tag, step.want)
			}
			c := s.Counts()
			if c.List > step.most.List || c.Manifest > step.most.Manifest || c.Blob > step.most.Blob || c.Token > step.most.Token {
				t.Errorf("requests %+v, want %+v at most", c, step.most)
			}
		})
	}
	// The best tag is moved to an image that is the oldest of all.
	s.now.advance(2 * time.Minute)
	s.Push("team/app", "b100", acr.Image{Created: s.now.Now().Add(-5000 * time.Hour)})
	if choice := s.restarted(r).newest("team/app"); choice.Tag != "b059" {
		t.Errorf("after its tag was moved %s is chosen", choice.Tag)
	}
	// One of the worst is moved to the newest: it is found out by the age of what is known.
	s.Push("team/app", "b003", acr.Image{Created: s.now.Now().Add(-time.Minute)})
	for range 2 * tags / 32 {
		s.now.advance(61 * time.Minute)
		s.restarted(r).newest("team/app")
	}
	if choice := s.restarted(r).newest("team/app"); choice.Tag != "b003" {
		t.Errorf("a moved tag is not noticed: %s is chosen", choice.Tag)
	}
}

// Another credential gets no answer of this one's, from Redis neither; and nothing there tells of it.
func TestSharedCredentials(t *testing.T) {
	r := redisserver.Start(t, redisserver.Options{})
	s := start(t, acr.Options{}).restarted(r)
	s.Push("team/secret-name", "v1.0", acr.Image{})
	if tags := s.tags("team/secret-name"); len(tags) != 1 {
		t.Fatalf("%v", tags)
	}
	s.Reset()
	if tags := s.restarted(r).tags("team/secret-name"); len(tags) != 1 || s.Counts().List != 0 {
		t.Errorf("%v after %+v", tags, s.Counts())
	}
	s.secret("argocd", "acr", "acr", "other:wrong-Canary\n")
	if _, err := s.restarted(r).repo("team/secret-name").Tags(t.Context()); err == nil {
		t.Error("a wrong password is shown what the right one sees")
	}
	for _, key := range r.Keys("*") {
		if text := key + fmt.Sprint(r.Do("DUMP", key)); strings.Contains(text, "Canary") || strings.Contains(text, acr.User) || strings.Contains(key, "secret-name") {
			t.Errorf("Redis holds %q", text)
		}
	}
}

// A list from another replica does not make a new tag an old one: min-age counts from the first sight of any of them.
func TestSharedFirstSight(t *testing.T) {
	r := redisserver.Start(t, redisserver.Options{})
	s := start(t, acr.Options{}).restarted(r)
	s.Push("team/app", "v1.0", acr.Image{Created: s.now.Now().Add(-1000 * time.Hour)})
	s.tags("team/app")
	s.Push("team/app", "v2.0", acr.Image{Created: s.now.Now().Add(-999 * time.Hour)}) // by its own word
	s.now.advance(2 * time.Minute)
	choose := func(s *setup) string {
		t.Helper()
		policy, err := image.NewPolicy(image.PolicySpec{MinAge: "1h"})
		if err != nil {
			t.Fatal(err)
		}
		e := entry(acrHost, "team/app")
		e.Policy = policy
		choice, err := resolve.Resolve(t.Context(), s.repo("team/app"), e, s.now.Now())
		if err != nil {
			t.Fatal(err)
		}
		return choice.Tag
	}
	if got := choose(s); got != "v1.0" {
		t.Errorf("a tag that is 2 minutes old is chosen: %s", got)
	}
	if got := choose(s.restarted(r)); got != "v1.0" {
		t.Errorf("after a restart a tag that is 2 minutes old is chosen: %s", got)
	}
	s.now.advance(30 * time.Minute)
	if got := choose(s.restarted(r)); got != "v1.0" {
		t.Errorf("after a restart with an old list a tag that is 32 minutes old is chosen: %s", got)
	}
	s.now.advance(time.Hour)
	if got := choose(s.restarted(r)); got != "v2.0" {
		t.Errorf("a tag that is old enough is not chosen, but %s", got)
	}
}

// A refusal at one replica is no answer for the others, and an outage lets a restarted one go on with what is known.
func TestSharedOutage(t *testing.T) {
	r := redisserver.Start(t, redisserver.Options{})
	s := start(t, acr.Options{}).restarted(r)
	s.Push("team/app", "v1.0", acr.Image{})
	s.tags("team/app")
	s.now.advance(10 * time.Minute)
	s.Fail(acr.List, acr.Fault{Status: 503})
	repo := s.restarted(r).repo("team/app")
	tags, err := repo.Tags(t.Context())
	if err != nil || len(tags) != 1 || repo.Staleness() < 9*time.Minute {
		t.Errorf("%v, %v old, %v", tags, repo.Staleness(), err)
	}
	since := s.restarted(r).repo("team/app")
	since.Since(s.now.Now())
	var told *registry.Error
	if _, err := since.Tags(t.Context()); !errors.As(err, &told) {
		t.Errorf("a question since now is answered from before: %v", err)
	}
}
