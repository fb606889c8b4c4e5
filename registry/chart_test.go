package registry_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/test/acr"
)

func TestChart(t *testing.T) {
	s := start(t, acr.Options{Users: map[string]string{"charts": "chart-Canary:x"}, RedirectBlobs: true})
	archive := bytes.Repeat([]byte("a chart"), 2<<20) // larger than any config may be
	s.PushChart("team/redis", "1.2.3_build", archive)
	s.Push("team/redis", "1.0.0", acr.Image{})
	s.secret("argocd", "charts", "username", "charts")
	s.secret("argocd", "charts", "password", "chart-Canary:x")
	s.secret("argocd", "old", "login", "charts:chart-Canary:old")
	app, repository := image.Application{Name: "shop"}, acrHost+"/team/redis"
	credential := func(ref string) config.Credential {
		c, err := config.ParseCredential(ref)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	bound := credential("secret:argocd/charts")
	got, err := s.regs.Chart(t.Context(), app, repository, "1.2.3_build", bound)
	if err != nil || !bytes.Equal(got, archive) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if tags, err := s.regs.ChartTags(t.Context(), app, repository, bound); err != nil || !slices.Equal(tags, []string{"1.0.0", "1.2.3_build"}) {
		t.Errorf("%v, %v", tags, err)
	}
	for name, c := range map[string]struct{ repository, tag, credential, want string }{
		"an image":            {repository, "1.0.0", "secret:argocd/charts", "this is no Helm chart"},
		"no such version":     {repository, "9.9.9", "secret:argocd/charts", "no such version of the chart"},
		"another password":    {repository, "1.2.3_build", "secret:argocd/old#login", "refused the credential secret:argocd/old#login"},
		"registries.conf's":   {repository, "1.2.3_build", "", "refused the credential secret:argocd/acr#acr"},
		"no Secret":           {repository, "1.2.3_build", "secret:argocd/none", "holds no username and password"},
		"no tag":              {repository, "../x", "secret:argocd/charts", "no valid tag"},
		"no path":             {acrHost, "1.2.3", "secret:argocd/charts", "names no repository"},
		"a path out":          {acrHost + "/../x", "1.2.3", "secret:argocd/charts", "no repository can have this name"},
		"another application": {acrHost + "/team/none", "1.2.3", "secret:argocd/charts", "no such version of the chart"},
	} {
		var ref config.Credential
		if c.credential != "" {
			ref = credential(c.credential)
		}
		_, err := s.regs.Chart(t.Context(), app, c.repository, c.tag, ref)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "Canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
