package registry_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

// A payload is an answer that ACR gave, or that its documents show.
type payload struct {
	Name     string
	Response struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
}

func payloads(t *testing.T, file, section string) map[string]payload {
	t.Helper()
	data, err := os.ReadFile("../test/testdata/acr/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var sections map[string]json.RawMessage
	var list []payload
	if err := json.Unmarshal(data, &sections); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(sections[section], &list); err != nil || len(list) == 0 {
		t.Fatalf("%s of %s: %v", section, file, err)
	}
	out := map[string]payload{}
	for _, p := range list {
		out[p.Name] = p
	}
	return out
}

// answering is a repository whose registry gives the payload for all but the ping.
func answering(t *testing.T, p payload) *registry.Repository {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		for k, v := range p.Response.Headers {
			if k == "Link" && r.URL.Query().Get("last") != "" {
				continue
			}
			if k != "Content-Length" {
				w.Header().Set(k, v)
			}
		}
		w.WriteHeader(p.Response.Status)
		_, _ = w.Write(p.Response.Body)
	}))
	t.Cleanup(s.Close)
	return at(t, s.URL)
}

func at(t *testing.T, url string) *registry.Repository {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "registries.conf")
	text := fmt.Sprintf("registries:\n- {name: t, prefix: %s, api_url: '%s', insecure: true}\n", acrHost, url)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	regs, err := registry.New(registry.Options{ConfPath: conf, Log: quiet(), Settings: config.Default()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := regs.Repository(t.Context(), image.Application{}, entry(acrHost, "ns/repo"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestListsOfACR(t *testing.T) {
	all := payloads(t, "registry.json", "tags_list")
	for name, want := range map[string]string{
		"ok":                                     "[0.1.13 0.1.9 latest]",
		"ok, paged (inferred variant for tests)": "[v1.0.0 v1.9.9]",
		"repository missing":                     "it is <namespace>/<name> in one region, and a RAM identity needs cr:PullRepository (HTTP 404 NAME_UNKNOWN)",
		"private or missing repository, anonymous":                        "answers the same for a private repository and for one that does not exist",
		"tags null (distribution answers null for an emptied repository)": "[]",
	} {
		p, ok := all[name]
		if !ok {
			t.Errorf("no payload %q", name)
			continue
		}
		delete(all, name)
		tags, err := answering(t, p).Tags(t.Context())
		if got := fmt.Sprint(tags); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", name, tags, err)
		}
	}
	if len(all) > 0 {
		t.Errorf("payloads without a test: %v", all)
	}
}

func TestRefusalsOfACR(t *testing.T) {
	manifests := payloads(t, "openapi.json", "manifests")
	for _, name := range []string{"push of an attestation with an empty config", "push of a buildkit registry cache"} {
		p, ok := manifests[name]
		if !ok {
			t.Fatalf("no payload %q", name)
		}
		_, err := answering(t, p).Digest(t.Context(), "v1")
		if err == nil || !strings.Contains(err.Error(), "build with provenance: false") || strings.Contains(err.Error(), "vnd.") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := payloads(t, "openapi.json", "throttling")["registry 429"]
	ctx := t.Context()
	if p.Response.Headers == nil {
		p.Response.Headers = map[string]string{"Retry-After": "3600"} // so that the test doesn't wait
	}
	_, err := answering(t, p).Tags(ctx)
	if err == nil || !strings.Contains(err.Error(), "ACR publishes no limit") || !strings.Contains(err.Error(), "HTTP 429 TOOMANYREQUESTS") || strings.Contains(err.Error(), "captured") {
		t.Error(err)
	}
	p.Response.Status, p.Response.Body = 401, json.RawMessage(`{"errors":[{"code":"USER_NOT_EXIST","message":"Canary"}]}`)
	if _, err := answering(t, p).Tags(ctx); err == nil || !strings.Contains(err.Error(), "does not know this RAM user yet") {
		t.Error(err)
	}
}

// A manifest list comes with its digest in a header, which HEAD gives, too.
func TestManifestListOfACR(t *testing.T) {
	p := payloads(t, "openapi.json", "manifests")["manifest list with digest header"]
	if p.Response.Headers["Docker-Content-Digest"] != "sha256:bb6e..." { // cut by whoever wrote the log
		t.Fatalf("%+v", p)
	}
	p.Response.Body = json.RawMessage(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[` +
		`{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1,` +
		`"platform":{"os":"linux","architecture":"amd64"}}],"annotations":{"org.opencontainers.image.created":"2026-08-01T10:00:00Z"}}`)
	want := fmt.Sprintf("sha256:%x", sha256.Sum256(p.Response.Body))
	// With the cut digest in the header the content's own counts.
	for _, header := range []string{want, p.Response.Headers["Docker-Content-Digest"]} {
		p.Response.Headers["Docker-Content-Digest"] = header
		r := answering(t, p)
		if got, err := r.Digest(t.Context(), "3.5"); err != nil || got != want {
			t.Errorf("%s: %s, %v", header, got, err)
		}
		if tag, err := r.Describe(t.Context(), "3.5", nil); err != nil || tag.Digest != want || len(tag.Platforms) != 1 {
			t.Errorf("%s: %+v, %v", header, tag, err)
		}
	}
}

// Blobs are redirected to a bucket, from VPC hosts to its internal name.
func TestBlobsOfACR(t *testing.T) {
	p := payloads(t, "openapi.json", "manifests")["blob answers with a redirect to OSS"]
	location, err := url.Parse(strings.NewReplacer("<bucket>", "acr-bucket").Replace(p.Response.Headers["Location"]))
	if err != nil || p.Response.Status != http.StatusTemporaryRedirect {
		t.Fatal(p, err)
	}
	c := newCloud(t)
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	s := c.server(acr.Options{RedirectBlobs: true, Bucket: location.Host}, vpcHost)
	s.Push("team/app", "v1", acr.Image{Created: time.Unix(1e9, 0)})
	r, err := c.on(vpcHost, "team/app")
	if err != nil {
		t.Fatal(err)
	}
	if tag, err := r.Describe(t.Context(), "v1", nil); err != nil || tag.Created.Unix() != 1e9 {
		t.Errorf("%+v, %v", tag, err)
	}
	if !c.asked(location.Host) || s.CredentialsLeaked() {
		t.Errorf("the bucket was asked: %t, and shown a login: %t", c.asked(location.Host), s.CredentialsLeaked())
	}
}

// The index of the samples has an attestation, and a date of its own.
func TestIndexOfACR(t *testing.T) {
	data, err := os.ReadFile("../test/testdata/acr/registry.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples struct {
		Index []struct{ Manifest json.RawMessage } `json:"index_samples"`
	}
	if err := json.Unmarshal(data, &samples); err != nil || len(samples.Index) != 1 {
		t.Fatal(err)
	}
	var p payload
	p.Response.Status, p.Response.Body = 200, samples.Index[0].Manifest
	p.Response.Headers = map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"}
	tag, err := answering(t, p).Describe(t.Context(), "v1", nil)
	if err != nil || !tag.Created.Equal(time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC)) || len(tag.Platforms) != 1 {
		t.Errorf("%+v, %v", tag, err)
	}
}
