package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

const acrHost = "registry.cn-hangzhou.aliyuncs.com"

// A setup is one registry server and one client with the Secret argocd/acr.
type setup struct {
	*acr.Server
	t       *testing.T
	regs    *registry.Registries
	secrets string
	conf    string
	now     *clock
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func start(t *testing.T, o acr.Options, change ...func(*registry.Options)) *setup {
	t.Helper()
	s := &setup{Server: acr.Start(t, o), t: t, secrets: t.TempDir(), now: &clock{at: time.Now()}}
	s.secret("argocd", "acr", "acr", acr.User+":"+acr.Password+"\n")
	s.conf = filepath.Join(t.TempDir(), "registries.conf")
	s.write(s.ConfFile("secret:argocd/acr#acr", acrHost))
	opts := registry.Options{
		ConfPath: s.conf, Secrets: config.OpenSecrets(s.secrets), Settings: config.Default(), Log: quiet(), Now: s.now.Now,
	}
	for _, f := range change {
		f(&opts)
	}
	var err error
	if s.regs, err = registry.New(opts); err != nil {
		t.Fatal(err)
	}
	return s
}

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(&strings.Builder{})
	return l
}

func (s *setup) write(conf string) {
	s.t.Helper()
	if err := os.WriteFile(s.conf, []byte(conf), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *setup) secret(ns, name, field, value string) {
	s.t.Helper()
	dir := filepath.Join(s.secrets, ns, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, field), []byte(value), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *setup) repo(name string) *registry.Repository {
	s.t.Helper()
	r, err := s.regs.Repository(s.t.Context(), image.Application{Name: "shop", Project: "default"}, entry(acrHost, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func entry(host, repository string) image.Entry {
	return image.Entry{Image: image.Image{Registry: host, Repository: repository}}
}

func (s *setup) tags(name string) []string {
	s.t.Helper()
	tags, err := s.repo(name).Tags(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return tags
}

func (s *setup) want(what string, want acr.Counts) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.Counts()); diff != "" {
		s.t.Errorf("%s: requests (-want +got):\n%s", what, diff)
	}
}

// noSecrets fails when an error repeats what nobody may see.
func noSecrets(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += " " + e.Error()
	}
	for _, secret := range []string{acr.Password, "Canary", acr.Leak, "Bearer", "eyJ"} {
		if strings.Contains(text, secret) {
			t.Errorf("the error shows %q: %s", secret, text)
		}
	}
}

func TestTagsAreListedOnceForEverybody(t *testing.T) {
	s := start(t, acr.Options{})
	s.PushMany("team/app", 120, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	s.Reset()
	var g errgroup.Group
	for range 100 {
		g.Go(func() error {
			r, err := s.regs.Repository(t.Context(), image.Application{}, entry(acrHost, "team/app"))
			if err != nil {
				return err
			}
			tags, err := r.Tags(t.Context())
			if len(tags) != 120 {
				return fmt.Errorf("%d tags, %w", len(tags), err)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s.want("100 at once", acr.Counts{Ping: 1, Token: 1, List: 1})

	s.now.advance(59 * time.Second)
	s.tags("team/app")
	s.want("within the TTL", acr.Counts{Ping: 1, Token: 1, List: 1})
	s.now.advance(2 * time.Second)
	s.tags("team/app")
	s.want("after the TTL, with the same token", acr.Counts{Ping: 1, Token: 1, List: 2})
}

func TestTagsOfAPagedRegistry(t *testing.T) {
	s := start(t, acr.Options{PageSize: 7})
	s.PushMany("team/app", 20, time.Now())
	s.Reset()
	if tags := s.tags("team/app"); len(tags) != 20 {
		t.Errorf("%d tags: %v", len(tags), tags)
	}
	s.want("20 tags in pages of 7", acr.Counts{Ping: 1, Token: 1, List: 3})

	s.Fail(acr.List, acr.Fault{Status: 403, Code: "DENIED"})
	s.now.advance(time.Hour)
	if _, err := s.repo("team/app").Tags(t.Context()); err == nil {
		t.Error("a list was answered from before the refusal")
	}
}

func TestAPartialListIsNoList(t *testing.T) {
	s := start(t, acr.Options{PageSize: 7, LinkHost: "http://elsewhere.example.com"})
	s.PushMany("team/app", 20, time.Now())
	_, err := s.repo("team/app").Tags(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("a page on another host: %v", err)
	}
	noSecrets(t, err)
}

// describeAll does what newest-build does.
func describeAll(t *testing.T, r *registry.Repository) map[string]image.Tag {
	t.Helper()
	tags, err := r.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var (
		g   errgroup.Group
		mu  sync.Mutex
		out = map[string]image.Tag{}
	)
	g.SetLimit(16)
	for _, name := range tags {
		g.Go(func() error {
			tag, err := r.Describe(t.Context(), name, nil)
			mu.Lock()
			defer mu.Unlock()
			out[name] = tag
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMetadataIsReadOnce(t *testing.T) {
	s := start(t, acr.Options{})
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.PushMany("team/app", 50, first)
	s.Push("team/app", "same-as-v0.0.7", acr.Image{Created: first.Add(7 * time.Minute), Seed: "v0.0.7"})
	s.Reset()
	got := describeAll(t, s.repo("team/app"))
	s.want("first run", acr.Counts{Ping: 1, Token: 1, List: 1, Manifest: 51, Blob: 50})
	if c := got["v0.0.9"].Created; !c.Equal(first.Add(9 * time.Minute)) {
		t.Errorf("v0.0.9 was created at %v", c)
	}
	if p := got["v0.0.9"].Platforms; len(p) != 1 || p[0] != (image.Platform{OS: "linux", Architecture: "amd64"}) {
		t.Errorf("platforms %v", p)
	}
	s.Push("team/app", "v9", acr.Image{Created: first})
	s.now.advance(2 * time.Minute)
	s.Reset()
	got = describeAll(t, s.repo("team/app"))
	s.want("after one push", acr.Counts{List: 1, Manifest: 1, Blob: 1})
	if !got["v0.0.9"].FirstSeen.IsZero() {
		t.Error("a tag of the first list has a time of first sight")
	}
	if seen := got["v9"].FirstSeen; !seen.Equal(s.now.Now()) {
		t.Errorf("v9 was first seen at %v, want %v", seen, s.now.Now())
	}
}

func TestDescribe(t *testing.T) {
	s := start(t, acr.Options{})
	old, recent := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	annotated := map[string]string{"org.opencontainers.image.created": recent.Format(time.RFC3339)}
	both := []string{"linux/amd64", "linux/arm64/v8"}
	amd, arm := image.Platform{OS: "linux", Architecture: "amd64"}, image.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}

	for _, c := range []struct {
		name      string
		img       acr.Image
		platforms []image.Platform
		created   time.Time
		offered   []image.Platform
		cost      acr.Counts
		err       error
	}{
		{name: "config date", img: acr.Image{Created: old}, created: old, offered: []image.Platform{amd}, cost: acr.Counts{Manifest: 1, Blob: 1}},
		{name: "no date", img: acr.Image{}, offered: []image.Platform{amd}, cost: acr.Counts{Manifest: 1, Blob: 1}},
		{name: "manifest annotation", img: acr.Image{Created: old, Annotations: annotated}, created: recent,
			offered: []image.Platform{amd}, cost: acr.Counts{Manifest: 1, Blob: 1}},
		{name: "index", img: acr.Image{Created: old, Platforms: both}, created: old,
			offered: []image.Platform{amd, arm}, cost: acr.Counts{Manifest: 3, Blob: 2}},
		{name: "index of one platform wanted", img: acr.Image{Created: old, Platforms: both, Seed: "one"}, platforms: []image.Platform{arm}, created: old,
			offered: []image.Platform{amd, arm}, cost: acr.Counts{Manifest: 2, Blob: 1}},
		{name: "index annotation", img: acr.Image{Created: old, Platforms: both, Annotations: annotated}, created: recent,
			offered: []image.Platform{amd, arm}, cost: acr.Counts{Manifest: 1}},
		{name: "annotations of an index's images", img: acr.Image{Created: old, Platforms: both, Parts: annotated, Seed: "parts"}, created: recent,
			offered: []image.Platform{amd, arm}, cost: acr.Counts{Manifest: 3}},
		{name: "newest image of an index", img: acr.Image{Created: old, Spread: 24 * time.Hour, Platforms: both, Seed: "spread"}, created: old.AddDate(0, 0, 1),
			offered: []image.Platform{amd, arm}, cost: acr.Counts{Manifest: 3, Blob: 2}},
		{name: "wanted image of an index", img: acr.Image{Created: old, Spread: 24 * time.Hour, Platforms: both, Seed: "wanted"}, platforms: []image.Platform{amd}, created: old,
			offered: []image.Platform{amd, arm}, cost: acr.Counts{Manifest: 2, Blob: 1}},
		{name: "index with attestation", img: acr.Image{Created: old, Attestation: true, Seed: "att"}, created: old,
			offered: []image.Platform{amd}, cost: acr.Counts{Manifest: 2, Blob: 1}},
		{name: "chart", img: acr.Image{Chart: true}, err: image.ErrNotImage, cost: acr.Counts{Manifest: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tag := strings.NewReplacer(" ", "-", "'", "").Replace(c.name)
			digest := s.Push("team/app", tag, c.img)
			_, _ = s.repo("team/app").Digest(t.Context(), tag) // so that ping and token are done
			s.Reset()
			got, err := s.repo("team/app").Describe(t.Context(), tag, c.platforms)
			s.want("describe", c.cost)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if c.err != nil {
				return
			}
			want := image.Tag{Name: tag, Digest: digest, Created: c.created, Platforms: c.offered}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			s.Reset()
			if _, err := s.repo("team/app").Describe(t.Context(), tag, c.platforms); err != nil || s.Counts().Total() != 0 {
				t.Errorf("again: %+v, %v", s.Counts(), err)
			}
		})
	}
}

func TestDigestFollowsAMovedTag(t *testing.T) {
	s := start(t, acr.Options{})
	first := s.Push("team/app", "dev", acr.Image{Seed: "1"})
	if got, err := s.repo("team/app").Digest(t.Context(), "dev"); got != first || err != nil {
		t.Errorf("%s, %v; want %s", got, err, first)
	}
	second := s.Push("team/app", "dev", acr.Image{Seed: "2"})
	s.now.advance(2 * time.Minute)
	s.Reset()
	if got, err := s.repo("team/app").Digest(t.Context(), "dev"); got != second || err != nil {
		t.Errorf("%s, %v; want %s", got, err, second)
	}
	s.want("a digest", acr.Counts{Manifest: 1})
}

func TestTLS(t *testing.T) {
	s := acr.Start(t, acr.Options{TLS: true, PageSize: 2})
	s.PushMany("team/app", 5, time.Now())
	t.Setenv("ACR_LOGIN", acr.User+":"+acr.Password)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	indented := strings.ReplaceAll(strings.TrimSpace(string(s.CA())), "\n", "\n    ")
	for _, c := range []struct{ name, trust, says string }{
		{"untrusted", "", "add ca_file or ca_data"},
		{"ca_file", "  ca_file: " + ca + "\n", ""},
		{"ca_data", "  ca_data: |\n    " + indented + "\n", ""},
		{"insecure", "  insecure: true\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := filepath.Join(t.TempDir(), "registries.conf")
			text := fmt.Sprintf("registries:\n- name: t\n  prefix: %s\n  api_url: %s\n  credentials: env:ACR_LOGIN\n%s", s.Host(), s.URL(), c.trust)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			regs, err := registry.New(registry.Options{ConfPath: conf, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			r, err := regs.Repository(t.Context(), image.Application{}, entry(s.Host(), "team/app"))
			if err != nil {
				t.Fatal(err)
			}
			tags, err := r.Tags(t.Context())
			if c.says == "" && (err != nil || len(tags) != 5) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, %v", tags, err)
			}
		})
	}
}

func TestUnnamedLocalRegistryIsNotDialled(t *testing.T) {
	s := acr.Start(t, acr.Options{TLS: true})
	regs, err := registry.New(registry.Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := regs.Repository(t.Context(), image.Application{}, entry(s.Host(), "team/app"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Tags(t.Context())
	if err == nil || !strings.Contains(err.Error(), "loopback address") || !strings.Contains(err.Error(), "network.allow") {
		t.Errorf("%v", err)
	}
	if s.Counts().Total() != 0 {
		t.Error("it was asked")
	}
}

func TestWrapSeesEveryRequest(t *testing.T) {
	var mu sync.Mutex
	seen := 0
	s := start(t, acr.Options{}, func(o *registry.Options) {
		o.Wrap = func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				seen++
				mu.Unlock()
				return next.RoundTrip(r)
			})
		}
	})
	s.Push("team/app", "v1", acr.Image{})
	s.tags("team/app")
	if int64(seen) != s.regs.Requests() || seen == 0 {
		t.Errorf("wrap saw %d, Requests says %d", seen, s.regs.Requests())
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
