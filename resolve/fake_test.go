package resolve_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/resolve"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// shelf is a repository that lies in memory. It counts what it is asked.
type shelf struct {
	list    []string
	tags    map[string]image.Tag
	errs    map[string]error // by tag, for Describe and Digest
	listErr error
	delay   time.Duration

	described, digested, open, most atomic.Int64
}

func shelve(tags ...image.Tag) *shelf {
	s := &shelf{tags: map[string]image.Tag{}, errs: map[string]error{}}
	for _, t := range tags {
		s.list = append(s.list, t.Name)
		if t.Digest == "" {
			t.Digest = digestOf(t.Name)
		}
		s.tags[t.Name] = t
	}
	return s
}

func named(names ...string) *shelf {
	var tags []image.Tag
	for _, n := range names {
		tags = append(tags, image.Tag{Name: n})
	}
	return shelve(tags...)
}

func digestOf(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

func (s *shelf) Tags(context.Context) ([]string, error) { return s.list, s.listErr }

func (s *shelf) Describe(ctx context.Context, tag string, _ []image.Platform) (image.Tag, error) {
	s.described.Add(1)
	now := s.open.Add(1)
	defer s.open.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return image.Tag{}, ctx.Err()
		}
	}
	return s.tags[tag], s.errs[tag]
}

func (s *shelf) Digest(_ context.Context, tag string) (string, error) {
	s.digested.Add(1)
	return s.tags[tag].Digest, s.errs[tag]
}

var echoServer = image.Image{Registry: "registry.cn-hangzhou.aliyuncs.com", Repository: "haoshuwei24/echo-server"}

func entry(p image.Policy) image.Entry { return image.Entry{Image: echoServer, Policy: p} }

func policy(t testing.TB, spec image.PolicySpec) image.Policy {
	t.Helper()
	p, err := image.NewPolicy(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func choose(t testing.TB, s *shelf, p image.Policy) image.Choice {
	t.Helper()
	c, err := resolve.Resolve(t.Context(), s, entry(p), now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
