package acr_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tagpin/tagpin/test/acr"
)

func TestServerAnswersLikeACR(t *testing.T) {
	s := acr.Start(t, acr.Options{})
	s.PushMany("team/app", 120, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	s.Push("team/app", "multi", acr.Image{Platforms: []string{"linux/amd64", "linux/arm64/v8"}, Attestation: true})
	s.Push("team/app", "chart", acr.Image{Chart: true})

	resp, err := http.Get(s.URL() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	challenge := resp.Header.Get("Www-Authenticate")
	if resp.StatusCode != 401 || !strings.Contains(challenge, `service="registry.aliyuncs.com:cn-hangzhou:26842"`) {
		t.Fatalf("challenge: %d %s %s", resp.StatusCode, challenge, body)
	}
	repo, err := name.NewRepository(s.Host()+"/team/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.List(repo); err == nil {
		t.Error("a list without a login was answered")
	}
	s.Reset()
	tags, err := remote.List(repo, remote.WithAuth(&authn.Basic{Username: acr.User, Password: acr.Password}))
	if err != nil || len(tags) != 122 {
		t.Fatalf("%d tags, %v", len(tags), err)
	}
	if c := s.Counts(); c.List != 1 || c.Token != 1 {
		t.Errorf("counts: %+v", c)
	}
	s.Delete("team/app", "chart")
	tags, _ = remote.List(repo, remote.WithAuth(&authn.Basic{Username: acr.User, Password: acr.Password}))
	if len(tags) != 122 && len(tags) != 121 {
		t.Errorf("%d tags after a deletion", len(tags))
	}
}
