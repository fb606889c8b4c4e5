package registry_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

// A stranger is a registry that gives one challenge, and takes every token. It records what it and all other hosts are shown.
type stranger struct {
	host, challenge string
	mu              sync.Mutex
	shown           []string // scheme://host service scope, where a login was shown
}

func (s *stranger) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := req.Header.Get("Authorization")
	if _, _, basic := req.BasicAuth(); basic || req.Body != nil {
		q := req.URL.Query()
		s.shown = append(s.shown, fmt.Sprint(req.URL.Scheme, "://", req.URL.Host, " ", q.Get("service"), " ", q.Get("scope")))
	}
	header := http.Header{}
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
	}
	switch {
	case req.URL.Host != s.host || !strings.HasPrefix(req.URL.Path, "/v2/"):
		return answer(200, `{"token":"t"}`)
	case !strings.HasPrefix(sent, "Bearer "):
		header.Set("Www-Authenticate", s.challenge)
		return answer(401, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}`)
	}
	return answer(200, `{"tags":["v1"]}`)
}

// list asks it with the Secret argocd/acr.
func (s *stranger) list(t *testing.T, secrets string) ([]string, error) {
	t.Helper()
	regs, err := registry.New(registry.Options{
		Secrets: config.OpenSecrets(secrets), Settings: config.Default(), Log: quiet(), Env: func(string) string { return "" },
		Wrap: func(http.RoundTripper) http.RoundTripper { return s },
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := regs.Repository(t.Context(), image.Application{}, entry(s.host, "ns/repo"))
	if err != nil {
		t.Fatal(err)
	}
	return r.Tags(t.Context())
}

func guideSecret(t testing.TB) string {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/argocd/acr", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/argocd/acr/acr", []byte(acr.User+":"+acr.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every challenge that ACR was seen to give is followed to its own token server, whatever the region of the registry.
func TestChallengesOfACR(t *testing.T) {
	data, err := os.ReadFile("../test/testdata/acr/registry.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples struct {
		Auth []struct {
			Name, Header, URL string
			Response          struct{ Headers map[string]string }
		} `json:"auth_challenges"`
	}
	if err := json.Unmarshal(data, &samples); err != nil {
		t.Fatal(err)
	}
	hosts := map[string]string{ // the registry that each came from
		"personal legacy /v2/": "registry.cn-hangzhou.aliyuncs.com",
		"personal, other region, realm stays in cn-hangzhou, with scope": "registry-vpc.cn-shanghai.aliyuncs.com",
		"personal new, cn-beijing, realm in cn-hangzhou":                 "crpi-x.cn-beijing.personal.cr.aliyuncs.com",
		"personal new, cn-guangzhou, hyphen form of the realm":           "crpi-x.cn-guangzhou.personal.cr.aliyuncs.com",
		"zhangjiakou hyphen form":                                        "registry.cn-zhangjiakou.aliyuncs.com",
		"enterprise":                                                     "demo-registry.cn-hangzhou.cr.aliyuncs.com",
		"enterprise, -ee realm, trailing part after the instance id":     "demo-registry.cn-hangzhou.cr.aliyuncs.com",
		"enterprise VPC":                                                 "demo-registry-vpc.cn-hangzhou.cr.aliyuncs.com",
	}
	parts := regexp.MustCompile(`realm="([^"]+)",service="([^"]+)"`)
	secrets := guideSecret(t)
	for _, a := range samples.Auth {
		s := &stranger{host: hosts[a.Name], challenge: a.Header + a.Response.Headers["Www-Authenticate"]}
		delete(hosts, a.Name)
		switch {
		case a.URL != "": // of a request to the token server
			u, err := url.Parse(a.URL)
			if err != nil {
				t.Fatal(err)
			}
			s.challenge = fmt.Sprintf(`Bearer realm="https://%s%s",service="%s"`, u.Host, u.Path, u.Query().Get("service"))
		case s.challenge == "": // a log line that names both hosts
			s.challenge = `Bearer realm="https://dockerauth.cn-hangzhou.aliyuncs.com/auth",service="registry.aliyuncs.com:cn-beijing:26842"`
		}
		want := parts.FindStringSubmatch(s.challenge)
		realm, _, _ := strings.Cut(strings.TrimPrefix(want[1], "https://"), "/")
		tags, err := s.list(t, secrets)
		if err != nil || len(tags) != 1 {
			t.Errorf("%s: %v, %v", a.Name, tags, err)
		}
		if !slices.Equal(s.shown, []string{"https://" + realm + " " + want[2] + " repository:ns/repo:pull"}) {
			t.Errorf("%s: the login was shown to %q", a.Name, s.shown)
		}
	}
	if len(hosts) > 0 {
		t.Errorf("no sample of %v", hosts)
	}
}

// What a challenge of an ACR host may not bring about, and what is said then.
func TestChallengesThatAreNotFollowed(t *testing.T) {
	secrets := guideSecret(t)
	for challenge, says := range map[string]string{
		`Bearer realm="http://dockerauth.cn-hangzhou.aliyuncs.com/auth",service="registry.aliyuncs.com:cn-hangzhou:26842"`:                   "must be https",
		`Bearer realm="https://dockerauth.cn-hangzhou.aliyuncs.com.evil.example/auth",service="registry.aliyuncs.com:cn-hangzhou:26842"`:     "is none of ACR's",
		`Bearer realm="https://dockerauth.cn-hangzhou.aliyuncs.com@evil.example/auth",service="registry.aliyuncs.com:cn-hangzhou:26842"`:     "is none of ACR's",
		`Bearer realm="https://evil.example/dockerauth.cn-hangzhou.aliyuncs.com/auth",service="registry.aliyuncs.com:cn-hangzhou:26842"`:     "is none of ACR's",
		`Bearer realm="https://dockerauth.cn-hangzhou.aliyuncs.com:8443/auth",service="registry.aliyuncs.com:cn-hangzhou:26842"`:             "",
		`Bearer realm="https://other-registry.cn-hangzhou.cr.aliyuncs.com/auth",service="registry.aliyuncs.com:cn-hangzhou:china:cri-other"`: "is none of ACR's",
		`Bearer realm="/auth",service="registry.aliyuncs.com:cn-hangzhou:26842"`:                                                             "must be https",
		`Basic realm="Canary"`: "",
	} {
		s := &stranger{host: acrHost, challenge: challenge}
		_, err := s.list(t, secrets)
		if says != "" && (err == nil || !strings.Contains(err.Error(), says) || len(s.shown) > 0) {
			t.Errorf("%s: %v, shown to %q", challenge, err, s.shown)
		}
		if err != nil {
			noSecrets(t, err)
		}
	}
}

// Whatever a challenge says, the login goes by https to ACR's own host or to a token server of ACR's.
func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://dockerauth.cn-hangzhou.aliyuncs.com/auth",service="registry.aliyuncs.com:cn-hangzhou:26842"`)
	f.Add(`Bearer realm="https://dockerauth.cn-hangzhou.aliyuncs.com@evil.example/auth",service="registry.aliyuncs.com:cn-hangzhou:china:cri-x"`)
	f.Add(`Bearer realm="http://dockerauth-cn-hangzhou.aliyuncs.com/auth"`)
	f.Add(`bearer realm=https://x.example, error="insufficient_scope", Basic realm="x"`)
	f.Add(`Basic realm="x"`)
	secrets := guideSecret(f)
	own := regexp.MustCompile(`^https://(registry\.cn-hangzhou\.aliyuncs\.com|dockerauth(-ee)?(-vpc)?[.-][a-z]+[a-z0-9-]*\.aliyuncs\.com(:[0-9]+)?) `)
	f.Fuzz(func(t *testing.T, challenge string) {
		s := &stranger{host: acrHost, challenge: challenge}
		_, err := s.list(t, secrets)
		if err != nil {
			noSecrets(t, err)
		}
		for _, where := range s.shown {
			if where = strings.ToLower(where); !own.MatchString(where) || strings.Contains(where, ".oss-") {
				t.Errorf("%q: the login was shown to %s", challenge, where)
			}
		}
	})
}
