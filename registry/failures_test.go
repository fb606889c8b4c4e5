package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

func TestVanishedTag(t *testing.T) {
	s := start(t, acr.Options{})
	s.Push("team/app", "v1", acr.Image{})
	s.Push("team/app", "v2", acr.Image{})
	s.tags("team/app")
	s.Delete("team/app", "v2")
	_, err := s.repo("team/app").Describe(t.Context(), "v2", nil)
	if !errors.Is(err, image.ErrTagGone) {
		t.Errorf("deleted: %v", err)
	}
	if _, err = s.repo("team/app").Digest(t.Context(), "v2"); !errors.Is(err, image.ErrTagGone) {
		t.Errorf("deleted, by digest: %v", err)
	}

	s.Reset()
	for range 5 {
		_, _ = s.repo("team/app").Describe(t.Context(), "v2", nil)
	}
	if n := s.Counts().List; n != 0 {
		t.Errorf("%d lists for a tag that the last list lacks already", n)
	}

	s.Fail(acr.Manifest, acr.Fault{Status: 404, Code: "MANIFEST_UNKNOWN"})
	_, err = s.repo("team/app").Describe(t.Context(), "v1", nil)
	if err == nil || errors.Is(err, image.ErrTagGone) || !strings.Contains(err.Error(), "ignore-tags") {
		t.Errorf("listed but missing: %v", err)
	}
	noSecrets(t, err)
}

func TestFailures(t *testing.T) {
	s := start(t, acr.Options{})
	s.Push("team/app", "v1", acr.Image{})
	for _, c := range []struct {
		name      string
		kind      acr.Kind
		fault     acr.Fault
		repo      string
		status    int
		code      string
		retryable bool
		says      string
	}{
		{name: "unknown repository", repo: "team/none", status: 404, code: "NAME_UNKNOWN", says: "no such repository"},
		{name: "denied", kind: acr.List, fault: acr.Fault{Status: 403, Code: "DENIED"}, status: 403, code: "DENIED", says: "no right to pull"},
		{name: "login refused", kind: acr.Token, fault: acr.Fault{Status: 401, Code: "UNAUTHORIZED"}, status: 401, code: "UNAUTHORIZED",
			says: "refused the credential secret:argocd/acr#acr"},
		{name: "throttled", kind: acr.List, fault: acr.Fault{Status: 429, Code: "TOOMANYREQUESTS", RetryAfter: "60"}, status: 429,
			code: "TOOMANYREQUESTS", retryable: true, says: "limits requests"},
		{name: "strange code", kind: acr.List, fault: acr.Fault{Status: 418, Code: "Canary-code"}, status: 418, says: "refused the request"},
		{name: "outage", kind: acr.List, fault: acr.Fault{Status: 503, RetryAfter: "60"}, status: 503, retryable: true, says: "is failing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.now.advance(48 * time.Hour)
			if c.fault.Status != 0 {
				s.Fail(c.kind, c.fault)
			}
			defer s.Heal()
			regs, err := registry.New(registry.Options{ConfPath: s.conf, Secrets: config.OpenSecrets(s.secrets), Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			if c.repo == "" {
				c.repo = "team/app"
			}
			r, err := regs.Repository(t.Context(), image.Application{}, entry(acrHost, c.repo))
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Tags(t.Context())
			var e *registry.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if e.Status != c.status || e.Code != c.code || e.Retryable != c.retryable || !strings.Contains(e.Error(), c.says) {
				t.Errorf("%d %q retryable %t: %v", e.Status, e.Code, e.Retryable, e)
			}
			if registry.ServeStale(err) != c.retryable {
				t.Errorf("a stale answer would serve: %t", !c.retryable)
			}
			noSecrets(t, err)
		})
	}
}

func TestPassingFailuresAreRetried(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  acr.Kind
		fault acr.Fault
	}{
		{"429 with Retry-After", acr.List, acr.Fault{Status: 429, RetryAfter: "0", Times: 2}},
		{"429 without", acr.List, acr.Fault{Status: 429, Times: 1}},
		{"reset", acr.List, acr.Fault{Reset: true, Times: 2}},
		{"502 of the token server", acr.Token, acr.Fault{Status: 502, Times: 1}},
		{"expired token", acr.List, acr.Fault{Status: 401, Times: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, acr.Options{})
			s.Push("team/app", "v1", acr.Image{})
			s.Fail(c.kind, c.fault)
			if tags := s.tags("team/app"); len(tags) != 1 {
				t.Errorf("tags %v", tags)
			}
		})
	}
}

func TestNoRetryBeyondTheDeadline(t *testing.T) {
	s := start(t, acr.Options{})
	s.Push("team/app", "v1", acr.Image{})
	s.Fail(acr.List, acr.Fault{Status: 429, RetryAfter: "3600"})
	s.Reset()
	if _, err := s.repo("team/app").Tags(t.Context()); err == nil {
		t.Fatal("answered")
	}
	if n := s.Counts().List; n != 1 {
		t.Errorf("%d lists, although the registry said to wait for an hour", n)
	}
}

func TestStaleListInAnOutage(t *testing.T) {
	s := start(t, acr.Options{})
	s.Push("team/app", "v1", acr.Image{})
	s.tags("team/app")
	s.Fail(acr.List, acr.Fault{Status: 503, RetryAfter: "3600"})
	s.now.advance(3 * time.Hour)
	r := s.repo("team/app")
	if tags, err := r.Tags(t.Context()); err != nil || len(tags) != 1 {
		t.Fatalf("%v, %v", tags, err)
	}
	if r.Staleness() != 3*time.Hour {
		t.Errorf("age %v", r.Staleness())
	}
	s.now.advance(22 * time.Hour)
	if tags, err := s.repo("team/app").Tags(t.Context()); err == nil {
		t.Errorf("a list from %v ago was served: %v", 25*time.Hour, tags)
	}
	s.Heal()
	s.now.advance(time.Minute)
	r = s.repo("team/app")
	if _, err := r.Tags(t.Context()); err != nil || r.Staleness() != 0 {
		t.Errorf("healed: %v, %v", err, r.Staleness())
	}
}

func TestNoStaleListAfterARefusal(t *testing.T) {
	for _, status := range []int{401, 403, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := start(t, acr.Options{})
			s.Push("team/app", "v1", acr.Image{})
			s.tags("team/app")
			s.Fail(acr.List, acr.Fault{Status: status})
			s.now.advance(2 * time.Minute)
			if tags, err := s.repo("team/app").Tags(t.Context()); err == nil {
				t.Errorf("served %v", tags)
			}
			s.Fail(acr.List, acr.Fault{Status: 503, RetryAfter: "3600"})
			s.now.advance(2 * time.Minute)
			if tags, err := s.repo("team/app").Tags(t.Context()); err == nil {
				t.Errorf("an outage after the refusal brought back %v", tags)
			}
		})
	}
}

func TestACallersDeadlineEndsItsWait(t *testing.T) {
	s := start(t, acr.Options{})
	s.Push("team/app", "v1", acr.Image{})
	s.Fail(acr.List, acr.Fault{Delay: 500 * time.Millisecond, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.repo("team/app").Tags(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// A token lasts ten minutes; the next question then costs another one, and a server that only writes access_token will do.
func TestTokensOfTenMinutes(t *testing.T) {
	s := start(t, acr.Options{AccessToken: true})
	s.Push("team/app", "v1", acr.Image{})
	s.Reset()
	for _, step := range []struct {
		passed time.Duration
		want   acr.Counts
	}{
		{0, acr.Counts{Ping: 1, Token: 1, List: 1}},
		{9 * time.Minute, acr.Counts{Ping: 1, Token: 1, List: 2}},
		{2 * time.Minute, acr.Counts{Ping: 1, Token: 2, List: 3}},
		{9 * time.Minute, acr.Counts{Ping: 1, Token: 2, List: 4}},
	} {
		s.Pass(step.passed)
		s.now.advance(step.passed)
		if tags := s.tags("team/app"); len(tags) != 1 {
			t.Errorf("tags %v", tags)
		}
		s.want(step.passed.String()+" later", step.want)
	}
}
