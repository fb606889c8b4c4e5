package acr_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/tagpin/tagpin/test/acr"
)

// sample finds a payload of ACR's by its name.
func sample(t *testing.T, file, section, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("../testdata/acr/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var sections map[string]json.RawMessage
	var list []json.RawMessage
	if err := json.Unmarshal(data, &sections); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(sections[section], &list); err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		var head struct{ Name string }
		if err := json.Unmarshal(one, &head); err == nil && head.Name == name {
			if err := json.Unmarshal(one, into); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no payload %q", name)
}

// realm is the token server's URL.
func realm(t *testing.T, s *acr.Server) string {
	t.Helper()
	resp, err := http.Get(s.URL() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	_, rest, _ := strings.Cut(resp.Header.Get("Www-Authenticate"), `realm="`)
	address, _, _ := strings.Cut(rest, `"`)
	return address
}

func TestChallengeIsTheCapturedOne(t *testing.T) {
	var want struct {
		Response struct {
			Status  int
			Headers map[string]string
			Body    json.RawMessage
		}
	}
	sample(t, "registry.json", "auth_challenges", "personal legacy /v2/", &want)
	s := acr.Start(t, acr.Options{})
	resp, err := http.Get(s.URL() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	var compact bytes.Buffer
	if err := json.Compact(&compact, want.Response.Body); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want.Response.Status || strings.TrimSpace(string(body)) != compact.String() {
		t.Errorf("HTTP %d %s, want %s", resp.StatusCode, body, &compact)
	}
	for header, value := range want.Response.Headers {
		got := resp.Header.Get(header)
		if header == "Www-Authenticate" { // but for where the token server is
			got = strings.ReplaceAll(got, realm(t, s), "https://dockerauth.cn-hangzhou.aliyuncs.com/auth")
		}
		if got != value {
			t.Errorf("%s: %s, want %s", header, got, value)
		}
	}
}

type claims struct {
	Iss, Aud, Sub string
	Iat, Nbf, Exp int64
	Access        []struct {
		Type, Name string
		Actions    []string
	}
}

// An anonymous token says what ACR's says.
func TestTokenIsTheCapturedOne(t *testing.T) {
	var want struct {
		Claims  claims
		Derived struct {
			Lifetime int64 `json:"lifetime_s"`
			Before   int64 `json:"nbf_before_iat_s"`
		}
	}
	sample(t, "openapi.json", "token_exchange", "anonymous pull token claims", &want)
	var get struct {
		Response struct {
			Status int
			Body   map[string]any
		}
	}
	sample(t, "openapi.json", "token_exchange", "GET token", &get)
	s := acr.Start(t, acr.Options{Public: true})
	scope := "repository:" + want.Claims.Access[0].Name + ":pull"
	resp, err := http.Get(realm(t, s) + "?" + url.Values{"scope": {scope}, "service": {want.Claims.Aud}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != get.Response.Status {
		t.Fatal(resp.StatusCode, err)
	}
	for key := range get.Response.Body {
		if answer[key] == nil {
			t.Errorf("the answer has no %s: %v", key, answer)
		}
	}
	if len(answer) != len(get.Response.Body) || answer["expires_in"] != get.Response.Body["expires_in"] {
		t.Errorf("%v", answer)
	}
	middle := strings.Split(answer["token"].(string), ".")[1]
	raw, err := base64.RawURLEncoding.DecodeString(middle)
	if err != nil {
		t.Fatal(err)
	}
	var got claims
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Exp-got.Iat != want.Derived.Lifetime || got.Iat-got.Nbf != want.Derived.Before {
		t.Errorf("issued %d, from %d to %d", got.Iat, got.Nbf, got.Exp)
	}
	got.Iat, got.Nbf, got.Exp = want.Claims.Iat, want.Claims.Nbf, want.Claims.Exp
	if diff := cmp.Diff(want.Claims, got); diff != "" {
		t.Error(diff)
	}
}

// The other form of the exchange takes a login in a form, and refuses an empty scope, as was captured.
func TestTokensByForm(t *testing.T) {
	var want struct {
		Request  struct{ Form string }
		Response struct {
			Status int
			Body   struct{ Error string }
		}
	}
	sample(t, "openapi.json", "token_exchange", "POST form with empty scope is refused", &want)
	s := acr.Start(t, acr.Options{})
	form, err := url.ParseQuery(want.Request.Form)
	if err != nil {
		t.Fatal(err)
	}
	form.Set("username", acr.User)
	form.Set("password", acr.Password)
	post := func() (int, map[string]any) {
		resp, err := http.PostForm(realm(t, s), form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body map[string]any
		_ = json.NewDecoder(resp.Body).Decode(&body)
		return resp.StatusCode, body
	}
	if status, body := post(); status != want.Response.Status || body["error"] != want.Response.Body.Error {
		t.Errorf("an empty scope: HTTP %d %v", status, body)
	}
	form.Set("scope", "repository:team/app:pull")
	if status, body := post(); status != 200 || body["access_token"] == "" {
		t.Errorf("HTTP %d %v", status, body)
	}
	form.Set("password", "Canary")
	if status, _ := post(); status != 401 {
		t.Errorf("a wrong password: HTTP %d", status)
	}
}

var login = remote.WithAuth(&authn.Basic{Username: acr.User, Password: acr.Password})

// An ordinary client pushes images; what ACR takes for none it refuses, with the words that were captured.
func TestPushes(t *testing.T) {
	s := acr.Start(t, acr.Options{RedirectBlobs: true})
	ref := func(tag string) name.Tag {
		r, err := name.NewTag(s.Host()+"/team/app:"+tag, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	arrivals := make(chan acr.Arrival, 10)
	s.OnPush(func(a acr.Arrival) { arrivals <- a })
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if err := remote.Write(ref("v1"), image, login); err != nil {
		t.Fatal(err)
	}
	digest, _ := image.Digest()
	if a := <-arrivals; a != (acr.Arrival{Repository: "team/app", Tag: "v1", Digest: digest.String()}) {
		t.Errorf("%+v", a)
	}
	if err := remote.Write(ref("v1"), image, remote.WithAuth(&authn.Basic{Username: acr.User, Password: "wrong"})); err == nil {
		t.Error("pushed with a wrong password")
	}
	for payload, class := range map[string]types.MediaType{
		"push of an attestation with an empty config": "application/vnd.oci.empty.v1+json",
		"push of a buildkit registry cache":           "application/vnd.buildkit.cacheconfig.v0",
	} {
		var want struct {
			Response struct {
				Status int
				Body   struct {
					Errors []struct{ Code, Message string }
				}
			}
		}
		sample(t, "openapi.json", "manifests", payload, &want)
		err := remote.Write(ref("attested"), mutate.ConfigMediaType(image, class), login)
		words := want.Response.Body.Errors[0]
		if err == nil || !strings.Contains(err.Error(), words.Code+": "+words.Message) {
			t.Errorf("%s: %v, want %d %+v", payload, err, want.Response.Status, words)
		}
	}
	if tags, err := remote.List(ref("v1").Context(), login); err != nil || len(tags) != 1 {
		t.Errorf("%v, %v", tags, err)
	}
}

// A notification has the fields of the documented one, and no others.
func TestAnnouncementIsTheDocumentedOne(t *testing.T) {
	var hooks []struct{ Name, Body string }
	data, err := os.ReadFile("../testdata/acr/hooks.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &hooks); err != nil || hooks[0].Name != "push, as documented" {
		t.Fatal(err)
	}
	got := make(chan []byte, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- body
		w.WriteHeader(http.StatusTeapot)
	}))
	defer hook.Close()
	s := acr.Start(t, acr.Options{})
	if status, err := s.Announce(hook.URL, acr.Arrival{Repository: "team/app", Tag: "v1", Digest: "sha256:1"}); err != nil || status != http.StatusTeapot {
		t.Errorf("HTTP %d, %v", status, err)
	}
	type fields map[string]map[string]string
	var want, have fields
	if err := json.Unmarshal([]byte(hooks[0].Body), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(<-got, &have); err != nil {
		t.Fatal(err)
	}
	for _, f := range []fields{want, have} {
		for part := range f {
			for key := range f[part] {
				f[part][key] = ""
			}
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

// Tokens end after ten minutes.
func TestTokensEnd(t *testing.T) {
	s := acr.Start(t, acr.Options{AccessToken: true})
	s.Push("team/app", "v1", acr.Image{})
	repo, err := name.NewRepository(s.Host()+"/team/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	client, err := remote.NewPuller(login)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		passed time.Duration
		tokens int
	}{{0, 1}, {9 * time.Minute, 1}, {2 * time.Minute, 2}, {time.Minute, 2}} {
		s.Pass(step.passed)
		if tags, err := client.List(t.Context(), repo); err != nil || len(tags) != 1 {
			t.Errorf("%v, %v", tags, err)
		}
		if n := s.Counts().Token; n != step.tokens {
			t.Errorf("%s later: %d tokens, want %d", step.passed, n, step.tokens)
		}
	}
}
