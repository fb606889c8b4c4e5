package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/resolve"
	"github.com/tagpin/tagpin/test/acr"
)

var _ resolve.PushTeller = (*registry.Repository)(nil)

func pushCloud(t *testing.T) *cloud {
	t.Helper()
	c := newCloud(t, listed(config.ACRAuth{RRSA: true}))
	c.rrsa()
	c.api.AddInstance("cri-demo1", nil)
	return c
}

func records(n int, first time.Time) []acr.Record {
	out := make([]acr.Record, 0, n)
	for i := range n {
		out = append(out, acr.Record{Tag: fmt.Sprintf("v%d", i), Digest: digestOf(i), Pushed: first.Add(time.Duration(i) * time.Minute)})
	}
	return out
}

func digestOf(i int) string { return fmt.Sprintf("sha256:%064x", i) }

func (c *cloud) pushes(host, repository string) ([]image.Tag, error) {
	c.t.Helper()
	r, err := c.on(host, repository)
	if err != nil {
		c.t.Fatal(err)
	}
	return r.Pushes(c.t.Context())
}

func TestPushes(t *testing.T) {
	c := pushCloud(t)
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	list := records(250, first)
	list = append(list, acr.Record{Tag: "leaving", Pushed: first.AddDate(1, 0, 0), Deleting: true}, acr.Record{Tag: "-no-tag", Pushed: first},
		acr.Record{Tag: "timeless", Digest: "md5:x"})
	c.api.SetTags("cri-demo1", "team/deep/app", "crr-1", list...)
	got, err := c.pushes(eeVPCHost, "team/deep/app")
	if err != nil || len(got) != 251 {
		t.Fatalf("%d tags, %v", len(got), err)
	}
	by := map[string]image.Tag{}
	for _, tag := range got {
		by[tag.Name] = tag
	}
	want := map[string]image.Tag{"v7": {Name: "v7", Digest: digestOf(7), Pushed: first.Add(7 * time.Minute)}, "timeless": {Name: "timeless"}, "leaving": {}}
	for name, tag := range want {
		if diff := cmp.Diff(tag, by[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if n := c.api.Count("ListRepoTag"); n != 3 {
		t.Errorf("%d pages for 253 tags", n)
	}
	if _, err := c.pushes(eeHost, "team/deep/app"); err != nil || c.api.Count("ListRepoTag") != 3 {
		t.Errorf("the public name asked again: %v", err)
	}
	c.regs.MarkStale(image.Image{Registry: eeHost, Repository: "team/deep/app"})
	if _, err := c.pushes(eeVPCHost, "team/deep/app"); err != nil || c.api.Count("ListRepoTag") != 6 {
		t.Errorf("not asked after a push: %v", err)
	}
	if n := c.api.Count("GetRepository"); n != 1 {
		t.Errorf("%d questions for the repository's id", n)
	}
	// Deleted and made anew: another id.
	c.api.SetTags("cri-demo1", "team/deep/app", "crr-2", records(1, first)...)
	c.now.advance(2 * time.Minute)
	if got, err := c.pushes(eeHost, "team/deep/app"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestPushesOfAListThatGrows(t *testing.T) {
	c := pushCloud(t)
	list := records(150, time.Unix(1e9, 0))
	c.api.SetTags("cri-demo1", "team/app", "crr-1", list[50:]...)
	grown := 0
	c.api.OnPage(func(page int) {
		if page == 2 && grown < 1 { // pushes in the middle, in front of what was read: a page's end comes again
			grown++
			c.api.SetTags("cri-demo1", "team/app", "crr-1", list...)
		}
	})
	c.api.SetTags("cri-demo1", "team/app", "crr-1", list[20:]...)
	got, err := c.pushes(eeHost, "team/app")
	if err != nil || len(got) != 150 {
		t.Errorf("%d tags, %v: a part of the list", len(got), err)
	}
	n := 0
	c.api.OnPage(func(page int) {
		if page == 1 { // it never rests
			c.api.SetTags("cri-demo1", "team/app", "crr-1", list[20:]...)
		} else if n++; page == 2 {
			c.api.SetTags("cri-demo1", "team/app", "crr-1", list...)
		}
	})
	c.now.advance(2 * time.Minute)
	r, err := c.on(eeHost, "team/app")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Pushes(t.Context()); err != nil || len(got) != 150 || r.Staleness() == 0 {
		t.Errorf("%d tags, %v; want the last known list", len(got), err)
	}
}

func TestPushesFailures(t *testing.T) {
	for _, f := range []struct{ action, code, says string }{
		{"ListRepoTag", "NoPrivilege", "grant it cr:ListRepositoryTag"},
		{"GetRepository", "NoPrivilege", "grant it cr:GetRepository"},
		{"GetRepository", "REPO_NOT_EXIST", "the instance has no such repository"},
		{"ListRepoTag", "RepoNotExist", "the instance has no such repository"},
		{"ListRepoTag", "X_CANARY", "refuses ListRepoTag"},
	} {
		c := pushCloud(t)
		c.api.SetTags("cri-demo1", "team/app", "crr-1", records(3, time.Unix(1e9, 0))...)
		c.api.Fail(f.action, &acr.APIFault{Status: 200, Code: f.code})
		_, err := c.pushes(eeHost, "team/app")
		if err == nil || !strings.Contains(err.Error(), f.says) {
			t.Errorf("%s %s: %v", f.action, f.code, err)
			continue
		}
		noSecrets(t, err)
	}
	c := pushCloud(t)
	if _, err := c.pushes(eeHost, "app"); err == nil || !strings.Contains(err.Error(), "<namespace>/<name>") {
		t.Error(err)
	}
	// A refusal withdraws what was known; an outage doesn't.
	c.api.SetTags("cri-demo1", "team/app", "crr-1", records(3, time.Unix(1e9, 0))...)
	for n, code := range []string{"", "SystemError", "NoPrivilege", "SystemError"} {
		c.now.advance(2 * time.Minute)
		c.api.Fail("ListRepoTag", nil)
		if code != "" {
			c.api.Fail("ListRepoTag", &acr.APIFault{Status: 500, Code: code})
		}
		_, err := c.pushes(eeHost, "team/app")
		if (err == nil) != (n < 2) {
			t.Errorf("%d %s: %v", n, code, err)
		}
	}
}

func TestPushesWhereNobodyTellsThem(t *testing.T) {
	c := pushCloud(t)
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	c.write("registries:\n- {name: custom, prefix: cr.example.com, api_url: 'https://cr.example.com', acr_instance_id: cri-unlisted, acr_region: cn-shanghai}\n")
	c.now.advance(time.Minute)
	for host, says := range map[string]string{
		"ghcr.io": "only ACR's Enterprise edition does",
		acrHost:   "ACR's personal edition doesn't tell",
		ownHost:   "ACR's personal edition doesn't tell",
		"new-registry.cn-shanghai.cr.aliyuncs.com": `the Enterprise instance "new" in cn-shanghai is not listed`,
		"cr.example.com": "instance cri-unlisted is not listed",
	} {
		_, err := c.pushes(host, "team/app")
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "use newest-build") {
			t.Errorf("%s: %v", host, err)
		}
		e := entry(host, "team/app")
		e.Policy.Strategy = image.NewestPush
		r, err := c.regs.Repository(t.Context(), image.Application{}, e)
		if err != nil {
			t.Fatal(err)
		}
		if choice, err := resolve.Resolve(t.Context(), r, e, c.now.Now()); err == nil || !strings.Contains(err.Error(), "update-strategy newest-push: ") {
			t.Errorf("%s: %+v, %v", host, choice, err)
		}
	}
}

func TestNewestPushOfThreeHundredTags(t *testing.T) {
	c := pushCloud(t)
	c.api.SetTags("cri-demo1", "team/app", "crr-1", records(300, time.Unix(1e9, 0))...)
	e := entry(eeHost, "team/app")
	e.Policy.Strategy = image.NewestPush
	r, err := c.regs.Repository(t.Context(), image.Application{}, e)
	if err != nil {
		t.Fatal(err)
	}
	before := c.regs.Requests()
	choice, err := resolve.Resolve(t.Context(), r, e, c.now.Now())
	if err != nil || choice.Tag != "v299" || choice.RunnerUp != "v298" || choice.Digest != "" {
		t.Errorf("%+v, %v", choice, err)
	}
	if n := c.regs.Requests() - before; n != 4 {
		t.Errorf("%d requests, want one for the id and three pages", n)
	}
}
