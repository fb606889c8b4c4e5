package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

func TestRotatedSecretIsSeen(t *testing.T) {
	s := start(t, acr.Options{})
	s.Push("team/app", "v1", acr.Image{})
	s.SetPassword(acr.User, "another")
	_, err := s.repo("team/app").Tags(t.Context())
	if err == nil {
		t.Fatal("answered with the old password")
	}
	noSecrets(t, err)
	s.secret("argocd", "acr", "acr", acr.User+":another")
	if tags := s.tags("team/app"); len(tags) != 1 {
		t.Errorf("tags %v", tags)
	}
}

func TestSecretRotatedBetweenResolutionAndQuestion(t *testing.T) {
	s := start(t, acr.Options{})
	s.Push("team/app", "v1", acr.Image{})
	r := s.repo("team/app")
	s.SetPassword(acr.User, "another")
	s.secret("argocd", "acr", "acr", acr.User+":another")
	if tags, err := r.Tags(t.Context()); err != nil || len(tags) != 1 {
		t.Errorf("%v, %v", tags, err)
	}
}

func TestAnswersAreNotSharedBetweenCredentials(t *testing.T) {
	s := start(t, acr.Options{}, func(o *registry.Options) {
		o.Settings.Bindings = []config.Binding{bind(t, "secret:team/own#login", "https://"+acrHost+"/team")}
	})
	s.Push("team/app", "v1", acr.Image{})
	s.tags("team/app")
	s.secret("team", "own", "login", "intruder:guess")
	e := entry(acrHost, "team/app")
	e.PullSecret = "secret:team/own#login"
	r, err := s.regs.Repository(t.Context(), image.Application{}, e)
	if err != nil {
		t.Fatal(err)
	}
	if tags, err := r.Tags(t.Context()); err == nil {
		t.Errorf("a wrong login saw %v", tags)
	}
}

func bind(t *testing.T, credential, prefix string) config.Binding {
	t.Helper()
	c, err := config.ParseCredential(credential)
	if err != nil {
		t.Fatal(err)
	}
	u, err := config.ParseURL(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return config.Binding{Credential: c, Kind: config.Registry, URL: u}
}

func TestPullSecretNeedsABinding(t *testing.T) {
	s := start(t, acr.Options{}, func(o *registry.Options) {
		o.Settings.Bindings = []config.Binding{bind(t, "pullsecret:team/regcred", "https://"+acrHost+"/team")}
	})
	s.Push("team/app", "v1", acr.Image{})
	s.secret("team", "regcred", ".dockerconfigjson",
		fmt.Sprintf(`{"auths":{"https://%s/v1/":{"username":%q,"password":%q}}}`, acrHost, acr.User, acr.Password))
	s.write(s.ConfFile("", acrHost)) // no credential of the operator's own
	s.now.advance(2 * time.Second)
	for _, c := range []struct{ repository, secret, says string }{
		{"team/app", "pullsecret:team/regcred", ""},
		{"team/app", acrHost + "=pullsecret:team/regcred", ""},
		{"team/app", "ghcr.io=pullsecret:team/regcred", "another registry"},
		{"other/app", "pullsecret:team/regcred", "another url"},
		{"team/app", "pullsecret:argocd/regcred", "no binding for this credential"},
		{"team/app", "env:ACR_LOGIN", "only operators may use"},
		{"team/app", "ext:/bin/sh", "only operators may use"},
		{"team/app", "nonsense", "unknown credential source"},
	} {
		e := entry(acrHost, c.repository)
		e.PullSecret = c.secret
		r, err := s.regs.Repository(t.Context(), image.Application{Name: "shop"}, e)
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", c.secret, err)
			} else if tags, err := r.Tags(t.Context()); err != nil || len(tags) != 1 {
				t.Errorf("%s: %v, %v", c.secret, tags, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s for %s: %v; want %q", c.secret, c.repository, err, c.says)
		}
	}
}

func TestBlobsFromAnotherHostGetNoCredential(t *testing.T) {
	s := start(t, acr.Options{RedirectBlobs: true})
	s.Push("team/app", "v1", acr.Image{Created: time.Unix(1e9, 0)})
	tag, err := s.repo("team/app").Describe(t.Context(), "v1", nil)
	if err != nil || tag.Created.Unix() != 1e9 {
		t.Errorf("%v, %v", tag, err)
	}
	if s.CredentialsLeaked() {
		t.Error("the host of the blobs was shown the Authorization header")
	}
}
